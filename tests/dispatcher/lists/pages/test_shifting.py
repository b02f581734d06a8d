"""Every fax of a window is seen, although the list shifts while it is read."""

import pytest
from aiohttp import web
from list_clients import EIGHT, client_of, seen
from list_provider import ListProvider
from provider_fax import WORDS

from dispatcher.egress.client import EgressClient
from dispatcher.lists.errors import ListShifted


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
