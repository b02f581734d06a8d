"""What a provider says of its pages wrongly, or not at all, hides no fax."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from list_clients import EIGHT, client_of, seen
from list_provider import ListProvider
from provider_fax import WORDS

from dispatcher.egress.client import EgressClient
from dispatcher.lists.errors import ListShifted

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
