"""How far faxes have come, looked up again before the attempts at inflight events that waited for their turn."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final
from uuid import UUID

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.policy.delivery import LeasedDelivery
from dispatcher.policy.verdict import may_be_overtaken
from shared.domain import Event

TURN_SECONDS: Final = 0.05
"""What is attempted so soon after its lease did not wait for its turn."""

RANKED_SECONDS: Final = 0.02
"""For so long a rank that was looked up ahead counts: less than `TURN_SECONDS`."""

RANKED_AHEAD: Final = 2
"""Times `max_concurrent`: what a lane attempts within `RANKED_SECONDS`, of an application that answers in 10 ms."""

RANKS_OF: Final = """
SELECT wanted.position, faxes.rank
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (provider, fax_id, position)
JOIN faxes ON faxes.provider = wanted.provider AND faxes.fax_id = wanted.fax_id
"""


async def _ranks_of(pool: Pool, events: Sequence[Event]) -> list[int]:
    """Return how far the fax of each of *events* in the ledger has come; 0 if its row was deleted by hand."""
    ranks = [0] * len(events)
    for row in await pool.fetch(RANKS_OF, [each.provider for each in events], [each.fax_id for each in events]):
        ranks[row["position"] - 1] = row["rank"]
    return ranks


class RankLookUps:
    """Looks up, for all lanes of this process; what one has asked for, another one waits for."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ranking: dict[UUID, asyncio.Event] = {}

    async def note(self, delivery: LeasedDelivery, coming: Iterable[LeasedDelivery] = ()) -> None:
        """Look up again how far its fax has come, if it waited for its turn and may be overtaken by now.

        Another process may have taken in the fax's ending meanwhile, and told it at once: its lane may be empty. A
        ledger that is away changes nothing: what was known is gone by.

        Args:
            delivery: Whose attempt is next.
            coming: What waits behind it in its lane: the next of them are looked up with it. One by one, the look-ups
                of a burst of inflight events take a quarter of what telling them does.
        """
        now = time.monotonic()
        if not _is_to_be_ranked(delivery, now):
            return
        if (other := self._ranking.get(delivery.delivery_id)) is not None:
            await other.wait()
            if delivery.ranked_at >= now - RANKED_SECONDS:
                return
        next_ones = islice(coming, RANKED_AHEAD * delivery.endpoint.max_concurrent)
        wanted = [delivery, *(each for each in next_ones if _is_to_be_ranked(each, now))]
        done = asyncio.Event()
        self._ranking |= {each.delivery_id: done for each in wanted}
        try:
            with suppress(*LEDGER_UNAVAILABLE):
                ranks = await _ranks_of(self._pool, [each.event for each in wanted])
                for each, rank in zip(wanted, ranks, strict=True):
                    each.fax_rank, each.ranked_at = max(each.fax_rank, rank), now
        finally:
            done.set()
            for each in wanted:
                if self._ranking.get(each.delivery_id) is done:
                    del self._ranking[each.delivery_id]


def _is_to_be_ranked(delivery: LeasedDelivery, now: float) -> bool:
    has_waited = now - delivery.held_since > TURN_SECONDS and now - delivery.ranked_at > RANKED_SECONDS
    return has_waited and may_be_overtaken(delivery)
