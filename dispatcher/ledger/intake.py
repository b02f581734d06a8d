"""Events into the ledger: deduplicated, folded, and what is owed for them, in one transaction.

All writes come in batches (`unnest`) with sorted keys, because two batches with the same keys in opposite order
deadlock. What is owed is said by `routing`. The endpoints are looked up inside the transaction: whatever was changed in
them before it began is in force for the whole batch.

An endpoint of a fax may be registered while the fax's first events are being taken in. Neither transaction need see
the other, so both sides look again after their own commit for events that were owed to no endpoint (`owe_unowed`): one
of them sees both. What was taken in before is owed by the transaction that writes the endpoint: a process that dies
after it has forgotten nothing.

If the ledger goes away during a commit, it is unknown whether the batch was committed. The batch comes again; what it
had owed the first time waits until its leases run out, for the sweeper.

The body of an old event is pruned (`retention`). Nothing is owed for such an event any more; its id stays known.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.faxes.documents import note_repeated_documents
from dispatcher.ledger.faxes.folding import BY_INDEX, fold_faxes, mark_repeated
from dispatcher.ledger.parking import lock_waiting
from dispatcher.ledger.pool import Pool, transaction
from dispatcher.policy.candidates import Candidates
from dispatcher.policy.delivery import Deferred, LeasedDelivery
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from dispatcher.policy.lifecycle import fold
from dispatcher.policy.routing import ENDPOINT_DISABLED, Owed, route, skip_overtaken
from shared.domain import Event, decode_event, encode_event
from shared.ids import uuid7
from shared.sql import PARKED_DUE_AT

INSERT_EVENTS: Final = f"""
INSERT INTO events (id, provider, fax_id, type, occurred_at, received_at, body, trace)
SELECT batch.*
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bytea[],
            $8::text[])
    AS batch (id, provider, fax_id, type, occurred_at, received_at, body, trace), {BY_INDEX}
ORDER BY id COLLATE "C"
ON CONFLICT ON CONSTRAINT events_key DO NOTHING
RETURNING id
"""  # noqa: S608 - the inserted text is the constant above

_IS_UNOWED: Final = f"""
NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.event_id = events.id
            AND (deliveries.state, deliveries.reason) IS DISTINCT FROM ('skipped', '{ENDPOINT_DISABLED}'))
"""  # noqa: S608 - the inserted text is a constant
"""What was recorded for endpoints that are off was owed to none of them."""

UNOWED: Final = f"""
SELECT events.id, events.body, events.trace, faxes.rank FROM events JOIN faxes USING (provider, fax_id), {BY_INDEX}
WHERE events.id = ANY($1::text[]) AND events.body IS NOT NULL AND NOT events.repeated_by_list AND {_IS_UNOWED}
ORDER BY events.id
FOR KEY SHARE OF events
"""  # noqa: S608 - what is inserted is ours

UNOWED_OF_FAX: Final = f"""
SELECT events.id FROM events JOIN faxes USING (provider, fax_id)
WHERE (faxes.provider = $1 AND faxes.fax_id = $2 OR faxes.job_id = $3) AND faxes.direction = 'sent'
AND events.body IS NOT NULL AND NOT events.repeated_by_list AND {_IS_UNOWED}
ORDER BY events.id
"""  # noqa: S608 - what is inserted is ours

INSERT_DELIVERIES: Final = f"""
INSERT INTO deliveries (id, event_id, endpoint_id, state, reason, lease_until, due_at, settled_at)
SELECT id, event_id, endpoint_id,
       CASE WHEN reason IS NULL THEN 'pending' ELSE 'skipped' END, reason,
       CASE WHEN reason IS NULL THEN now() + make_interval(secs => lease_seconds) END,
       CASE WHEN reason IS NULL AND lease_seconds IS NULL THEN coalesce(now() + make_interval(secs => wait_seconds),
                                                                        {PARKED_DUE_AT}) ELSE now() END,
       CASE WHEN reason IS NOT NULL THEN now() END
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::float8[], $6::float8[])
    AS batch (id, event_id, endpoint_id, reason, lease_seconds, wait_seconds)
ORDER BY event_id COLLATE "C", endpoint_id
ON CONFLICT ON CONSTRAINT deliveries_once_per_endpoint DO NOTHING
RETURNING id, lease_until
"""  # noqa: S608 - the inserted text is a constant
"""`lease_seconds` is NULL for what is deferred, and for what is parked, which has no `wait_seconds` either."""


LOCK_NOT_OWED: Final = f"""
SELECT FROM deliveries WHERE event_id = ANY($1::text[]) AND state = 'skipped' AND reason = '{ENDPOINT_DISABLED}'
ORDER BY id FOR UPDATE
"""

SUPERSEDE: Final = f"""
UPDATE deliveries SET reason = 'superseded' FROM endpoints
WHERE deliveries.event_id = ANY($1::text[])
AND deliveries.state = 'skipped' AND deliveries.reason = '{ENDPOINT_DISABLED}'
AND endpoints.id = deliveries.endpoint_id AND endpoints.scope <> 'fax'
"""  # noqa: S608 - the inserted text is a constant
"""What is owed to a fax's own endpoint after all is not to be recovered for a more general one."""

_NO_TRACES: Final[Mapping[str, str]] = {}


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a batch.

    Attributes:
        fresh: Ids of the events that were not known before.
        deliveries: What is owed for them, leased to this process.
        deferred: What is owed for them to endpoints that get no attempts now; each is to have its message.
        parked: The event's id for each delivery that waits in the ledger: for its endpoint to be resumed; or for the
            sweeper, if that is damaged, and a dead letter will say so.
        recorded_only: Ids of the events of which at least one delivery was recorded as skipped, though its endpoint
            is on.
        repeated: Ids of those fresh ones whose ending was told under another id, see `lifecycle.repeated_endings`: they
            are recorded and owed to no endpoint.
    """

    fresh: frozenset[str] = frozenset()
    deliveries: list[LeasedDelivery] = []
    deferred: list[Deferred] = []
    parked: tuple[str, ...] = ()
    recorded_only: frozenset[str] = frozenset()
    repeated: frozenset[str] = frozenset()

    @property
    def owed_ids(self) -> list[str]:
        """The event's id of each delivery that is owed."""
        return [*(each.event_id for each in self.deliveries), *(each.event_id for each in self.deferred), *self.parked]


DeferSeconds = Callable[[Endpoint], float | None]
"""Returns for how long what comes newly for an endpoint is deferred; None: it may be attempted at once."""


def never(_endpoint: Endpoint) -> None:
    """Defer nothing."""


class Intake:
    """Takes events in. One for each process."""

    def __init__(self, pool: Pool, store: EndpointStore, defer_seconds: DeferSeconds = never) -> None:
        self._pool = pool
        self._store = store
        self._defer_seconds = defer_seconds

    async def take(self, events: Sequence[Event], traces: Mapping[str, str] = _NO_TRACES) -> Taken:
        """Take a batch that holds each id once. An event that was known before owes nothing again.

        *traces* holds the trace context of those events that have one, by id; see `shared.tracing.context`.
        """
        async with transaction(self._pool) as connection:
            # 1. Which events are new? The key decides, so that repetitions may come at any number of processes at once.
            rows = await connection.fetch(
                INSERT_EVENTS,
                [event.id for event in events],
                [event.provider for event in events],
                [event.fax_id for event in events],
                [event.type for event in events],
                [event.occurred_at for event in events],
                [event.received_at for event in events],
                [encode_event(event) for event in events],
                [traces.get(event.id) for event in events],
            )
            fresh = frozenset(row["id"] for row in rows)
            if not fresh:
                return Taken()
            new = [event for event in events if event.id in fresh]
            # 2. How far has each fax come? This locks its row, so that no concurrent batch is missed.
            folded = await fold_faxes(connection, fold(new))
            ranks = {fax: rank for fax, (rank, _) in folded.items()}
            # 3. Which endings were told under another id, because a provider's list told them first or second? The rows
            # of the faxes are locked, so that no concurrent batch is missed.
            listed = {fax: endings for fax, (_, endings) in folded.items() if endings}
            repeated = await mark_repeated(connection, new, listed)
            new = [event for event in new if event.id not in repeated]
            # 4. What is owed to which endpoint?
            candidates = Candidates(await self._store.of_events(connection, new))
            owed = [each for event in new for each in route(event, candidates.of(event))]
            owed = skip_overtaken(owed, ranks)
            return msgspec.structs.replace(
                await _insert_deliveries(connection, owed, traces, self._defer_seconds, leased=True),
                fresh=fresh,
                repeated=repeated,
                recorded_only=frozenset(
                    each.event.id for each in owed if each.skipped not in {None, ENDPOINT_DISABLED}
                ),
            )

    async def note_repeated(self, events: Sequence[Event]) -> None:
        """Note what repetitions say of documents that their events only named."""
        await note_repeated_documents(self._pool, events)

    async def owe_unowed(self, event_ids: Sequence[str], *, leased: bool) -> Taken:
        """Owe those of the events that were owed to no endpoint to the endpoints of their own fax, if it has any now.

        They are *leased* to this process, or else left to the sweeper, which finds them at once.
        """
        if not event_ids:
            return Taken()
        async with transaction(self._pool) as connection:
            return await self._owe_unowed(connection, event_ids, leased=leased)

    async def owe_registered(self, endpoint: Endpoint) -> int:
        """Owe an endpoint, just committed, the events of its own fax that were owed to no endpoint; return how many."""
        if not isinstance(endpoint.match, FaxMatch):
            return 0
        async with transaction(self._pool) as connection:
            return await self.owe_written(connection, endpoint)

    async def owe_written(self, connection: Any, endpoint: Endpoint) -> int:
        """Do the same for an endpoint that was just written in the caller's transaction."""
        if not isinstance(endpoint.match, FaxMatch):
            return 0
        fax = endpoint.match
        rows = await connection.fetch(UNOWED_OF_FAX, fax.provider, fax.fax_id, fax.job_id)
        owed = await self._owe_unowed(connection, [row["id"] for row in rows], leased=False)
        return len(owed.owed_ids)

    async def _owe_unowed(self, connection: Any, event_ids: Sequence[str], *, leased: bool) -> Taken:
        rows = await connection.fetch(UNOWED, list(event_ids)) if event_ids else []
        if not rows:
            return Taken()
        events = [decode_event(row["body"]) for row in rows]
        candidates = Candidates(await self._store.of_events(connection, events))
        ranks: dict[tuple[str, str], int] = {
            (event.provider, event.fax_id): row["rank"] for event, row in zip(events, rows, strict=True)
        }
        owed = [each for event in events for each in route(event, candidates.of_fax(event))]
        owed = skip_overtaken(owed, ranks)
        if owed:
            # What is recovered for a more general endpoint at this moment is owed. Wait for that; look once more.
            await connection.execute(LOCK_NOT_OWED, [each.event.id for each in owed])
            unowed = {row["id"] for row in await connection.fetch(UNOWED, [each.event.id for each in owed])}
            owed = [each for each in owed if each.event.id in unowed]
            await connection.execute(SUPERSEDE, [each.event.id for each in owed])
        traces = {row["id"]: row["trace"] for row in rows}
        return await _insert_deliveries(connection, owed, traces, self._defer_seconds, leased=leased)


async def _insert_deliveries(
    connection: Any, owed: Sequence[Owed], traces: Mapping[str, str], defer_seconds: DeferSeconds, *, leased: bool
) -> Taken:
    """Write what is owed; return what is leased to this process, in the order of *owed*, deferred, and parked."""
    if not owed:
        return Taken()
    # In the order of *owed*, also within a millisecond: what is parked is told in the order of its ids.
    identified = list(zip(sorted(uuid7() for _ in owed), owed, strict=True))
    could_wait = {each.endpoint.id for each in owed if each.skipped is None and each.endpoint.is_waiting}
    waiting = await lock_waiting(connection, could_wait)

    def terms(endpoint: Endpoint) -> tuple[float | None, float | None]:
        """Return for how long it is leased, or after how long it is due without a lease; neither: it is parked."""
        if endpoint.id in waiting:
            return None, None
        if not leased or endpoint.is_damaged:
            return 0.0, None
        wait_seconds = defer_seconds(endpoint)
        return (endpoint.lease_seconds, None) if wait_seconds is None else (None, wait_seconds)

    agreed = [terms(each.endpoint) for _, each in identified]
    rows = await connection.fetch(
        INSERT_DELIVERIES,
        [delivery_id for delivery_id, _ in identified],
        [each.event.id for _, each in identified],
        [each.endpoint.id for _, each in identified],
        [each.skipped for _, each in identified],
        [lease_seconds for lease_seconds, _ in agreed],
        [wait_seconds for _, wait_seconds in agreed],
    )
    leases = {row["id"]: row["lease_until"] for row in rows if row["lease_until"] is not None}
    written = {row["id"] for row in rows}
    parked = [
        each.event.id
        for delivery_id, each in identified
        if delivery_id in written and each.skipped is None and (each.endpoint.id in waiting or each.endpoint.is_damaged)
    ]
    now = datetime.now(UTC)
    held = [
        LeasedDelivery(
            delivery_id=delivery_id,
            event_id=each.event.id,
            endpoint_id=each.endpoint.id,
            attempt=1,
            lease_until=leases[delivery_id],
            event=each.event,
            endpoint=each.endpoint,
            owed_since=now,
            trace=traces.get(each.event.id),
        )
        for delivery_id, each in identified
        if delivery_id in leases and not each.endpoint.is_damaged
    ]
    deferred = [
        Deferred(
            delivery_id=delivery_id, event_id=each.event.id, endpoint_id=each.endpoint.id, attempt=1, wait_seconds=wait
        )
        for (delivery_id, each), (_, wait) in zip(identified, agreed, strict=True)
        if wait is not None and delivery_id in written and each.skipped is None
    ]
    return Taken(deliveries=held, deferred=deferred, parked=tuple(parked))
