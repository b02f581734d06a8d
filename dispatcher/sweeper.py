"""Puts back what is owed and has nobody looking: a dead process's leases, and what is due without a message.

One dispatcher at a time sweeps, by an advisory lock that goes with its connection. Each delivery put back is looked at
later each time; one that never gets on is dead-lettered as `stuck` rather than going round for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from dispatcher import ledger
from dispatcher.ledger import Overdue
from dispatcher.messages import DeadDelivery, DeliveryMessage, Publishing
from dispatcher.metrics import Metrics
from dispatcher.pool import LEDGER_AWAY, LEDGER_BUSY, Pool
from shared.broker import DEAD_DELIVERY, FAX_DEAD, FAX_WORK, WORK_KEY
from shared.log import get_logger
from shared.publisher import NotKept

SWEEP_EVERY_SECONDS: Final = 5.0
GRACE_SECONDS: Final = 60.0
"""How long after its due time a delivery without a lease is left to its message: queues may be long."""

MOST_PER_SWEEP: Final = 500
MOST_SWEEPS: Final = 10
"""Put back so often without a single attempt: something is wrong that time does not mend."""

LONGEST_GRACE_SECONDS: Final = 3_600.0
_LOCK_KEY: Final = 0xFA_0002


def next_look_seconds(sweeps: int, grace_seconds: float = GRACE_SECONDS) -> float:
    """Return when to look again at a delivery that was put back *sweeps* times before, in seconds.

    >>> [next_look_seconds(sweeps) for sweeps in (0, 1, 2, 9)]
    [60.0, 120.0, 240.0, 3600.0]
    """
    return float(min(grace_seconds * 2**sweeps, LONGEST_GRACE_SECONDS))


class Sweeper:
    """Sweeps every few seconds while it is the one."""

    def __init__(
        self,
        pool: Pool,
        publisher: Publishing,
        metrics: Metrics,
        *,
        every_seconds: float = SWEEP_EVERY_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._metrics = metrics
        self._every_seconds = every_seconds
        self._grace_seconds = grace_seconds
        self._log = get_logger()

    async def run(self, ledger_known: Callable[[], Awaitable[None]]) -> None:
        """Once the ledger is known to be there, sweep for ever; stores that are away are tried again."""
        await ledger_known()
        while True:
            try:
                while await self.sweep() == MOST_PER_SWEEP:
                    pass
                self._metrics.sweeps_done.inc()
            except (*LEDGER_AWAY, *LEDGER_BUSY, NotKept) as error:
                self._metrics.sweeps_failed.inc()
                self._log.warning("sweep.failed", reason=type(error).__name__)
            await asyncio.sleep(self._every_seconds)

    async def sweep(self) -> int:
        """Put back what is overdue; return how many. Zero if another dispatcher sweeps now.

        Published and confirmed inside the transaction that moves `due_at` on: dying in between repeats a message,
        which the claim drops, and forgets none.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK_KEY):
                return 0
            overdue = await ledger.overdue(connection, self._grace_seconds, MOST_PER_SWEEP)
            stuck = [each for each in overdue if each.sweeps >= MOST_SWEEPS]
            live = [each for each in overdue if each.sweeps < MOST_SWEEPS]
            if live:
                await self._put_back(connection, live)
            if stuck:
                await self._bury(connection, stuck)
        if overdue:
            self._metrics.swept.inc(len(live))
            self._log.warning("sweep.done", put_back=len(live), stuck=len(stuck))
        return len(overdue)

    async def _put_back(self, connection: Any, live: Sequence[Overdue]) -> None:
        messages = [msgspec.json.encode(DeliveryMessage(each.delivery_id, each.attempt)) for each in live]
        await self._publish_all(
            (FAX_WORK, WORK_KEY, body, {"attempt": each.attempt}) for each, body in zip(live, messages, strict=True)
        )
        looks = [(each.delivery_id, next_look_seconds(each.sweeps, self._grace_seconds)) for each in live]
        await ledger.move_on(connection, looks)

    async def _bury(self, connection: Any, stuck: Sequence[Overdue]) -> None:
        rows = await ledger.bury_stuck(connection, [each.delivery_id for each in stuck])
        now = datetime.now(UTC)
        dead = [
            DeadDelivery(
                delivery_id=row["id"],
                attempt=row["attempts"],
                event_id=row["event_id"],
                endpoint_id=row["endpoint_id"],
                cause="stuck",
                reason=f"put back {MOST_SWEEPS} times without an attempt",
                died_at=now,
            )
            for row in rows
        ]
        await self._publish_all(
            (FAX_DEAD, DEAD_DELIVERY, msgspec.json.encode(each), {"cause": "stuck"}) for each in dead
        )
        self._metrics.died("stuck", len(dead))

    async def _publish_all(self, messages: Any) -> None:
        await asyncio.gather(*(self._publisher.publish(*message) for message in messages))
