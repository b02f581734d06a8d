"""Every fax of a window is seen, although the list shifts while it is read; what cannot be had is a sentence, not an end."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from list_provider import SECRETS, WORDS, ListProvider, html

from dispatcher.configuration.lists import Lists
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks
from dispatcher.lists.apis import base
from dispatcher.lists.apis.by_provider import list_api
from dispatcher.lists.client import TRIES, ListClient
from dispatcher.lists.errors import KeyRefused, ListShifted, ListUnavailable, NotAList, NotFound, NotReachable
from dispatcher.lists.pages import Slice, read_pages
from dispatcher.settings import DispatcherSettings
from shared.domain import utc_now
from shared.settings import load

NEEDED = {"AMQP_URL": "amqp://h/", "DATABASE_URL": "postgresql://h/d", "MEDIA_URL": "file:///tmp/x"}
NEEDED["SECRETS_KEY"] = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="
EIGHT = 8


class Pauses(list[float]):
    """What was waited for, without waiting."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture(autouse=True)
def _two_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WORDS:
        monkeypatch.setattr(f"dispatcher.lists.apis.{name}.PAGE_SIZE", 2)
    assert base.PAGE_SIZE > 2


@pytest.fixture
async def egress() -> AsyncIterator[EgressClient]:
    client = EgressClient(parse_networks(["127.0.0.0/8"]))
    yield client
    await client.close()


def client_of(provider: ListProvider, egress: EgressClient, name: str, pauses: Pauses | None = None) -> ListClient:
    settings: Lists = load(DispatcherSettings, {**NEEDED, **provider.environment})
    (access,) = [each for each in settings.reconciliation().accesses if each.provider == name]
    return ListClient(egress, list_api(access), Pauses() if pauses is None else pauses)


async def seen(client: ListClient, found: list[str] | None = None) -> list[str]:
    """Return the ids of the faxes of two days, in the order in which they were given; they are in *found* at once."""
    found = [] if found is None else found
    part = Slice(utc_now() - timedelta(days=1), utc_now() + timedelta(days=1))
    async for page in read_pages(client, part):
        found += [fax_id for fax_id, _ in page.faxes]
    return found


@pytest.mark.parametrize("name", WORDS)
async def test_each_fax_of_the_window_is_seen_once(provider: ListProvider, egress: EgressClient, name: str) -> None:
    faxes = [provider.fax(name, number, "fax.delivered") for number in range(7)]
    provider.fax(name, 99, "fax.delivered", ended_ago=200_000)
    assert sorted(await seen(client_of(provider, egress, name))) == sorted(fax.fax_id for fax in faxes)


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("change", ["removed", "added", "replaced"])
async def test_a_list_that_shifts_between_two_pages_loses_no_fax(
    provider: ListProvider, egress: EgressClient, name: str, change: str
) -> None:
    """One removed from a page that was read pulls another over the edge; one added repeats another."""
    faxes = [provider.fax(name, number, "fax.delivered") for number in range(EIGHT)]
    gone = provider.faxes[0].fax_id

    async def shift(_request: web.Request) -> None:
        if len(provider.asked) == 2:
            if change in {"removed", "replaced"}:
                del provider.faxes[0]
            if change in {"added", "replaced"}:
                provider.fax(name, 500, "fax.delivered", ended_ago=7_200)

    provider.disturb = shift
    found = await seen(client_of(provider, egress, name))
    assert len(found) == len(set(found))
    assert {fax.fax_id for fax in faxes} - {gone} <= set(found)


async def test_a_list_that_never_stands_still_is_said_to_and_what_was_seen_is_given(
    provider: ListProvider, egress: EgressClient
) -> None:
    for number in range(EIGHT):
        provider.fax("phaxio", number, "fax.delivered")

    async def shift(_request: web.Request) -> None:
        provider.fax("phaxio", 1_000 + len(provider.asked), "fax.delivered")

    provider.disturb = shift
    found: list[str] = []
    with pytest.raises(ListShifted, match="changed while it was read"):
        await seen(client_of(provider, egress, "phaxio"), found)
    assert {str(number) for number in range(EIGHT)} <= set(found)


async def test_a_provider_that_gives_the_first_page_again_and_again_is_noticed(
    provider: ListProvider, egress: EgressClient
) -> None:
    for number in range(EIGHT):
        provider.fax("phaxio", number, "fax.delivered")

    async def first_page(request: web.Request) -> web.StreamResponse | None:
        return provider._phaxio(request.clone(rel_url=request.rel_url.update_query(page=1)), [])

    provider.disturb = first_page
    with pytest.raises(ListShifted):
        await seen(client_of(provider, egress, "phaxio"))
    assert len(provider.asked) < 20


PARTS = {"phaxio": "paging", "telnyx": "meta"}
LISTS = {"phaxio": "data", "telnyx": "data", "sinch": "faxes"}


def lies(provider: ListProvider, change: Callable[[dict[str, Any], int], None]) -> None:
    """Have a provider answer its pages changed by *change*, which gets the answer and the page's number."""

    async def answer(request: web.Request) -> web.StreamResponse:
        true = await provider._answer(request)
        assert isinstance(true, web.Response)
        assert true.body is not None
        content = json.loads(bytes(true.body))  # type: ignore[arg-type]
        change(content, int(request.query.get("page") or request.query["page[number]"]))
        return web.json_response(content)

    provider.disturb = answer


def totals_of(name: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a page that counts."""
    return content[PARTS[name]] if name in PARTS else content


COUNTS = {"phaxio": ("total",), "telnyx": ("total_results", "total_pages"), "sinch": ("totalItems", "totalPages")}


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("total", [0, 1, 3, 4])
async def test_a_total_that_is_too_low_hides_no_fax(
    provider: ListProvider, egress: EgressClient, name: str, total: int
) -> None:
    for number in range(EIGHT + 1):
        provider.fax(name, number, "fax.delivered")

    def understate(content: dict[str, Any], _number: int) -> None:
        counts = totals_of(name, content)
        for each in COUNTS[name]:
            counts[each] = -(-total // 2) if each.endswith("ages") else total

    lies(provider, understate)
    assert len(await seen(client_of(provider, egress, name))) == EIGHT + 1


@pytest.mark.parametrize("name", WORDS)
async def test_a_provider_that_cuts_its_pages_and_counts_nothing_is_read_to_the_end(
    provider: ListProvider, egress: EgressClient, name: str
) -> None:
    provider.most_per_page = 1
    for number in range(4):
        provider.fax(name, number, "fax.delivered")

    def say_nothing(content: dict[str, Any], _number: int) -> None:
        faxes = content[LISTS[name]]
        content.clear()
        content |= {"success": True, LISTS[name]: faxes}

    lies(provider, say_nothing)
    assert len(await seen(client_of(provider, egress, name))) == 4


@pytest.mark.parametrize("name", WORDS)
async def test_an_empty_page_in_the_middle_is_not_the_end(
    provider: ListProvider, egress: EgressClient, name: str
) -> None:
    for number in range(EIGHT):
        provider.fax(name, number, "fax.delivered")
    emptied: list[int] = []

    def empty(content: dict[str, Any], number: int) -> None:
        if number == 2 and not emptied:
            emptied.append(number)
            content[LISTS[name]] = []

    lies(provider, empty)
    found: list[str] = []
    await seen(client_of(provider, egress, name), found)
    assert len(found) == EIGHT
    assert len(provider.asked) == 10  # the first reading went on to its end, and the second one was whole


@pytest.mark.parametrize("name", WORDS)
async def test_a_page_that_is_always_empty_is_said_and_never_the_end_of_the_list(
    provider: ListProvider, egress: EgressClient, name: str
) -> None:
    for number in range(EIGHT):
        provider.fax(name, number, "fax.delivered")

    def empty(content: dict[str, Any], number: int) -> None:
        if number == 2:
            content[LISTS[name]] = []

    lies(provider, empty)
    found: list[str] = []
    with pytest.raises(ListShifted, match="6 faxes came where it counts 8"):
        await seen(client_of(provider, egress, name), found)
    assert len(found) == 6


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("status", [404, 410])
async def test_a_provider_that_does_not_know_the_page_behind_a_full_last_one_has_ended(
    provider: ListProvider, egress: EgressClient, name: str, status: int
) -> None:
    for number in range(4):
        provider.fax(name, number, "fax.delivered")

    async def refuse(request: web.Request) -> web.StreamResponse | None:
        number = int(request.query.get("page") or request.query["page[number]"])
        return web.json_response({"error": "no such page"}, status=status) if number > 2 else None

    provider.disturb = refuse
    assert len(await seen(client_of(provider, egress, name))) == 4
    assert len(provider.asked) == 3


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
