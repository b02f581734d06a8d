"""Parked deliveries: owed to a paused endpoint, in the ledger alone, without lease, message or age.

A parked delivery is due in the year 9999: no sweep, no message and no look at what is due finds it. It is leased again
when its endpoint is resumed, in the order in which deliveries came to be owed. Until the last one is, the endpoint is
*catching up*, and what comes newly for it is parked behind them.

Nothing is left parked: parking holds a share lock on the endpoint's row and looks at it; resuming it, and the end of
catching up, update that row. Whichever comes second sees the other.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from dispatcher.ledger import deliveries
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import Pool, transaction
from dispatcher.policy.delivery import Lease, LeasedDelivery, UnreadableDelivery
from shared.sql import PARKED_DUE_AT

_IS_PARKED: Final = f"state IN ('pending', 'retrying') AND due_at = {PARKED_DUE_AT}"

MOST_ENDPOINTS: Final = 100
"""Catching up, in one look."""

_WAITING: Final = """
SELECT id FROM endpoints
WHERE id = ANY($1::uuid[]) AND (paused AND enabled AND removed_at IS NULL OR catching_up)
ORDER BY id FOR SHARE
"""


async def lock_waiting(connection: Any, endpoint_ids: Iterable[UUID]) -> frozenset[UUID]:
    """Return those of the endpoints whose deliveries are to be parked; that stays so until the transaction ends."""
    wanted = sorted(set(endpoint_ids))
    if not wanted:
        return frozenset()
    return frozenset(row["id"] for row in await connection.fetch(_WAITING, wanted))


PARK: Final = f"""
WITH waiting AS MATERIALIZED ({_WAITING})
UPDATE deliveries d
SET lease_until = NULL, sweeps = 0,
    due_at = CASE WHEN d.endpoint_id IN (SELECT id FROM waiting) THEN {PARKED_DUE_AT} ELSE now() END
FROM unnest($2::uuid[], $3::timestamptz[]) AS batch (id, lease_until)
WHERE d.id = batch.id AND d.lease_until = batch.lease_until AND d.state IN ('pending', 'retrying')
RETURNING d.id, d.due_at = {PARKED_DUE_AT} AS is_parked
"""  # noqa: S608 - what is inserted is ours


async def park(pool: Pool, leases: Sequence[Lease]) -> dict[UUID, bool]:
    """Give leases back without an attempt; return for those that were ours to give whether they are parked.

    One that is not is due now: its endpoint was resumed in the same moment.
    """
    ordered = sorted(leases, key=lambda each: each.delivery_id)
    endpoint_ids = sorted({each.endpoint_id for each in ordered})
    untils: list[datetime] = [each.lease_until for each in ordered]
    rows = await pool.fetch(PARK, endpoint_ids, [each.delivery_id for each in ordered], untils)
    return {row["id"]: row["is_parked"] for row in rows}


_CATCHING_UP: Final = "SELECT id FROM endpoints WHERE catching_up AND id > $2 ORDER BY id LIMIT $1"
FIRST: Final = UUID(int=0)
_IS_CATCHING_UP: Final = "SELECT true FROM endpoints WHERE id = $1 AND catching_up FOR UPDATE"
_NEXT: Final = f"""
SELECT id, attempts + 1 AS attempt FROM deliveries WHERE endpoint_id = $1 AND {_IS_PARKED} ORDER BY id LIMIT $2
"""  # noqa: S608 - what is inserted is ours
_CAUGHT_UP: Final = "UPDATE endpoints SET catching_up = false WHERE id = $1"


async def catching_up(pool: Pool, after: UUID = FIRST) -> list[UUID]:
    """Return the endpoints that are catching up, at most `MOST_ENDPOINTS`, those with ids after *after*."""
    return [row["id"] for row in await pool.fetch(_CATCHING_UP, MOST_ENDPOINTS, after)]


async def lease_next(
    pool: Pool, store: EndpointStore, endpoint_id: UUID, most: int, margin_seconds: float
) -> list[LeasedDelivery | UnreadableDelivery]:
    """Lease the next *most* parked deliveries of an endpoint that is catching up, in order; the last ones end that."""
    async with transaction(pool) as connection:
        if not await connection.fetchval(_IS_CATCHING_UP, endpoint_id):
            return []
        wanted = [(row["id"], row["attempt"]) for row in await connection.fetch(_NEXT, endpoint_id, most)]
        if len(wanted) < most:
            await connection.execute(_CAUGHT_UP, endpoint_id)
        claimed = await deliveries.claim(connection, store, wanted, margin_seconds) if wanted else []
    return sorted(claimed, key=lambda each: each.delivery_id)


_NOW: Final = "SELECT pg_current_xact_id()::text"
_UNDER_WAY: Final = """
SELECT count(*) FILTER (WHERE endpoint_id = $1 AND lease_until > now()) AS leased,
       pg_snapshot_xmin(pg_current_snapshot()) > $2::text::xid8 AS is_settled
FROM deliveries
WHERE state IN ('pending', 'retrying')
  AND greatest(due_at, lease_until) > now() AND greatest(due_at, lease_until) < now() + interval '10 minutes'
"""
"""By the index of what is owed: a lease ends within minutes. `is_settled`: no transaction is open that may have read
the endpoint as it was before."""


class PauseWatch:
    """Watches a pause that has been committed take effect."""

    def __init__(self, pool: Pool, endpoint_id: UUID) -> None:
        self._pool = pool
        self._endpoint_id = endpoint_id
        self._began: str | None = None

    async def look(self) -> tuple[int, bool]:
        """Return how many deliveries processes still hold, and whether that is all there can be."""
        if self._began is None:
            self._began = await self._pool.fetchval(_NOW)
        (row,) = await self._pool.fetch(_UNDER_WAY, self._endpoint_id, self._began)
        return int(row["leased"]), bool(row["is_settled"])
