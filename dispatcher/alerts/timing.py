"""When a matter is told, and when a message that failed is tried again. Pure.

At most one message goes out for a matter within an hour, whatever happens to it meanwhile.
"""

from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from dispatcher.alerts.kinds import KindFacts

ToldAs = Literal["raised", "again", "reminder", "resolved"]

LEAST_BETWEEN: Final = timedelta(hours=1)
REMINDED_AFTER: Final = timedelta(hours=24)

WAITS_SECONDS: Final = (*(30.0, 60.0, 120.0, 300.0, 600.0, 900.0), *(1800.0,) * 46)
"""Before each new try of a message; after the last, 23 h 33 min after the first try, it is given up."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a matter stands, and what was told of it.

    Attributes:
        opening: Which of its openings this is.
        told_opening: Which one the last message was about; None if there was no message yet.
    """

    opening: UUID
    resolved_at: datetime | None
    count: int
    told_at: datetime | None
    told_as: ToldAs | None
    told_opening: UUID | None
    told_count: int


def message_due(matter: Standing, facts: KindFacts, now: datetime) -> ToldAs | None:
    """Return which message is due of a matter now; None if none is.

    | the matter | was told | then |
    |---|---|---|
    | any | within the hour | nothing, until the hour is over |
    | open | not yet, of this opening | `raised` |
    | open, a happening | of fewer | `again` |
    | open, of a kind that is reminded of | a day ago | `reminder` |
    | resolved | that it is open | `resolved` |
    """
    if matter.told_at is not None and now - matter.told_at < LEAST_BETWEEN:
        return None
    is_told = matter.told_opening == matter.opening
    if matter.resolved_at is not None:
        return "resolved" if is_told and matter.told_as != "resolved" else None
    if not is_told:
        return "raised"
    if facts.is_happening and matter.count > matter.told_count:
        return "again"
    if facts.is_reminded and matter.told_at is not None and now - matter.told_at >= REMINDED_AFTER:
        return "reminder"
    return None


def wait_seconds(attempts: int) -> float | None:
    """Return how long to wait after failed attempt number *attempts*, from 1; None if that was the last.

    >>> wait_seconds(1), wait_seconds(7), wait_seconds(53), sum(WAITS_SECONDS) / 3600
    (30.0, 1800.0, None, 23.558333333333334)
    """
    return WAITS_SECONDS[attempts - 1] if attempts <= len(WAITS_SECONDS) else None
