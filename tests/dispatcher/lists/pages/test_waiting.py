"""What passes is waited for, as long as the provider asks; what does not is one sentence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from list_clients import Pauses, client_of, seen
from list_provider import SECRETS, ListProvider, html

from dispatcher.egress.client import EgressClient
from dispatcher.lists.client import TRIES
from dispatcher.lists.errors import KeyRefused, ListUnavailable, NotAList, NotFound, NotReachable


@pytest.mark.parametrize(
    ("asks", "waits"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("-5", 1.0),
        ("1.5", 1.0),
        ("soon", 1.0),
        ("date", 30.0),
        ("a date gone by", 1.0),
        ("999999999999999999999", 1.0),
    ],
)
@pytest.mark.parametrize("hours_ahead", [-26.0, 0.0, 1.0, 24.0])
async def test_how_long_a_provider_asks_to_wait_is_read_by_its_own_clock(
    provider: ListProvider, egress: EgressClient, asks: str, waits: float, hours_ahead: float
) -> None:
    provider.clock_ahead = timedelta(hours=hours_ahead)
    provider.fax("sinch", 1, "fax.delivered")

    async def busy(_request: web.Request) -> web.StreamResponse | None:
        if len(provider.asked) > 1:
            return None
        seconds = {"date": 30.0, "a date gone by": -30.0}.get(asks)
        at = datetime.now(UTC) + provider.clock_ahead + timedelta(seconds=seconds or 0.0)
        text = asks if seconds is None else at.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return web.Response(status=429, headers={"Retry-After": text})

    provider.disturb, pauses = busy, Pauses()
    await seen(client_of(provider, egress, "sinch", pauses))
    (paused,) = pauses
    assert abs(paused - waits) < 2.5


@pytest.mark.parametrize("status", [425, 429, 500, 502, 503, 504])
async def test_what_passes_is_waited_for(provider: ListProvider, egress: EgressClient, status: int) -> None:
    provider.fax("sinch", 1, "fax.delivered")

    async def busy(_request: web.Request) -> web.StreamResponse | None:
        headers = {"Retry-After": "7"} if status == 429 else {}
        return web.Response(status=status, headers=headers) if len(provider.asked) < 3 else None

    provider.disturb, pauses = busy, Pauses()
    assert len(await seen(client_of(provider, egress, "sinch", pauses))) == 1
    assert pauses == ([7.0, 7.0] if status == 429 else [1.0, 2.0])


@pytest.mark.parametrize(
    ("answer", "error", "tries"),
    [
        (lambda: web.Response(status=401), KeyRefused, 1),
        (lambda: web.Response(status=403), KeyRefused, 1),
        (lambda: web.Response(status=404), NotFound, 1),
        (lambda: web.Response(status=301, headers={"Location": "/"}), NotAList, 1),
        (lambda: web.Response(status=418), NotAList, 1),
        (lambda: web.Response(status=204), NotAList, 1),
        (html, NotAList, 1),
        (lambda: web.Response(status=200), NotAList, 1),
        (lambda: html(503), ListUnavailable, TRIES),
        (lambda: web.Response(status=429, headers={"Retry-After": "86400"}), ListUnavailable, 1),
    ],
)
async def test_what_does_not_pass_is_one_sentence_without_a_secret(
    provider: ListProvider, egress: EgressClient, answer: Any, error: type[Exception], tries: int
) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return answer()

    provider.disturb = refuse
    with pytest.raises(error, match="telnyx") as raised:
        await seen(client_of(provider, egress, "telnyx"))
    assert len(provider.asked) == tries
    assert not [secret for secret in SECRETS if secret in str(raised.value)]
    assert "127.0.0.1" not in str(raised.value)


async def test_an_inner_address_is_refused_by_the_egress_rules(provider: ListProvider) -> None:
    egress = EgressClient(())
    with pytest.raises(NotReachable, match="EGRESS_ALLOW_NETWORKS"):
        await seen(client_of(provider, egress, "telnyx"))
    await egress.close()
    assert provider.asked == []


async def test_a_provider_that_is_away_is_asked_a_few_times(provider: ListProvider, egress: EgressClient) -> None:
    client, pauses = client_of(provider, egress, "telnyx"), Pauses()
    client._pause = pauses

    async def close(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    provider.disturb = close
    with pytest.raises(ListUnavailable, match="could not be asked: reset"):
        await seen(client)
    assert pauses == [1.0, 2.0, 4.0, 8.0]
