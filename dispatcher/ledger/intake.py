"""Events into the ledger: deduplicated, folded, and what is owed for them, in one transaction.

All writes come in batches (`unnest`) with sorted keys, because two batches with the same keys in opposite order
deadlock. What is owed is said by `routing`; the endpoints of single faxes, too many to keep in memory, are looked up
inside the transaction.

An endpoint of a fax may be registered while the fax's first events are being taken in. Neither transaction need see
the other, so both look again after their own commit for events that nobody is owed: one of them sees both.

A ledger that goes away in the middle leaves it open whether a batch was committed. The batch comes again, and what it
had written the first time is handed over then, where the ledger says that its leases are still ours.

The body of an old event is pruned (`retention`). Nothing is owed for such an event any more, and its id goes on
answering that it was known.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ledger import deliveries as ledger
from dispatcher.ledger.endpoint_cache import EndpointCache
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import Pool, transaction
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from dispatcher.policy.lifecycle import FaxState, fold
from dispatcher.policy.routing import Owed, route, skip_overtaken
from shared.domain import Event, decode_event, encode_event
from shared.ids import uuid7

INSERT_EVENTS: Final = """
INSERT INTO events (id, provider, fax_id, type, occurred_at, received_at, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bytea[])
    AS batch (id, provider, fax_id, type, occurred_at, received_at, body)
ORDER BY id COLLATE "C"
ON CONFLICT ON CONSTRAINT events_key DO NOTHING
RETURNING id
"""

_WINS: Final = """
(excluded.rank, coalesce(excluded.occurred_at, '-infinity'), excluded.type_order, excluded.event_id)
> (faxes.rank, coalesce(faxes.occurred_at, '-infinity'), faxes.type_order, faxes.event_id)
"""
"""The order of `lifecycle.FaxState.precedence`, compared after locking the row: no concurrent batch is missed."""

FOLD_FAXES: Final = f"""
INSERT INTO faxes (provider, fax_id, direction, state, rank, occurred_at, type_order, event_id, endings,
                   from_number, to_number, job_id, pages, first_received_at, last_received_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::timestamptz[], $7::smallint[],
                     $8::text[], $9::integer[], $10::text[], $11::text[], $12::text[], $13::integer[],
                     $14::timestamptz[], $15::timestamptz[])
    AS batch (provider, fax_id, direction, state, rank, occurred_at, type_order, event_id, endings,
              from_number, to_number, job_id, pages, first_received_at, last_received_at)
ORDER BY provider, fax_id COLLATE "C"
ON CONFLICT ON CONSTRAINT faxes_key DO UPDATE SET
    state             = CASE WHEN {_WINS} THEN excluded.state ELSE faxes.state END,
    occurred_at       = CASE WHEN {_WINS} THEN excluded.occurred_at ELSE faxes.occurred_at END,
    type_order        = CASE WHEN {_WINS} THEN excluded.type_order ELSE faxes.type_order END,
    event_id          = CASE WHEN {_WINS} THEN excluded.event_id ELSE faxes.event_id END,
    rank              = greatest(faxes.rank, excluded.rank),
    direction         = greatest(faxes.direction, excluded.direction),
    endings           = faxes.endings | excluded.endings,
    from_number       = greatest(faxes.from_number, excluded.from_number),
    to_number         = greatest(faxes.to_number, excluded.to_number),
    job_id            = greatest(faxes.job_id, excluded.job_id),
    pages             = greatest(faxes.pages, excluded.pages),
    first_received_at = least(faxes.first_received_at, excluded.first_received_at),
    last_received_at  = greatest(faxes.last_received_at, excluded.last_received_at)
RETURNING provider, fax_id, rank
"""  # noqa: S608 - the inserted text is the constant above

UNOWED: Final = """
SELECT events.body, faxes.rank FROM events JOIN faxes USING (provider, fax_id)
WHERE events.id = ANY($1::text[]) AND events.body IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.event_id = events.id)
ORDER BY events.id
FOR KEY SHARE OF events
"""

UNOWED_OF_FAX: Final = """
SELECT events.id FROM events JOIN faxes USING (provider, fax_id)
WHERE (faxes.provider = $1 AND faxes.fax_id = $2 OR faxes.job_id = $3) AND faxes.direction = 'sent'
AND events.body IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.event_id = events.id)
ORDER BY events.id
"""

INSERT_DELIVERIES: Final = """
INSERT INTO deliveries (id, event_id, endpoint_id, state, reason, lease_until, settled_at)
SELECT id, event_id, endpoint_id,
       CASE WHEN reason IS NULL THEN 'pending' ELSE 'skipped' END, reason,
       CASE WHEN reason IS NULL THEN now() + make_interval(secs => lease_seconds) END,
       CASE WHEN reason IS NOT NULL THEN now() END
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::float8[])
    AS batch (id, event_id, endpoint_id, reason, lease_seconds)
ORDER BY event_id COLLATE "C", endpoint_id
ON CONFLICT ON CONSTRAINT deliveries_once_per_endpoint DO NOTHING
RETURNING id, lease_until
"""


class OwedDelivery(msgspec.Struct, frozen=True):
    """A delivery as it was written. `lease_until` is ours, by the ledger's clock; None for what is skipped."""

    delivery_id: UUID
    owed: Owed
    lease_until: datetime | None


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a batch: the ids seen for the first time, and what is owed (skipped ones included), leased to us."""

    fresh: frozenset[str]
    owed: list[OwedDelivery]


class Intake:
    """Takes events in. One for each process."""

    def __init__(self, pool: Pool, store: EndpointStore, book: EndpointCache) -> None:
        self._pool = pool
        self._store = store
        self._book = book
        self._in_doubt: dict[str, list[OwedDelivery]] = {}
        """By event, what a `take` wrote that did not return: of one batch, which is taken again until it is in."""

    async def take(self, events: Sequence[Event]) -> Taken:
        """Take a batch that holds each id once. What was known before owes nothing again.

        To be called again with the same events after an error that is no row's fault: whatever had been committed
        until then is handed over by the call that returns.
        """
        self._in_doubt = {each.id: self._in_doubt[each.id] for each in events if each.id in self._in_doubt}
        async with transaction(self._pool) as connection:
            taken = await self._take(connection, events)
            self._doubt(taken)
        ours = await self._still_ours([event.id for event in events if event.id not in taken.fresh])
        owed_ids = {each.owed.event.id for each in (*taken.owed, *ours.owed)}
        late = await self.owe_unowed([event.id for event in events if event.id not in owed_ids], leased=True)
        self._in_doubt = {}
        return Taken(fresh=taken.fresh | ours.fresh, owed=[*taken.owed, *ours.owed, *late])

    async def owe_unowed(self, event_ids: Sequence[str], *, leased: bool) -> list[OwedDelivery]:
        """Owe those of the events that nobody is owed to the endpoints of their own fax, if there are any now.

        *leased* to this process, or else for the sweeper to find at once.
        """
        if not event_ids:
            return []
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(UNOWED, list(event_ids))
            events = [decode_event(row["body"]) for row in rows]
            of_faxes = await self._store.of_faxes(connection, events)
            if not of_faxes:
                return []
            ranks: dict[tuple[str, str], int] = {
                (event.provider, event.fax_id): row["rank"] for event, row in zip(events, rows, strict=True)
            }
            owed = skip_overtaken([each for event in events for each in route(event, of_faxes)], ranks)
            deliveries = await _insert_deliveries(connection, owed, leased=leased)
            if leased:
                self._doubt(Taken(fresh=frozenset(), owed=deliveries))
            return deliveries

    async def owe_registered(self, endpoint: Endpoint) -> int:
        """Owe a fax's endpoint, committed just now, what its fax's events were owed to nobody; return how many."""
        match endpoint.match:
            case FaxMatch(provider=provider, fax_id=fax_id, job_id=job_id):
                rows = await self._pool.fetch(UNOWED_OF_FAX, provider, fax_id, job_id)
                return len(await self.owe_unowed([row["id"] for row in rows], leased=False))
            case _:
                return 0

    def _doubt(self, taken: Taken) -> None:
        """Remember what is being committed, or was leased anew, instead of what was known of its fresh events."""
        for event_id in taken.fresh:
            self._in_doubt[event_id] = []
        for each in taken.owed:
            self._in_doubt.setdefault(each.owed.event.id, []).append(each)

    async def _still_ours(self, known_ids: Sequence[str]) -> Taken:
        """Return what an earlier `take` wrote of these events and nobody has been at since, leased anew."""
        fresh = frozenset(event_id for event_id in known_ids if event_id in self._in_doubt)
        written = [each for event_id in fresh for each in self._in_doubt[event_id]]
        leases = [
            ledger.Lease(each.delivery_id, each.lease_until, each.owed.endpoint.lease_seconds)
            for each in written
            if each.lease_until is not None
        ]
        renewed = await ledger.renew(self._pool, leases) if leases else {}
        ours = [
            OwedDelivery(each.delivery_id, each.owed, renewed.get(each.delivery_id))
            for each in written
            if each.lease_until is None or each.delivery_id in renewed
        ]
        self._doubt(Taken(fresh=fresh, owed=ours))
        return Taken(fresh=fresh, owed=ours)

    async def _take(self, connection: Any, events: Sequence[Event]) -> Taken:
        rows = await connection.fetch(
            INSERT_EVENTS,
            [event.id for event in events],
            [event.provider for event in events],
            [event.fax_id for event in events],
            [event.type for event in events],
            [event.occurred_at for event in events],
            [event.received_at for event in events],
            [encode_event(event) for event in events],
        )
        fresh = frozenset(row["id"] for row in rows)
        if not fresh:
            return Taken(fresh=fresh, owed=[])
        new = [event for event in events if event.id in fresh]
        ranks = await _fold_faxes(connection, fold(new))
        of_faxes = await self._store.of_faxes(connection, new)
        owed = [each for event in new for each in route(event, (*of_faxes, *self._book.candidates(event)))]
        return Taken(fresh=fresh, owed=await _insert_deliveries(connection, skip_overtaken(owed, ranks), leased=True))


async def _insert_deliveries(connection: Any, owed: Sequence[Owed], *, leased: bool) -> list[OwedDelivery]:
    identified = [(uuid7(), each) for each in owed]
    if not identified:
        return []
    rows = await connection.fetch(
        INSERT_DELIVERIES,
        [delivery_id for delivery_id, _ in identified],
        [each.event.id for _, each in identified],
        [each.endpoint.id for _, each in identified],
        [each.skipped for _, each in identified],
        [each.endpoint.lease_seconds if leased else 0.0 for _, each in identified],
    )
    leases = {row["id"]: row["lease_until"] for row in rows}
    return [
        OwedDelivery(delivery_id, each, leases[delivery_id])
        for delivery_id, each in identified
        if delivery_id in leases
    ]


async def _fold_faxes(connection: Any, states: Sequence[FaxState]) -> dict[tuple[str, str], int]:
    rows = await connection.fetch(
        FOLD_FAXES,
        [state.provider for state in states],
        [state.fax_id for state in states],
        [state.direction for state in states],
        [state.state for state in states],
        [state.state.rank for state in states],
        [state.occurred_at for state in states],
        [state.state.order for state in states],
        [state.event_id for state in states],
        [state.endings for state in states],
        [state.from_number for state in states],
        [state.to_number for state in states],
        [state.job_id for state in states],
        [state.pages for state in states],
        [state.first_received_at for state in states],
        [state.last_received_at for state in states],
    )
    return {(row["provider"], row["fax_id"]): row["rank"] for row in rows}
