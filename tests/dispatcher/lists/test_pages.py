"""Every fax of a window is seen, although the list shifts while it is read; what cannot be had is a sentence, not an end."""

from collections.abc import AsyncIterator
from datetime import timedelta
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
