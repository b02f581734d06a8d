"""A fax's story as one list in time order: what happened when, at which endpoint, with what outcome. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ops.dead.causes import cause_in_words
from dispatcher.ops.endpoints.urls import place_of
from dispatcher.ops.faxes.bodies import Attempt, Decision, DeliveryWithAttempts, EventWithContent, FaxStory
from dispatcher.ops.words import SUCCESSOR, counted, duration
from shared.domain import FROM_LIST, Event, EventType

MomentKind = Literal["event", "skipped", "attempt", "decision", "dead", "due"]
Tone = Literal["plain", "good", "bad", "waiting", "faint"]
DECIDED: Final = {
    "dead.replay": "replayed",
    "dead.discard": "discarded",
    "endpoint.recover": "recovered",
    "delivery.resend": "sent again",
}
PROVIDER_SAID: Final = {
    "under_way": "; its provider says that it is under way",
    "not_found": "; its provider does not know it",
    "unreadable": "; what its provider says of it cannot be read",
    "not_asked": "; its provider could not be asked",
}
"""Of a fax that stalled, see `lists.stalled.faxes.ProviderSays`."""

WORTH_SAYING_SECONDS = 1.0
"""A wait between two steps that is shorter than this needs no words."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a timeline.

    Attributes:
        seconds: Since the fax's first event was received.
        what: In plain English.
        to: The endpoint's URL, if it is about one.
        detail: What the event said or the receiver answered; may be empty, may hold several lines.
        tone: How it should look.
    """

    at: datetime
    seconds: float
    kind: MomentKind
    what: str
    to: str | None = None
    endpoint_id: UUID | None = None
    event_id: str | None = None
    delivery_id: UUID | None = None
    attempt: int | None = None
    detail: str = ""
    tone: Tone = "plain"


def timeline(story: FaxStory, now: datetime) -> Sequence[Moment]:
    """Return what happened to a fax, and what is due next, in time order."""
    types = {event.id: str(event.type) for event in story.events}
    moments = [_event(event) for event in story.events]
    names = {str(delivery.endpoint_id): _endpoint(delivery) for delivery in story.deliveries}
    for delivery in story.deliveries:
        moments.extend(_delivery(delivery, types.get(delivery.event_id, delivery.event_id), names, now))
    moments.sort(key=lambda each: each.at)
    start = min((each.at for each in moments), default=now)
    return [msgspec.structs.replace(each, seconds=(each.at - start).total_seconds()) for each in moments]


def _event(event: EventWithContent) -> Moment:
    notes = []
    if event.is_overtaken:
        notes.append("overtaken: a later stage of the fax is known")
    if event.is_pruned:
        notes.append("its content is pruned")
    is_listed = event.content is not None and event.content.origin == FROM_LIST
    if is_listed:
        notes.append("found on the provider's list")
    if event.repeated_by_list:
        first = "its callback" if is_listed else "the provider's list"
        notes.append(f"a repetition: {first} reported this ending before")
    if event.content is not None:
        notes += _content(event.content)
    if event.occurred_at is not None and (late := (event.received_at - event.occurred_at).total_seconds()):
        notes += [f"{duration(late)} after it happened"] if late >= WORTH_SAYING_SECONDS else []
    if (waited := (event.recorded_at - event.received_at).total_seconds()) >= WORTH_SAYING_SECONDS:
        notes.append(f"recorded {duration(waited)} later")
    notes.append(f"owed to {counted(event.owed, 'endpoint')}" if event.owed else "owed to no endpoint")
    return Moment(
        at=event.received_at,
        seconds=0.0,
        kind="event",
        what=f"{event.provider} reported {event.type}" if event.type is not EventType.STALLED else _stalled(event),
        event_id=event.id,
        detail=", ".join(notes),
        tone="faint"
        if event.is_overtaken or event.repeated_by_list
        else "waiting"
        if event.type is EventType.STALLED
        else "plain",
    )


def _stalled(event: EventWithContent) -> str:
    """Return that, and since when, there was no ending; and what the provider's API said of the fax."""
    fields = {} if event.content is None else event.content.fields
    after = fields.get("after_seconds")
    said = PROVIDER_SAID.get(str(fields.get("provider_says")), "")
    return "no ending came" + (f" within {duration(after)}" if isinstance(after, float | int) else "") + said


def _content(event: Event) -> list[str]:
    notes = ["a test"] if event.is_test else []
    notes += [f"“{event.status}”"] if event.status else []
    notes += [counted(event.pages, "page")] if event.pages is not None else []
    if event.failure is not None:
        said = event.failure.message or event.failure.code or event.failure.type
        notes += [f"reason: {said}"] if said else []
    return notes


def _endpoint(delivery: DeliveryWithAttempts) -> str:
    return delivery.endpoint_name or f"endpoint {delivery.endpoint_id}, deleted since"


def _delivery(
    delivery: DeliveryWithAttempts, event_type: str, names: Mapping[str, str], now: datetime
) -> Iterator[Moment]:
    about = Moment(
        at=delivery.created_at,
        seconds=0.0,
        kind="skipped",
        what="",
        to=_endpoint(delivery),
        endpoint_id=delivery.endpoint_id,
        event_id=delivery.event_id,
        delivery_id=delivery.id,
    )
    for attempt in delivery.attempts:
        yield _attempt(about, attempt, event_type, delivery.endpoint_url or "")
    reason = delivery.reason or ""
    successor = reason.removeprefix(SUCCESSOR) if reason.startswith(SUCCESSOR) else None
    for decision in delivery.decisions:
        said = DECIDED[decision.what]
        if successor is not None and decision is delivery.decisions[-1]:
            said = f"sent to its successor {names.get(successor, successor)} instead"
        yield _decision(about, decision, f"{event_type} {said}")
    about = msgspec.structs.replace(about, what=f"{event_type} {delivery.explanation}")
    match delivery.state:
        case "skipped" if delivery.reason == "discarded":
            if not any(each.what == "dead.discard" for each in delivery.decisions):  # recorded by an older version
                yield msgspec.structs.replace(about, at=delivery.settled_at or now, kind="decision", tone="faint")
        case "skipped" if successor is not None and delivery.decisions:
            pass  # said by the decision
        case "skipped":
            yield msgspec.structs.replace(about, tone="faint")
        case "dead":
            died_at, detail = delivery.settled_at or now, "a dead letter: see `faxhook dead show`"
            yield msgspec.structs.replace(about, at=died_at, kind="dead", detail=detail, tone="bad")
        case "pending" | "retrying":
            due_at, attempt_number = delivery.due_at or now, delivery.attempts_made + 1
            yield msgspec.structs.replace(about, at=due_at, kind="due", attempt=attempt_number, tone="waiting")


def _decision(about: Moment, decision: Decision, said: str) -> Moment:
    after = f" after {counted(decision.attempts, 'attempt')}" if decision.attempts else " before any attempt"
    return msgspec.structs.replace(
        about,
        at=decision.at,
        kind="decision",
        what=f"{said} by {decision.who},{after}",
        detail=f"reason: {decision.reason}" if decision.reason else "",
        tone="faint" if decision.what == "dead.discard" else "plain",
    )


def _attempt(about: Moment, attempt: Attempt, event_type: str, endpoint_url: str) -> Moment:
    is_told = attempt.outcome == "told"
    status = f"{attempt.http_status} " if attempt.http_status is not None else ""
    again = f", sent again by {attempt.resent_by}," if attempt.resent_by else ""
    outcome = f"delivered: {status}after" if is_told else f"failed: {cause_in_words(attempt.error)}, after"
    return msgspec.structs.replace(
        about,
        at=attempt.started_at,
        kind="attempt",
        what=f"{event_type} attempt {attempt.number}{again} {outcome} {duration(attempt.seconds)}",
        to=about.to if attempt.url is None or place_of(attempt.url) == place_of(endpoint_url) else attempt.url,
        attempt=attempt.number,
        detail=attempt.answer.strip(),
        tone="good" if is_told else "bad",
    )
