"""Which faxes have been without an ending for too long, by the ledger, and the event that says so.

Both ends of a fax's age are the ledger's clock: from when it took in the fax's first event until now. A provider's
clock, that of an ingress, and events that waited in the broker while no dispatcher ran make no fax look older.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from shared.domain import Direction, Event, EventType, Provider
from shared.providers.common import digest_id

PER_PAGE: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

UNENDED: Final = """
SELECT fax_id, direction, state, from_number, to_number, job_id, pages, recorded_at,
       extract(epoch FROM now() - recorded_at)::float8 AS age_seconds
FROM faxes
WHERE rank < 100 AND stalled_at IS NULL AND provider = $1 AND direction = $2
AND recorded_at < now() - make_interval(secs => $3) AND (recorded_at, fax_id) > ($4, $5)
ORDER BY recorded_at, fax_id LIMIT $6
"""
"""The index `faxes_unended`, and nothing else. $3: the limit, $4 and $5: the last one of the page before."""

ProviderSays = Literal["under_way", "not_found", "not_asked", "unreadable"]
"""What the provider's API said of a fax that stalled. `not_asked`: no key is set, or it did not answer."""


class UnendedFax(msgspec.Struct, frozen=True, kw_only=True):
    """A fax without an ending for longer than its limit.

    Attributes:
        recorded_at: When the ledger took in its first event.
        age_seconds: Since then, by the ledger's clock.
    """

    provider: Provider
    fax_id: str
    direction: Direction
    state: EventType
    from_number: str | None
    to_number: str | None
    job_id: str | None
    pages: int | None
    recorded_at: datetime
    age_seconds: float


async def unended_faxes(
    connection: Any, provider: Provider, limits: Mapping[tuple[Provider, Direction], float]
) -> AsyncIterator[UnendedFax]:
    """Yield the faxes of *provider* that are over their limit (seconds), page by page, the oldest first."""
    for direction in Direction:
        limit_seconds = limits[provider, direction]
        last = (_EPOCH, "")
        while True:
            rows = await connection.fetch(UNENDED, provider, direction, limit_seconds, *last, PER_PAGE)
            for row in rows:
                yield msgspec.convert({**row, "provider": provider}, UnendedFax)
            if len(rows) < PER_PAGE:
                break
            last = (rows[-1]["recorded_at"], rows[-1]["fax_id"])


def stalled_event(fax: UnendedFax, limit_seconds: float, says: ProviderSays, now: datetime) -> Event:
    """Return the event that *fax* stalled. Its id is the same whichever process makes it, and how often."""
    return Event(
        id=digest_id(fax.provider, ("stalled", fax.fax_id)),
        provider=fax.provider,
        type=EventType.STALLED,
        phase=EventType.STALLED.phase,
        direction=fax.direction,
        fax_id=fax.fax_id,
        occurred_at=fax.recorded_at + timedelta(seconds=limit_seconds),
        received_at=now,
        from_number=fax.from_number,
        to_number=fax.to_number,
        pages=fax.pages,
        job_id=fax.job_id,
        fields={"state": str(fax.state), "after_seconds": limit_seconds, "provider_says": says},
    )
