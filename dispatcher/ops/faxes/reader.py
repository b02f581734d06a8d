"""Reads faxes, events and deliveries from the ledger. Read-only, and bounded however large the ledger is."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ledger.endpoint_rows import COLUMNS, endpoint_of
from dispatcher.ledger.pool import Pool
from dispatcher.ops.endpoints.urls import masked_url, name_of
from dispatcher.ops.faxes.bodies import (
    Attempt,
    Decision,
    Delivery,
    DeliveryPage,
    DeliveryWithAttempts,
    EventPage,
    EventWithContent,
    Fax,
    FaxInList,
    FaxPage,
    FaxStory,
    RecordedEvent,
    Untold,
)
from dispatcher.ops.faxes.explain import EndpointThen, summarize, why_untold
from dispatcher.ops.faxes.lists.lists import list_deliveries, list_events, list_faxes
from dispatcher.ops.faxes.lists.queries import FAILED, DeliveryQuery, EventQuery, FaxQuery
from dispatcher.ops.faxes.rows import (
    DELIVERY_COLUMNS,
    attempt_of,
    decision_of,
    delivery_of,
    delivery_with_attempts_of,
    event_of,
    event_with_content_of,
    fax_in_list_of,
    fax_of,
)
from shared.domain import Event, Provider, utc_now
from shared.ids import parse_uuid

MOST_EVENTS: Final = 500
MOST_DELIVERIES: Final = 500
MOST_ATTEMPTS: Final = 2_000
MOST_DECISIONS: Final = 2_000
"""Shown of one fax in its story; no provider sends as many."""

OWED: Final = "(SELECT count(*) FROM deliveries WHERE deliveries.event_id = e.id) AS owed"
ONE_FAX: Final = "SELECT * FROM faxes WHERE provider = $1 AND fax_id = $2"
EVENTS_OF_FAX: Final = f"""
SELECT e.*, faxes.rank, {OWED} FROM events e JOIN faxes USING (provider, fax_id)
WHERE provider = $1 AND fax_id = $2 ORDER BY e.received_at, e.recorded_at, e.id LIMIT $3
"""  # noqa: S608 - a constant
EVENTS: Final = f"""
SELECT e.id, e.provider, e.fax_id, e.type, e.occurred_at, e.received_at, e.recorded_at, faxes.rank,
       e.body IS NULL AS is_pruned, e.repeated_by_list, {OWED}
FROM events e JOIN faxes USING (provider, fax_id) WHERE e.id = ANY($1::text[])
"""  # noqa: S608 - a constant
ONE_EVENT: Final = f"""
SELECT e.*, faxes.rank, {OWED} FROM events e JOIN faxes USING (provider, fax_id) WHERE e.id = $1
"""  # noqa: S608 - a constant
_DELIVERIES: Final = f"SELECT {DELIVERY_COLUMNS} FROM deliveries d LEFT JOIN endpoints ON endpoints.id = d.endpoint_id"  # noqa: S608 - what is inserted is ours
DELIVERIES: Final = f"{_DELIVERIES} WHERE d.id = ANY($1::uuid[])"
DELIVERIES_OF_EVENTS: Final = f"{_DELIVERIES} WHERE d.event_id = ANY($1::text[]) ORDER BY d.id LIMIT $2"
ONE_DELIVERY: Final = f"{_DELIVERIES} WHERE d.id = $1"
ATTEMPTS: Final = "SELECT * FROM attempts WHERE delivery_id = ANY($1::uuid[]) ORDER BY delivery_id, number LIMIT $2"

DECISIONS: Final = "SELECT * FROM decisions WHERE delivery_id = ANY($1::uuid[]) ORDER BY delivery_id, at LIMIT $2"

COULD_BE_MEANT: Final = f"""
SELECT {COLUMNS}, created_at, updated_at FROM endpoints
WHERE removed_at IS NULL AND (scope = 'global' OR match_number IN ($1, $2)
      OR (match_provider = $3 AND match_fax_id = $4) OR match_job_id = $5)
ORDER BY created_at, id LIMIT 100
"""  # noqa: S608 - a constant

WEBHOOKS: Final = """
SELECT provider, fax_id, d.state, count(*) FROM unnest($1::text[], $2::text[]) AS wanted (provider, fax_id)
JOIN events e USING (provider, fax_id) JOIN deliveries d ON d.event_id = e.id GROUP BY provider, fax_id, d.state
"""
BODIES: Final = "SELECT id, body FROM events WHERE id = ANY($1::text[]) AND body IS NOT NULL"

_ALL_PROVIDERS: Final = [str(provider) for provider in Provider]
MEANT_BY: Final = """
SELECT provider, fax_id FROM faxes WHERE provider = ANY($2::text[]) AND fax_id = $3
UNION SELECT provider, fax_id FROM events WHERE id = $1
UNION SELECT provider, fax_id FROM events WHERE id IN (SELECT event_id FROM deliveries WHERE id = $4)
ORDER BY 1, 2
"""
MEANT_BY_JOB: Final = "SELECT provider, fax_id FROM faxes WHERE job_id = $1 ORDER BY 1, 2 LIMIT 20"


class FaxReader:
    """Queries of the ledger. An `after` that is not one of our cursors raises `BadCursor`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def faxes(self, query: FaxQuery) -> FaxPage:
        """Return a page of faxes."""
        rows, cursor = await list_faxes(self._pool, query)
        faxes = await self._with_webhooks(rows)
        return FaxPage(items=faxes, next=cursor)

    async def events(self, query: EventQuery) -> EventPage:
        """Return a page of events."""
        rows, cursor = await list_events(self._pool, query)
        ids = [row["id"] for row in rows]
        by_id = {row["id"]: event_of(row) for row in await self._pool.fetch(EVENTS, ids)}
        return EventPage(items=tuple(by_id[each] for each in ids if each in by_id), next=cursor)

    async def deliveries(self, query: DeliveryQuery) -> DeliveryPage:
        """Return a page of deliveries."""
        rows, cursor = await list_deliveries(self._pool, query)
        ids, now = [row["id"] for row in rows], utc_now()
        by_id = {row["id"]: delivery_of(row, now) for row in await self._pool.fetch(DELIVERIES, ids)}
        return DeliveryPage(items=tuple(by_id[each] for each in ids if each in by_id), next=cursor)

    async def events_of(self, deliveries: Sequence[Delivery]) -> dict[str, RecordedEvent]:
        """Return the events that *deliveries* are of, by their ids."""
        rows = await self._pool.fetch(EVENTS, list({each.event_id for each in deliveries}))
        return {row["id"]: event_of(row) for row in rows}

    async def _with_webhooks(self, rows: Sequence[Any]) -> tuple[FaxInList, ...]:
        """Return the faxes of *rows* with the states of their webhooks, and why they failed."""
        keys = [row["provider"] for row in rows], [row["fax_id"] for row in rows]
        counts: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for row in await self._pool.fetch(WEBHOOKS, *keys):
            counts[row["provider"], row["fax_id"]][row["state"]] = row["count"]
        failed = [row["event_id"] for row in rows if row["state"] in FAILED]
        bodies = {row["id"]: row["body"] for row in await self._pool.fetch(BODIES, failed)}
        return tuple(
            fax_in_list_of(row, counts[row["provider"], row["fax_id"]], bodies.get(row["event_id"])) for row in rows
        )

    async def event(self, event_id: str) -> EventWithContent | None:
        """Return one event, or None."""
        row = await self._pool.fetchrow(ONE_EVENT, event_id)
        return None if row is None else event_with_content_of(row)

    async def delivery(self, delivery_id: UUID) -> DeliveryWithAttempts | None:
        """Return one delivery with its attempts, or None."""
        row = await self._pool.fetchrow(ONE_DELIVERY, delivery_id)
        if row is None:
            return None
        attempts = await self._pool.fetch(ATTEMPTS, [delivery_id], MOST_ATTEMPTS)
        decisions = (await self._decisions([delivery_id]))[delivery_id]
        return delivery_with_attempts_of(row, [attempt_of(each) for each in attempts], decisions, utc_now())

    async def _decisions(self, delivery_ids: Sequence[UUID]) -> dict[UUID, list[Decision]]:
        found: dict[UUID, list[Decision]] = defaultdict(list)
        for row in await self._pool.fetch(DECISIONS, list(delivery_ids), MOST_DECISIONS):
            found[row["delivery_id"]].append(decision_of(row))
        return found

    async def story(self, provider: Provider, fax_id: str, now: datetime | None = None) -> FaxStory | None:
        """Return everything that is known of a fax; None if nothing is."""
        row = await self._pool.fetchrow(ONE_FAX, provider, fax_id)
        if row is None:
            return None
        fax = fax_of(row)
        events = await self._pool.fetch(EVENTS_OF_FAX, provider, fax_id, MOST_EVENTS + 1)
        event_ids = [each["id"] for each in events[:MOST_EVENTS]]
        owed = await self._pool.fetch(DELIVERIES_OF_EVENTS, event_ids, MOST_DELIVERIES + 1)
        tried = await self._pool.fetch(ATTEMPTS, [each["id"] for each in owed[:MOST_DELIVERIES]], MOST_ATTEMPTS + 1)
        attempts: dict[UUID, list[Attempt]] = defaultdict(list)
        for each in tried[:MOST_ATTEMPTS]:
            attempts[each["delivery_id"]].append(attempt_of(each))
        decisions = await self._decisions([each["id"] for each in owed[:MOST_DELIVERIES]])
        shown_events = tuple(event_with_content_of(each) for each in events[:MOST_EVENTS])
        shown_deliveries = tuple(
            delivery_with_attempts_of(each, attempts[each["id"]], decisions[each["id"]], now or utc_now())
            for each in owed[:MOST_DELIVERIES]
        )
        told_to = {each.endpoint_id for each in shown_deliveries}
        recorded_at = next((each.recorded_at for each in shown_events if each.id == row["event_id"]), None)
        return FaxStory(
            **msgspec.structs.asdict(fax),
            summary=summarize(fax, shown_events, shown_deliveries),
            events=shown_events,
            deliveries=shown_deliveries,
            untold=await self._untold(fax, row["event_id"], recorded_at or fax.last_received_at, told_to),
            is_cut=len(events) > MOST_EVENTS or len(owed) > MOST_DELIVERIES or len(tried) > MOST_ATTEMPTS,
        )

    async def _untold(self, fax: Fax, event_id: str, recorded_at: datetime, told_to: set[UUID]) -> tuple[Untold, ...]:
        """Return the endpoints that could have applied but are owed nothing, judged by the event that set the state."""
        rows = await self._pool.fetch(
            COULD_BE_MEANT, fax.from_number, fax.to_number, fax.provider, fax.fax_id, fax.job_id
        )
        won = Event(
            id=event_id,
            provider=fax.provider,
            type=fax.state,
            phase=fax.state.phase,
            direction=fax.direction,
            fax_id=fax.fax_id,
            received_at=fax.last_received_at,
            to_number=fax.to_number,
            job_id=fax.job_id,
        )
        candidates = [
            EndpointThen(endpoint_of(row), row["created_at"], row["updated_at"], row["is_gone"]) for row in rows
        ]
        endpoints = [each.endpoint for each in candidates]
        return tuple(
            Untold(
                endpoint_id=each.endpoint.id,
                endpoint_name=name_of(each.endpoint.url, each.endpoint.description),
                endpoint_url=masked_url(each.endpoint.url),
                why=why_untold(won, recorded_at, each, endpoints),
            )
            for each in candidates
            if each.endpoint.id not in told_to
        )

    async def find(self, text: str) -> list[tuple[Provider, str]]:
        """Return the faxes that *text* may mean: `provider:fax_id`, or the bare id of a fax, event, delivery or job."""
        provider, separator, rest = text.partition(":" if ":" in text else "/")
        is_named = bool(separator) and provider in _ALL_PROVIDERS
        rows = await self._pool.fetch(MEANT_BY, text, _ALL_PROVIDERS, text, parse_uuid(text))
        if is_named:
            rows += await self._pool.fetch(MEANT_BY, text, [provider], rest, None)
        rows = rows or await self._pool.fetch(MEANT_BY_JOB, text)
        return sorted({(Provider(row["provider"]), row["fax_id"]) for row in rows})
