"""A list goes on where its cursor says; a text that is not a cursor of that list is refused."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.ops.api.cursor import AwareTime, BadCursor, CursorOf, read_pages

FAXES = CursorOf("faxes", tuple[AwareTime, str, str])
KEY = (datetime(2026, 3, 1, tzinfo=UTC), "phaxio", "1/2 é")


def test_a_cursor_is_read_as_the_key_that_it_was_written_of() -> None:
    assert FAXES.read(FAXES.write(*KEY)) == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nowhere",
        "é",
        "A" * 2_000,
        FAXES.write(*KEY[:2]),
        FAXES.write(*KEY, 1),
        FAXES.write(),
        FAXES.write(datetime(2026, 3, 1), "a", "b"),  # noqa: DTZ001 - what a client makes up
        CursorOf("calls", tuple[AwareTime, str, str]).write(*KEY),  # another list whose keys are alike
        urlsafe_b64encode(json.dumps(["2026-03-01T00:00:00Z", "a", "b"]).encode()).decode(),  # of no list
        urlsafe_b64encode(json.dumps(["faxes", [], [], []]).encode()).decode(),
        urlsafe_b64encode(b"[" * 1_500).decode(),
    ],
)
def test_a_text_that_is_not_a_cursor_of_this_list_is_refused(text: str) -> None:
    with pytest.raises(BadCursor, match="`next` of a page of this list"):
        FAXES.read(text)


class _Query(msgspec.Struct):
    limit: int = 50
    after: str | None = None


class _Page(msgspec.Struct):
    items: list[int]
    next: str | None


@given(count=st.integers(0, 700), short=st.integers(1, 250), most=st.none() | st.integers(1, 800))
async def test_pages_are_read_until_there_are_enough_items_or_no_more_however_short_a_page_is(
    count: int, short: int, most: int | None
) -> None:
    async def read_page(query: _Query) -> _Page:
        start = int(query.after or 0)
        end = min(count, start + min(short, query.limit))
        return _Page(items=list(range(start, end)), next=str(end) if end < count else None)

    found, cursor = await read_pages(read_page, _Query(), most)
    assert found == list(range(count if most is None else min(count, most)))
    assert cursor == (str(len(found)) if len(found) < count else None)
