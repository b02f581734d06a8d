"""Puts back what is owed and has neither a live lease nor a message: what a dead process held, and what is overdue.

One dispatcher at a time sweeps, and no faster than `MOST_PER_SECOND`, however much is owed: the advisory lock is held
for as long as a batch may take at that rate. Each time that a delivery is put back it is looked at later; one that is
never attempted is dead-lettered as `stuck` rather than going round for ever.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from dispatcher.ledger.locks import Lock, leader
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.maintenance import overdue
from dispatcher.maintenance.overdue import Overdue, OverdueUpdate
from dispatcher.messages import DeadDelivery, Publishing, publish_dead, publish_in_turn
from dispatcher.metrics import Metrics
from shared.amqp.publisher import NotKept
from shared.log import get_logger

SWEEP_EVERY_SECONDS: Final = 5.0

SETTLING_SECONDS: Final = 15.0
"""After the ledger was away, and at the start: what was told meanwhile is recorded first. A lease that ran out while no
process could renew it says nothing about its process."""

MOST_PER_SECOND: Final = 500.0
"""A fraction of what one dispatcher works off, so that a sweep never adds more than its part to what is due anyway;
100,000 that lost their messages are back within four minutes."""

MOST_PER_SWEEP: Final = 250

FIRST_LOOK_SECONDS: Final = 60.0
LONGEST_LOOK_SECONDS: Final = 3_600.0

MOST_SWEEPS: Final = 10
"""Put back so often without a single attempt: something is wrong that does not pass by itself."""


def next_look_seconds(sweeps: int) -> float:
    """Return when a delivery that was put back *sweeps* times before is due again, in seconds.

    >>> [next_look_seconds(sweeps) for sweeps in (0, 1, 2, 9)]
    [60.0, 120.0, 240.0, 3600.0]
    """
    return float(min(FIRST_LOOK_SECONDS * 2**sweeps, LONGEST_LOOK_SECONDS))


class Sweeper:
    """Sweeps every few seconds, if no other dispatcher does.

    *grace_seconds* says how long what is due is left to its message; None while that cannot be told.
    """

    def __init__(
        self,
        pool: Pool,
        publisher: Publishing,
        metrics: Metrics,
        grace_seconds: Callable[[], float | None],
        *,
        every_seconds: float = SWEEP_EVERY_SECONDS,
        most_per_second: float = MOST_PER_SECOND,
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._metrics = metrics
        self._grace_seconds = grace_seconds
        self._every_seconds = every_seconds
        self._most_per_second = most_per_second
        self._log = get_logger()

    async def run(self, schema_verified: Callable[[], Awaitable[None]]) -> None:
        """Sweep for ever, once the schema is verified; stores that are away are tried again."""
        await schema_verified()
        wait_seconds = SETTLING_SECONDS
        while True:
            await asyncio.sleep(wait_seconds)
            wait_seconds = self._every_seconds
            try:
                while await self.sweep() == MOST_PER_SWEEP:
                    pass
                self._metrics.sweeps_done.inc()
            except (*LEDGER_UNAVAILABLE, NotKept) as error:
                self._metrics.sweeps_failed.inc()
                self._log.warning("sweep.failed", reason=type(error).__name__)
                if not isinstance(error, NotKept):
                    wait_seconds = SETTLING_SECONDS

    async def sweep(self) -> int:
        """Put back what is overdue; return how many. Zero if another dispatcher sweeps now.

        Raises:
            NotKept: The broker did not take them all; the next sweep finds the others.
        """
        async with leader(self._pool, Lock.SWEEP) as connection:
            if connection is None:
                return 0
            started = time.monotonic()
            found = await overdue.find(connection, self._grace_seconds(), MOST_PER_SWEEP)
            # Put back often without one attempt: going on would hide what is wrong.
            stuck = [each for each in found if each.sweeps >= MOST_SWEEPS]
            live = [
                OverdueUpdate(each, each.sweeps + 1, next_look_seconds(each.sweeps))
                for each in found
                if each.sweeps < MOST_SWEEPS
            ]
            if live:
                await overdue.put_back(connection, self._publisher, live)
            if stuck:
                await self._give_up(connection, stuck)
            if found:
                self._metrics.swept.inc(len(live))
                self._log.warning("sweep.done", put_back=len(live), stuck=len(stuck))
            # Within the turn, so that the rate holds for all dispatchers together.
            await asyncio.sleep(len(found) / self._most_per_second - (time.monotonic() - started))
        return len(found)

    async def _give_up(self, connection: Any, stuck: Sequence[Overdue]) -> None:
        """Publish dead letters, then say so in the ledger: never the other way round, as everywhere."""
        letters = [
            DeadDelivery(
                delivery_id=each.delivery_id,
                attempt=each.attempt - 1,
                event_id=each.event_id,
                endpoint_id=each.endpoint_id,
                cause="stuck",
                reason=f"put back {MOST_SWEEPS} times without an attempt",
                died_at=datetime.now(UTC),
            )
            for each in stuck
        ]
        answers = await publish_in_turn(publish_dead(self._publisher, self._metrics, letter) for letter in letters)
        if kept := [each for each, answer in zip(stuck, answers, strict=True) if answer is None]:
            await overdue.give_up(connection, kept)
        for answer in answers:
            if answer is not None:
                raise answer
