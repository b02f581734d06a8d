"""A matter is told at once, then at most once an hour, again only for a reason, and its end once."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.alerts.kinds import KINDS, Kind
from dispatcher.alerts.timing import LEAST_BETWEEN, WAITS_SECONDS, Standing, message_due, wait_seconds

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
FIRST, SECOND = UUID(int=1), UUID(int=2)
CONDITION, HAPPENING, REMINDED = Kind.ENDPOINT_GONE, Kind.GAP_REPAIRED, Kind.ENDPOINT_FAILING


def standing(**fields: Any) -> Standing:
    fixed = {"opening": FIRST, "resolved_at": None, "count": 1, "told_at": None, "told_as": None}
    return Standing(**{**fixed, "told_opening": None, "told_count": 0, **fields})


def told(hours: float, **fields: Any) -> Standing:
    """A matter of which it was told *hours* ago that it is open, and 1 of them."""
    at = NOW - timedelta(hours=hours)
    return standing(**{"told_at": at, "told_as": "raised", "told_opening": FIRST, "told_count": 1, **fields})


@pytest.mark.parametrize(
    ("kind", "matter", "expected"),
    [
        (CONDITION, standing(), "raised"),
        (CONDITION, standing(resolved_at=NOW), None),  # over before it was told
        (CONDITION, told(0.99, resolved_at=NOW), None),
        (CONDITION, told(1.0, resolved_at=NOW), "resolved"),
        (CONDITION, told(1.0, resolved_at=NOW, told_as="resolved"), None),
        (CONDITION, told(0.99, opening=SECOND), None),  # flapping
        (CONDITION, told(1.0, opening=SECOND), "raised"),
        (CONDITION, told(1.0, opening=SECOND, resolved_at=NOW), None),  # came and went within the hour
        (CONDITION, told(400.0, count=9), None),
        (HAPPENING, told(0.5, count=9), None),
        (HAPPENING, told(1.0, count=9), "again"),
        (HAPPENING, told(99.0), None),
        (REMINDED, told(23.9, count=9), None),
        (REMINDED, told(24.0), "reminder"),
        (REMINDED, told(24.0, told_as="reminder"), "reminder"),
    ],
)
def test_a_message_is_due(kind: Kind, matter: Standing, expected: str | None) -> None:
    assert message_due(matter, KINDS[kind], NOW) == expected


@given(st.sampled_from(list(Kind)), st.lists(st.sampled_from(["raise", "resolve", "wait"]), max_size=60))
def test_whatever_happens_no_two_messages_of_a_matter_are_within_an_hour(kind: Kind, steps: list[str]) -> None:
    now, matter, sent, number = NOW, standing(resolved_at=NOW), [], 10
    for step in steps:
        now += timedelta(minutes=17)
        if step == "raise":
            number += 1
            opening = matter.opening if matter.resolved_at is None else UUID(int=number)
            matter = msgspec.structs.replace(matter, opening=opening, resolved_at=None, count=matter.count + 1)
        elif step == "resolve":
            matter = msgspec.structs.replace(matter, resolved_at=now)
        if (told_as := message_due(matter, KINDS[kind], now)) is not None:
            sent.append((now, told_as))
            matter = msgspec.structs.replace(
                matter, told_at=now, told_as=told_as, told_opening=matter.opening, told_count=matter.count
            )
    assert all(later - earlier >= LEAST_BETWEEN for (earlier, _), (later, _) in pairwise(sent))
    assert all(before != "resolved" for (_, before), (_, after) in pairwise(sent) if after == "resolved")


def test_a_message_is_tried_for_a_day_and_then_given_up() -> None:
    assert [wait_seconds(number) for number in range(1, len(WAITS_SECONDS) + 2)] == [*WAITS_SECONDS, None]
    assert 23 * 3600 < sum(WAITS_SECONDS) < 24 * 3600
