"""How long a page of a list is searched whose filter no index serves."""

import time

import msgspec
import pytest

from dispatcher.ops.console.pages.lists.search import search


class Query(msgspec.Struct, frozen=True):
    limit: int = 3
    after: int = 0


class Page(msgspec.Struct):
    items: list[str]
    next: int | None


class SlowList:
    """Pages of a ledger, each read in *seconds* of a clock that is moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pages: list[list[str]], seconds: float) -> None:
        self._pages = pages
        self._seconds = seconds
        self._now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self._now)

    async def read(self, query: Query) -> Page:
        self._now += self._seconds
        following = query.after + 1
        return Page(self._pages[query.after][: query.limit], following if following < len(self._pages) else None)


@pytest.mark.parametrize(
    ("pages", "seconds", "found", "following"),
    [
        ([["a", "b", "c"], ["d"]], 0.01, ["a", "b", "c"], 1),
        ([["a"], [], ["b"], ["c"]], 0.01, ["a", "b", "c"], None),
        ([["a"], *[[]] * 9], 0.05, ["a"], 4),
        ([*[[]] * 20, ["the only one"], *[[]] * 9], 0.05, ["the only one"], 21),
        ([[]] * 20, 0.05, [], None),
        ([[]] * 90, 0.05, [], 40),
    ],
    ids=["full", "over several pages", "some", "the first after a second", "none", "none in two seconds"],
)
async def test_a_page_without_a_row_is_searched_for_longer_than_one_that_has_some(
    monkeypatch: pytest.MonkeyPatch, pages: list[list[str]], seconds: float, found: list[str], following: int | None
) -> None:
    assert await search(SlowList(monkeypatch, pages, seconds).read, Query()) == (found, following)
