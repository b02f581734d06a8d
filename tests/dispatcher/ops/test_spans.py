"""Times are read as people give them, in UTC; what is no time, or leaves nothing between, is refused by name."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.ops.spans import BadSpan, read_moment, read_span

NOW = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("today", datetime(2026, 3, 1, tzinfo=UTC)),
        ("yesterday", datetime(2026, 2, 28, tzinfo=UTC)),
        ("24h", NOW - timedelta(hours=24)),
        ("90s", NOW - timedelta(seconds=90)),
        ("999999999d", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2026-02-28", datetime(2026, 2, 28, tzinfo=UTC)),
        ("2026-02-28T23:00:00Z", datetime(2026, 2, 28, 23, tzinfo=UTC)),
        ("2026-02-28T23:00:00+02:00", datetime(2026, 2, 28, 21, tzinfo=UTC)),
        ("2026-02-28T23:00:00 02:00", datetime(2026, 2, 28, 21, tzinfo=UTC)),
    ],
)
def test_each_notation_is_a_time(text: str, expected: datetime) -> None:
    assert read_moment("since", text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    ["", "soon", "24", "h", "-1h", "2026-02-28T23:00:00", "2026-02-30", "10.03.2026", "tomorrow", "\u0664h", "1 h"],
)
def test_what_is_no_time_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(BadSpan, match="until: ") as refused:
        read_moment("until", text, NOW)
    assert refused.value.field == "until"


@pytest.mark.parametrize(("since", "until"), [("today", "yesterday"), ("1h", "2h"), ("today", "today")])
def test_a_span_with_nothing_in_it_is_refused(since: str, until: str) -> None:
    with pytest.raises(BadSpan, match="nothing lies between"):
        read_span(since, until, NOW)


@given(st.text(max_size=40))
def test_any_text_is_a_time_with_a_zone_or_refused(text: str) -> None:
    with suppress(BadSpan):
        assert read_moment("since", text, NOW).tzinfo is not None
