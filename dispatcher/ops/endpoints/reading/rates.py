"""How many of an endpoint's attempts were told, and how long they took: over an hour, a day, a week, from the ledger.

There is no index of deliveries by endpoint: it would make the hot path dearer. A span is cut into slices, and of each
slice at most `WALKED_AT_MOST` deliveries are looked at, by their ids, which begin with the time. So it costs the same
however large the ledger is; on a busy one it is a sample, and says so. What is still owed, and what died in the span,
is looked at besides: its latest attempts may be in the span, however old the delivery is.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.ops.words import counted, duration
from shared.ids import first_uuid7

SpanName = Literal["hour", "day", "week"]
SPANS: Final[Mapping[SpanName, tuple[int, timedelta]]] = {
    "hour": (12, timedelta(minutes=5)),
    "day": (24, timedelta(hours=1)),
    "week": (28, timedelta(hours=6)),
}
"""How many slices, and how long each is."""

WALKED_AT_MOST: Final = 2_000
MOST_OWED: Final = 20_000

CLOCKS_APART: Final = timedelta(minutes=1)
"""Between the ledger, which names the time of an attempt, and the dispatcher that made the delivery's id."""

RATES: Final = """
WITH walked AS MATERIALIZED (
    SELECT place, d.id, d.endpoint_id FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS slice (low, high, place)
    CROSS JOIN LATERAL (
        SELECT id, endpoint_id FROM deliveries WHERE id >= low AND id < high ORDER BY id LIMIT $7
    ) d
), looked_at AS (
    SELECT id FROM walked WHERE endpoint_id = $1
    UNION (
        SELECT id FROM deliveries
        WHERE state IN ('pending', 'retrying') AND attempts > 0 AND endpoint_id = $1 LIMIT $8
    )
    UNION (SELECT id FROM deliveries WHERE state = 'dead' AND settled_at >= $4 AND endpoint_id = $1 LIMIT $8)
), tried AS (
    SELECT outcome = 'told' AS told, seconds,
           floor(extract(epoch FROM started_at - $4) / extract(epoch FROM $6::interval))::int AS place
    FROM looked_at CROSS JOIN LATERAL (  -- by its key: all attempts of the span are many more
        SELECT outcome, seconds, started_at FROM attempts
        WHERE delivery_id = looked_at.id AND started_at >= $4 AND started_at < $5 OFFSET 0
    ) AS made
)
SELECT place, count(*) FILTER (WHERE told) AS told, count(*) FILTER (WHERE NOT told) AS failed,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median_seconds,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_seconds,
       EXISTS (SELECT 1 FROM walked GROUP BY walked.place HAVING count(*) = $7) AS is_sample
FROM tried GROUP BY GROUPING SETS ((place), ())
"""


class RateSlice(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts of a part of a span, from `since` on."""

    since: datetime
    told: int
    failed: int

    @property
    def attempts(self) -> int:
        """How many there were."""
        return self.told + self.failed


class EndpointRate(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts at one endpoint in a span of time.

    Attributes:
        success: Told attempts of all, 0 to 1; null without an attempt.
        median_seconds: Half of the attempts took no longer, the answer included.
        p95_seconds: 95 of 100 attempts took no longer.
        is_sample: The ledger holds more deliveries of the span than were looked at.
        slices: The same over time, the oldest first; together they are the span.
    """

    span: SpanName
    since: datetime
    until: datetime
    told: int
    failed: int
    success: float | None
    median_seconds: float | None
    p95_seconds: float | None
    is_sample: bool
    slices: tuple[RateSlice, ...]


class EndpointRates(msgspec.Struct, frozen=True, kw_only=True):
    """The last hour, day and week of an endpoint; `next` is always null."""

    items: tuple[EndpointRate, ...]
    next: str | None = None


async def read_rates(pool: Pool, endpoint_id: UUID, now: datetime) -> EndpointRates:
    """Return the rates of an endpoint over the spans that end *now*."""
    return EndpointRates(items=tuple([await _read_rate(pool, endpoint_id, span, now) for span in SPANS]))


async def _read_rate(pool: Pool, endpoint_id: UUID, span: SpanName, now: datetime) -> EndpointRate:
    count, step = SPANS[span]
    begins = [now - step * (count - place) for place in range(count)]
    lows = [first_uuid7(begins[0] - CLOCKS_APART), *map(first_uuid7, begins[1:])]
    highs = [*lows[1:], first_uuid7(now + CLOCKS_APART)]
    rows = await pool.fetch(RATES, endpoint_id, lows, highs, begins[0], now, step, WALKED_AT_MOST, MOST_OWED)
    by_place: dict[int | None, Any] = {row["place"]: row for row in rows}
    whole = by_place[None]
    tried = whole["told"] + whole["failed"]
    return EndpointRate(
        span=span,
        since=begins[0],
        until=now,
        told=whole["told"],
        failed=whole["failed"],
        success=whole["told"] / tried if tried else None,
        median_seconds=whole["median_seconds"],
        p95_seconds=whole["p95_seconds"],
        is_sample=whole["is_sample"],
        slices=tuple(
            RateSlice(
                since=since,
                told=by_place[place]["told"] if place in by_place else 0,
                failed=by_place[place]["failed"] if place in by_place else 0,
            )
            for place, since in enumerate(begins)
        ),
    )


def rate_in_words(rate: EndpointRate) -> str:
    """Return a rate for people.

    >>> at = datetime(2026, 11, 29)
    >>> rate = EndpointRate(span="hour", since=at, until=at, told=1_999, failed=1, success=0.9995, median_seconds=0.12,
    ...                     p95_seconds=0.8, is_sample=True, slices=())
    >>> rate_in_words(rate)
    '99.9 % of 2,000 attempts delivered (a sample); half took at most 0.12 s, 95 % at most 0.8 s'
    """
    if rate.success is None or rate.median_seconds is None or rate.p95_seconds is None:
        return "no attempts"
    tried = counted(rate.told + rate.failed, "attempt")
    sample = " (a sample)" if rate.is_sample else ""
    took = f"half took at most {duration(rate.median_seconds)}, 95 % at most {duration(rate.p95_seconds)}"
    return f"{percent(rate.success)} of {tried} delivered{sample}; {took}"


def percent(share: float) -> str:
    """Return a share of 0 to 1 as percent; 100 only where it is all, 0 only where it is nothing.

    >>> [percent(share) for share in (1.0, 0.99999, 0.9951, 0.5, 0.0001, 0.0)]
    ['100 %', '99.9 %', '99.5 %', '50 %', '0.1 %', '0 %']
    """
    tenths = math.floor(share * 1_000 + 1e-9) if share < 1 else 1_000
    tenths = max(tenths, 1) if share > 0 else 0
    return f"{tenths / 10:g} %"
