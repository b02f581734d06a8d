"""The lists of faxes, events and deliveries, as SQL. Each is a walk; what is rare and asked for often has its index."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.cursor import AwareTime, CursorOf
from dispatcher.ops.api.moments import read_span
from dispatcher.ops.faxes.lists.delivery_ids import id_beyond, least_id
from dispatcher.ops.faxes.lists.few import few_deliveries, few_events
from dispatcher.ops.faxes.lists.found import DELIVERIES, EVENTS, FROM, HAS_NUMBER, TO, narrow_to_faxes
from dispatcher.ops.faxes.lists.numbers import numbers_meant
from dispatcher.ops.faxes.lists.queries import ENDINGS, FAILED, DeliveryQuery, EventQuery, FaxQuery
from dispatcher.ops.faxes.lists.walk import Walk
from shared.domain import EventType, Provider, utc_now
from shared.errors import FaxhookError

Span = tuple[datetime | None, datetime | None]
"""From the one on and before the other; None: without that bound."""

Page = tuple[list[Any], str | None]
"""Rows, and the cursor behind them."""

_OF_FAXES: Final = CursorOf("faxes", tuple[AwareTime, str, str])
_OF_FAILING: Final = CursorOf("faxes failing", tuple[UUID])
_OF_EVENTS: Final = CursorOf("events", tuple[AwareTime, str])
_OF_DELIVERIES: Final = CursorOf("deliveries", tuple[UUID])

ALL_PROVIDERS: Final = [str(provider) for provider in Provider]
_FAILED_STATES: Final = ", ".join(f"'{state}'" for state in sorted(FAILED))  # as the index has them
_IS_STALLED: Final = "rank < 100 AND stalled_at IS NOT NULL"  # as the index has it

_FAILING: Final = """
(SELECT faxes.*, d.id AS delivery_id FROM deliveries d
 CROSS JOIN LATERAL (SELECT provider, fax_id FROM events WHERE id = d.event_id OFFSET 0) AS e
 CROSS JOIN LATERAL (SELECT * FROM faxes WHERE (provider, fax_id) = (e.provider, e.fax_id) OFFSET 0) AS faxes
 WHERE d.state IN ('retrying', 'dead') AND d.state = ANY(ARRAY[{states}]) AND NOT EXISTS (
    SELECT 1 FROM events o JOIN deliveries later ON later.event_id = o.id
    WHERE (o.provider, o.fax_id) = (e.provider, e.fax_id) AND later.id > d.id AND later.state = ANY(ARRAY[{states}])
 )) AS faxes
"""
"""From the latest failing delivery to the fax, which stands there once; row by row, as an index gives them."""


_FAXES_OF_EVENTS: Final = "SELECT DISTINCT provider, fax_id FROM events WHERE id = ANY($1::text[])"


class Contradiction(FaxhookError):
    """Filters that nothing can match together."""

    code = "bad_query"
    status = 422

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


async def list_faxes(pool: Pool, query: FaxQuery) -> Page:
    """Return a page of faxes.

    Raises:
        Contradiction: No fax can be meant.
        BadMoment: A time cannot be read.
        BadNumber: The number cannot be read.
    """
    _check(query)
    span = read_span(query.since, query.until, utc_now())
    if query.webhooks is not None:
        states = "'dead'" if query.webhooks == "dead" else "'dead', 'retrying'"
        walk = Walk(_FAILING.format(states=states), ("delivery_id",), _OF_FAILING)
        if span[0] is not None:
            walk.within("delivery_id >= {0}", least_id(span[0]))
        narrow_by_time(walk.matching, span, "first_received_at")
        walk.matching("job_id = {0}", query.job_id)
        if query.number is not None:
            walk.matching(HAS_NUMBER, list(await numbers_meant(pool, query.number)))
        if query.failed:
            walk.matching(f"state IN ({_FAILED_STATES})")
    else:
        walk = Walk("faxes", ("first_received_at", "provider", "fax_id"), _OF_FAXES)
        narrow_by_time(walk.within, span, "first_received_at")
        if query.failed or query.state in FAILED or query.failure is not None:
            # The index of those that failed serves it; not beside that of a number, whose faxes are fewer.
            (walk.within if query.number is None else walk.matching)(f"state IN ({_FAILED_STATES})")
        if query.job_id is not None:
            walk.within("job_id = {0}", query.job_id)
        if query.number is not None:
            numbers = await numbers_meant(pool, query.number)
            walk.within_any(TO, numbers)
            walk.within_any(FROM, numbers, unless=TO)
        else:
            await _narrow_to_few(pool, walk, query, span[0])
    for column in ("provider", "direction", "conflicting"):
        walk.matching(f"{column} = {{0}}", getattr(query, column))
    _narrow_state(walk, query)
    if query.failed is False:
        walk.matching(f"state NOT IN ({_FAILED_STATES})")
    walk.looking_into(
        "{0} IN (SELECT convert_from(events.body, 'UTF8')::json #>> path FROM events, "
        "(VALUES ('{{failure,type}}'::text[]), ('{{failure,code}}')) AS paths (path) "
        "WHERE events.id = event_id AND events.body IS NOT NULL)",
        query.failure,
    )
    walk.matching(
        # Not EXISTS: the planner may answer that for all faxes at once, by reading all deliveries.
        "(SELECT 1 FROM events o JOIN deliveries ON deliveries.event_id = o.id "
        "WHERE (o.provider, o.fax_id) = (faxes.provider, faxes.fax_id) AND deliveries.endpoint_id = {0} LIMIT 1) = 1",
        query.endpoint_id,
    )
    return await walk.page(pool, query.limit, query.after)


async def _narrow_to_few(pool: Pool, walk: Walk, query: FaxQuery, since: datetime | None) -> None:
    """Narrow *walk* to the faxes of the query's endpoint, where they are few; those of a job are found as quickly."""
    few = None if query.job_id is not None else await few_deliveries(pool, query, since)
    if few is not None:
        keys = await pool.fetch(_FAXES_OF_EVENTS, [each["event_id"] for each in few])
        walk.within_pairs(("provider", "fax_id"), [(each["provider"], each["fax_id"]) for each in keys])


async def list_events(pool: Pool, query: EventQuery) -> Page:
    """Return a page of events' ids, as rows.

    Raises:
        BadMoment: A time cannot be read.
        BadNumber: The number cannot be read.
    """
    walk = Walk("events", ("recorded_at", "id"), _OF_EVENTS)
    span = read_span(query.since, query.until, utc_now())
    narrow_by_time(walk.within, span, "recorded_at")
    also = []
    if query.fax_id is not None:
        providers = ALL_PROVIDERS if query.provider is None else [query.provider]
        walk.within("provider = ANY({0}::text[]) AND fax_id = {1}", providers, query.fax_id)
    else:
        walk.matching("provider = {0}", query.provider)
        if (of_provider := await few_events(pool, query.provider)) is not None:
            also.append({each["id"] for each in of_provider})
        if (of_endpoint := await few_deliveries(pool, query, span[0])) is not None:
            also.append({each["event_id"] for each in of_endpoint})
    walk.matching("type = {0}", query.type)
    walk.matching(
        # Not EXISTS, as above. The index that has each pair once serves it.
        "(SELECT 1 FROM deliveries d WHERE d.event_id = events.id AND d.endpoint_id = {0}) = 1",
        query.endpoint_id,
    )
    await narrow_to_faxes(pool, walk, EVENTS, query, also)
    return await walk.page(pool, query.limit, query.after)


async def list_deliveries(pool: Pool, query: DeliveryQuery) -> Page:
    """Return a page of deliveries' ids, as rows.

    Raises:
        Contradiction: No delivery can be meant.
        BadMoment: A time cannot be read.
        BadNumber: The number cannot be read.
    """
    if query.reason is not None and query.state not in {None, "dead", "skipped"}:
        raise Contradiction("reason", f"deliveries that are {query.state} have none: dead and skipped ones have")
    span = read_span(query.since, query.until, utc_now())
    # Their ids are version 7: the time comes first.
    walk = Walk("deliveries", ("id",), _OF_DELIVERIES)
    since, until = span
    if since is not None:
        walk.within("id >= {0}", least_id(since))
    if until is not None:
        walk.within("id < {0}", id_beyond(until))
    narrow_by_time(walk.matching, span, "created_at")
    is_narrow = _narrow_deliveries(walk, query)
    few = None if is_narrow else await few_deliveries(pool, query, since)
    also = [] if few is None else [{each["id"] for each in few}]
    is_narrow = await narrow_to_faxes(pool, walk, DELIVERIES, query, also) or is_narrow
    if query.endpoint_id is not None:
        (walk.within if is_narrow else walk.matching)("endpoint_id = {0}", query.endpoint_id)
    walk.matching("reason = {0}", query.reason)
    walk.matching("(SELECT o.type FROM events o WHERE o.id = deliveries.event_id) = {0}", query.type)
    return await walk.page(pool, query.limit, query.after)


def _narrow_deliveries(walk: Walk, query: DeliveryQuery) -> bool:
    """Narrow *walk* to what an index holds; return whether it is narrow then."""
    if query.event_id is not None:
        walk.within("event_id = {0}", query.event_id)
    if query.state in {"pending", "retrying"}:
        # The index of what is owed serves it; it is as small as what is owed.
        walk.within("state IN ('pending', 'retrying') AND state = {0}", query.state)
    elif query.state == "dead":
        walk.within("state = 'dead'")  # as the index of the dead has it
    else:
        walk.matching("state = {0}", query.state)
    return query.event_id is not None or query.state in {"pending", "retrying", "dead"}


def _narrow_state(walk: Walk, query: FaxQuery) -> None:
    if query.state is EventType.STALLED:
        (walk.within if query.webhooks is None else walk.matching)(_IS_STALLED)
    else:
        walk.matching("state = {0}", query.state)


def _check(query: FaxQuery) -> None:
    reached_by = None if query.state is None else ENDINGS.get(query.state)
    if reached_by is not None and query.direction not in {None, reached_by}:
        raise Contradiction("direction", f"state={query.state} is that of a {reached_by} fax: leave one of them out")
    if query.state is not None and query.failed is not None and query.failed is not (query.state in FAILED):
        raise Contradiction("failed", f"contradicts state={query.state}: leave one of them out")
    if query.failure is not None and query.failed is False:
        raise Contradiction("failure", "only faxes that failed have one, and failed=false leaves them out")
    if query.failure is not None and query.state is not None and query.state not in FAILED:
        raise Contradiction("failure", f"only faxes that failed have one, and state={query.state} leaves them out")


def narrow_by_time(add: Callable[..., None], span: Span, column: str) -> None:
    """Add the conditions that *column* is within *span*, by a walk's `within` or `matching`."""
    since, until = span
    if since is not None:
        add(f"{column} >= {{0}}", since)
    if until is not None:
        add(f"{column} < {{0}}", until)
