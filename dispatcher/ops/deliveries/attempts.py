"""The list of attempts: a walk by time, or over the attempts of what an index finds: a fax, a job, a number."""

from collections import defaultdict
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.cursor import AwareTime, CursorOf
from dispatcher.ops.api.moments import read_span
from dispatcher.ops.dead.causes import delivery_codes
from dispatcher.ops.deliveries.bodies import AttemptInList, AttemptPage
from dispatcher.ops.endpoints.urls import name_of
from dispatcher.ops.faxes.bodies import Decision
from dispatcher.ops.faxes.lists.few import few_deliveries
from dispatcher.ops.faxes.lists.found import ATTEMPTS, narrow_to_faxes
from dispatcher.ops.faxes.lists.lists import ALL_PROVIDERS, Contradiction, narrow_by_time
from dispatcher.ops.faxes.lists.queries import AttemptQuery
from dispatcher.ops.faxes.lists.walk import Walk
from dispatcher.ops.faxes.reader import DECISIONS, MOST_DECISIONS
from dispatcher.ops.faxes.rows import attempt_of, decision_of, resent_by
from shared.domain import utc_now

_Number = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_KEY: Final = ("started_at", "delivery_id", "number")
CURSOR: Final = CursorOf("attempts", tuple[AwareTime, UUID, _Number])

_OF_EVENT: Final = """
(SELECT {0} FROM deliveries d JOIN events o ON o.id = d.event_id WHERE d.id = attempts.delivery_id)
"""
_OF_ONE_FAX: Final = """
SELECT d.id FROM events o JOIN deliveries d ON d.event_id = o.id WHERE o.provider = ANY($1::text[]) AND o.fax_id = $2
"""

ATTEMPTS_SHOWN: Final = """
SELECT attempts.*, d.state AS delivery_state, d.event_id, d.endpoint_id, o.type, o.provider, o.fax_id,
       endpoints.url AS endpoint_url, endpoints.description
FROM unnest($1::uuid[], $2::integer[]) WITH ORDINALITY AS wanted (delivery_id, number, place)
JOIN attempts USING (delivery_id, number) JOIN deliveries d ON d.id = attempts.delivery_id
JOIN events o ON o.id = d.event_id LEFT JOIN endpoints ON endpoints.id = d.endpoint_id
ORDER BY place
"""


class AttemptReader:
    """Lists attempts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, query: AttemptQuery) -> AttemptPage:
        """Return a page of attempts.

        Raises:
            BadCursor: `after` is no cursor of this list.
            BadMoment: A time cannot be read.
            BadNumber: The number cannot be read.
            Contradiction: No attempt can be meant.
        """
        if query.error is not None and query.outcome == "told":
            raise Contradiction("error", "attempts that were delivered have none")
        walk = Walk("attempts", _KEY, CURSOR)
        narrow_by_time(walk.within, read_span(query.since, query.until, utc_now()), "started_at")
        _narrow(walk, query)
        await narrow_to_faxes(self._pool, walk, ATTEMPTS, query, await self._deliveries(query))
        rows, cursor = await walk.page(self._pool, query.limit, query.after)
        return AttemptPage(items=await self._shown(rows), next=cursor)

    async def _deliveries(self, query: AttemptQuery) -> list[set[UUID]]:
        """Return the ids of the deliveries of the delivery, event and fax, or of the endpoint, that are named."""
        found = [] if query.delivery_id is None else [{query.delivery_id}]
        if query.event_id is not None:
            rows = await self._pool.fetch("SELECT id FROM deliveries WHERE event_id = $1", query.event_id)
            found.append({row["id"] for row in rows})
        if query.fax_id is not None:
            providers = ALL_PROVIDERS if query.provider is None else [query.provider]
            rows = await self._pool.fetch(_OF_ONE_FAX, providers, query.fax_id)
            found.append({row["id"] for row in rows})
        if not found and (few := await few_deliveries(self._pool, query, None)) is not None:
            found.append({row["id"] for row in few})
        return found

    async def _shown(self, keys: list[Any]) -> tuple[AttemptInList, ...]:
        ids = [row["delivery_id"] for row in keys]
        decisions: dict[UUID, list[Decision]] = defaultdict(list)
        for row in await self._pool.fetch(DECISIONS, list(set(ids)), MOST_DECISIONS):
            decisions[row["delivery_id"]].append(decision_of(row))
        rows = await self._pool.fetch(ATTEMPTS_SHOWN, ids, [row["number"] for row in keys])
        return tuple(_shown(row, decisions[row["delivery_id"]]) for row in rows)


def _narrow(walk: Walk, query: AttemptQuery) -> None:
    if query.outcome == "not_told" or query.error is not None:
        walk.within("outcome = 'not_told'")  # as the index of those that failed has it
    else:
        walk.matching("outcome = {0}", query.outcome)
    if query.error is not None:
        codes, is_negated = delivery_codes(query.error)
        walk.matching(f"error {'!~' if is_negated else '~'} {{0}}", codes)
    if query.fax_id is None:
        walk.matching(_OF_EVENT.format("o.provider = {0}"), query.provider)
    walk.matching(_OF_EVENT.format("o.type = {0}"), query.type)
    walk.matching("(SELECT d.endpoint_id FROM deliveries d WHERE d.id = attempts.delivery_id) = {0}", query.endpoint_id)


def _shown(row: Any, decisions: list[Decision]) -> AttemptInList:
    attempt = msgspec.structs.asdict(attempt_of(row))
    url = row["endpoint_url"]
    own = {
        **row,
        **attempt,
        "endpoint_name": None if url is None else name_of(url, row["description"]),
        "resent_by": resent_by(row["number"], decisions),
    }
    return msgspec.convert(own, AttemptInList)
