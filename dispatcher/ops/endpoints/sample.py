"""A test delivery: a sample event to an endpoint's URL, in its format and with its signature, outside the ledger.

It goes through the same channel and under the same egress rules as every delivery. It is not retried, and only the
audit records it.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from dispatcher.channels import Attempt, Channel
from dispatcher.channels.outcome import NotTried, Outcome, Told
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.dead.causes import cause_in_words
from dispatcher.ops.endpoints.reading.describe import sentence_of_damage
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.ops.words import duration, printable
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from dispatcher.policy.routing import has_word
from shared.domain import FINISHED_RANK, Direction, Event, EventType, Failure, Provider, utc_now
from shared.ids import command_id, uuid7

FROM_NUMBER = "+15550100101"
TO_NUMBER = "+15550100102"
_RECEIVED = frozenset({EventType.RECEIVED, EventType.RECEIVE_FAILED, EventType.RECEIVING})
_FAILED = frozenset({EventType.FAILED, EventType.RECEIVE_FAILED})


class SampleOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the application answered.

    Attributes:
        is_told: A delivery with this answer is told.
        verdict: The same in a sentence.
        type: Of the sample event.
        event_id: Of the sample, as the application saw it.
        url: It was posted to this one; without user and password.
        error: A stable code such as `timeout`; null if it was told.
        answer: The first 2 KiB, unprintable characters escaped.
    """

    is_told: bool
    verdict: str
    type: EventType
    event_id: str
    url: str | None
    http_status: int | None
    error: str | None
    seconds: float
    answer: str


def sample_event(endpoint: Endpoint, event_type: EventType | None = None) -> Event:
    """Return an event that *endpoint* could get, marked as a test; without *event_type*, a fax that succeeded."""
    is_received = endpoint.direction == "received" or endpoint.scope == "number"
    event_type = event_type or _first_wanted(endpoint, is_received=is_received)
    is_stalled = event_type is EventType.STALLED  # of either direction
    match = endpoint.match if isinstance(endpoint.match, FaxMatch) else FaxMatch()
    now = utc_now()
    fax_id = match.fax_id or f"test-{uuid7()}"
    return Event(
        id=f"test:{uuid7()}",
        provider=match.provider or Provider.PHAXIO,
        type=event_type,
        phase=event_type.phase,
        direction=Direction.RECEIVED if event_type in _RECEIVED or (is_received and is_stalled) else Direction.SENT,
        fax_id=fax_id,
        occurred_at=now,
        received_at=now,
        from_number=FROM_NUMBER,
        to_number=endpoint.match if isinstance(endpoint.match, str) else TO_NUMBER,
        pages=1,
        status="success" if event_type.rank == FINISHED_RANK and event_type not in _FAILED else None,
        failure=Failure(type="testError", code="test", message="a test delivery") if event_type in _FAILED else None,
        job_id=match.job_id,
        is_test=True,
    )


def _first_wanted(endpoint: Endpoint, *, is_received: bool) -> EventType:
    """Return the type of a fax that succeeded, else the first that the endpoint gets."""
    succeeded = EventType.RECEIVED if is_received else EventType.DELIVERED
    of_direction = {EventType.STALLED, *(each for each in EventType if (each in _RECEIVED) is is_received)}
    known = [each for each in EventType if each in of_direction.intersection(endpoint.types)]
    return succeeded if not known or succeeded in known else known[0]


async def send_sample(
    endpoint: Endpoint,
    channels: Mapping[str, Channel],
    event_type: EventType | None = None,
    *,
    failover: bool = False,
) -> SampleOutcome:
    """Send a sample and say what came back. Takes at most the endpoint's `timeout_seconds`.

    Raises:
        BadEndpoint: It has no failover, or its format has no such event, or it is damaged.
    """
    if endpoint.is_damaged:
        raise BadEndpoint(endpoint.damaged[0], sentence_of_damage(endpoint))
    url = endpoint.failover_url if failover else endpoint.url
    if url is None:
        raise BadEndpoint("failover", "the endpoint has no failover_url")
    event = sample_event(endpoint, event_type)
    if not has_word(url, endpoint.format, event):
        raise BadEndpoint("type", f"{endpoint.format} has no {event.type}: such events are not sent")
    attempt = Attempt(
        event=event,
        document=None,
        url=url,
        format=endpoint.format,
        tokens=endpoint.tokens,
        headers=endpoint.headers,
        timeout_seconds=endpoint.timeout_seconds,
        delivery_id=uuid7(),
        command_id=command_id(event.id, endpoint.id),
        number=1,
        now=event.received_at,
    )
    started = time.perf_counter()
    outcome = await channels[url.partition(":")[0]].attempt(attempt)
    seconds = time.perf_counter() - started
    return SampleOutcome(
        is_told=isinstance(outcome, Told),
        verdict=_verdict(outcome, seconds),
        type=event.type,
        event_id=event.id,
        url=None if isinstance(outcome, NotTried) else outcome.url,
        http_status=None if isinstance(outcome, NotTried) else outcome.http_status,
        error=None if isinstance(outcome, Told) else outcome.error,
        seconds=round(seconds, 6),
        answer="" if isinstance(outcome, NotTried) else printable(outcome.answer),
    )


async def audit_sample(connection: Any, who: str, endpoint: Endpoint, outcome: SampleOutcome) -> None:
    """Write to the audit that *who* sent a sample, and its outcome."""
    details = {"type": outcome.type, "is_told": outcome.is_told}
    await write_audit(connection, who, "endpoint.tested", endpoint.id, details)


def _verdict(outcome: Outcome, seconds: float) -> str:
    after = f"after {duration(seconds)}"
    match outcome:
        case Told():
            status = "accepted" if outcome.http_status is None else f"it answered {outcome.http_status}"
            return f"delivered: {status} {after}"
        case NotTried():
            return f"not tried: {cause_in_words(outcome.error)}"
        case _ if outcome.is_gone:
            return f"not delivered: it answered 410 {after}; a delivery would disable the endpoint"
        case _:
            return f"not delivered: {cause_in_words(outcome.error)}, {after}; a delivery would be tried again"
