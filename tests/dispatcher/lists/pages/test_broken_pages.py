"""A page that comes packed is read; one that breaks off, drips or is refused is a sentence, not an end."""

import asyncio
import gzip
import zlib
from contextlib import suppress

import pytest
from aiohttp import web
from list_clients import EIGHT, client_of, seen
from list_provider import ListProvider

from dispatcher.egress.client import EgressClient
from dispatcher.lists.errors import KeyRefused, ListUnavailable, NotAList


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_page_that_comes_packed_is_read(provider: ListProvider, egress: EgressClient, coding: str) -> None:
    provider.fax("sinch", 1, "fax.delivered")

    async def pack(request: web.Request) -> web.StreamResponse:
        true = await provider._answer(request)
        assert isinstance(true, web.Response)
        assert isinstance(true.body, bytes)
        body = gzip.compress(true.body) if coding == "gzip" else zlib.compress(true.body)
        return web.Response(body=body, headers={"Content-Encoding": coding, "Content-Type": "application/json"})

    provider.disturb = pack
    assert len(await seen(client_of(provider, egress, "sinch"))) == 1


@pytest.mark.parametrize("cut", ["within its length", "without a length"])
async def test_a_page_that_breaks_off_is_no_page(provider: ListProvider, egress: EgressClient, cut: str) -> None:
    for number in range(2):
        provider.fax("telnyx", number, "fax.delivered")

    async def truncate(request: web.Request) -> web.StreamResponse:
        true = await provider._answer(request)
        assert isinstance(true, web.Response)
        assert isinstance(true.body, bytes)
        half = true.body[: len(true.body) // 2]
        if cut == "without a length":
            return web.Response(body=half, content_type="application/json")
        answer = web.StreamResponse(headers={"Content-Length": str(len(true.body))})
        await answer.prepare(request)
        await answer.write(half)
        assert request.transport is not None
        request.transport.abort()
        return answer

    provider.disturb = truncate
    with pytest.raises(ListUnavailable) as raised:
        await seen(client_of(provider, egress, "telnyx"))
    assert isinstance(raised.value, NotAList) is (
        cut == "without a length"
    )  # what was cut on its way is asked for again


async def test_a_page_that_drips_is_given_up_in_time(
    provider: ListProvider, egress: EgressClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.lists.client.REQUEST_SECONDS", 0.4)
    monkeypatch.setattr("dispatcher.lists.client.TRIES", 2)

    async def drip(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100000"})
        await answer.prepare(request)
        with suppress(ConnectionError):
            while True:
                await answer.write(b" ")
                await asyncio.sleep(0.05)
        return answer

    provider.disturb = drip
    with pytest.raises(ListUnavailable, match="did not answer within"):
        await seen(client_of(provider, egress, "telnyx"))
    assert len(provider.asked) == 2


async def test_a_key_that_is_refused_in_the_middle_ends_the_reading(
    provider: ListProvider, egress: EgressClient
) -> None:
    for number in range(EIGHT):
        provider.fax("phaxio", number, "fax.delivered")

    async def refuse(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=401) if request.query["page"] == "3" else None

    provider.disturb = refuse
    found: list[str] = []
    with pytest.raises(KeyRefused):
        await seen(client_of(provider, egress, "phaxio"), found)
    assert len(found) == 4
