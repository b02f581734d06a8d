"""A message of a dead-letter queue, read into a letter. Pure; nothing here raises.

Three programs write there: the ingress and the dispatcher, with headers or bodies that say why, and RabbitMQ itself,
whose `x-death` header tells when and how a message left its queue.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.messages import DeadDelivery, DeliveryMessage
from dispatcher.ops.api.moments import read_span
from dispatcher.ops.dead.causes import group_of
from dispatcher.ops.dead.letters import DeadFilter, DeadLetter, Kind
from dispatcher.ops.faxes.lists.numbers import has_number
from shared.amqp.frames import Message
from shared.broker import DEAD_CALLBACK, DEAD_EVENT
from shared.domain import Event, decode_event
from shared.ids import parse_uuid
from shared.quarantine import QuarantinedCallback

QUEUES: Final[dict[Kind, str]] = {
    "callback": f"dead.{DEAD_CALLBACK}s",
    "event": f"dead.{DEAD_EVENT}s",
    "delivery": "dead.deliveries",
}

UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)

_BROKER: Final = {
    "delivery_limit": "the broker gave it up: it was pushed and came back too often",
    "rejected": "a consumer rejected it",
    "expired": "it expired",
    "maxlen": "its queue was full",
}


UNREADABLE_MESSAGE: Final = "the message cannot be read"
_TYPED: Final = {"unreadable": UNREADABLE_MESSAGE, "ledger_refused": "the ledger refuses it"}
"""Causes of which the reason is the type of the error: its text may quote the message."""

_PREFIXES: Final[dict[Kind, str]] = {"delivery": "message", "event": "event", "callback": "callback"}
"""Of the ids of letters that are known by a digest only."""


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery that a readable message in `dead.deliveries` names; its state is in the ledger.

    Attributes:
        is_ours: Written by the dispatcher when the delivery died: a copy of the ledger's row.
    """

    delivery_id: UUID
    died_at: datetime | None
    is_ours: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was read. `copy`: of deliveries only; `digest`: SHA-256 of the body, hex."""

    letter: DeadLetter
    digest: str
    copy: Copy | None = None


def read(kind: Kind, message: Message) -> Found:
    """Return the letter that *message* of the queue of *kind* is."""
    match kind:
        case "callback":
            return _read_callback(message)
        case "event":
            return _read_event(message)
        case "delivery":
            return _read_delivery(message)


def kind_of(letter_id: str) -> Kind | None:
    """Return in whose queue the letter of this id would be; None if it is not an id of a letter in a queue."""
    for kind, prefix in _PREFIXES.items():
        if letter_id.startswith(f"{prefix}-"):
            return kind
    return None if parse_uuid(letter_id) is None else "callback"


def copied_id(message: Message) -> UUID | None:
    """Return the delivery of which *message* is our own copy; None if it is not one. Quick."""
    try:
        return msgspec.json.decode(message.body, type=DeadDelivery).delivery_id
    except UNREADABLE:
        return None


def fits(letter: DeadLetter, wanted: DeadFilter, now: datetime) -> bool:
    """Return True if *letter* matches *wanted*; a field that the letter lacks matches no filter on it.

    Raises:
        BadMoment: A time cannot be read.
        BadNumber: The number cannot be read.
    """
    for name in ("kind", "endpoint_id", "provider", "type", "event_id", "fax_id", "job_id"):
        if getattr(wanted, name) not in {None, getattr(letter, name)}:
            return False
    if wanted.cause is not None and wanted.cause not in {letter.cause, letter.group}:
        return False
    if wanted.number is not None and not has_number((letter.from_number, letter.to_number), wanted.number):
        return False
    return _died_then(letter.died_at, wanted, now)


def _died_then(died_at: datetime | None, wanted: DeadFilter, now: datetime) -> bool:
    youngest, oldest = wanted.older_than_seconds, wanted.younger_than_seconds
    since, until = read_span(wanted.since, wanted.until, now)
    if died_at is None:
        return {youngest, oldest, since, until} == {None}
    age_seconds = (now - died_at).total_seconds()
    return (
        (youngest is None or age_seconds >= youngest)
        and (oldest is None or age_seconds <= oldest)
        and (since is None or died_at >= since)
        and (until is None or died_at < until)
    )


def shown_message(kind: Kind, body: bytes) -> Any:
    """Return a message's content for people, as far as it can be read."""
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        return {"kind": kind, "bytes": len(body), "begins": body[:200].decode("utf-8", "replace")}


def as_event(body: bytes) -> Event | None:
    """Return the event in a message; None if it is not one."""
    try:
        return decode_event(body)
    except UNREADABLE:
        return None


def as_callback(body: bytes) -> QuarantinedCallback | None:
    """Return the quarantined callback in a message; None if it is not one."""
    try:
        return msgspec.json.decode(body, type=QuarantinedCallback)
    except UNREADABLE:
        return None


def _read_callback(message: Message) -> Found:
    digest = _digest(message.body)
    callback = as_callback(message.body)
    if callback is None:
        letter = _unread("callback", digest, message, {})
    else:
        letter = DeadLetter(
            id=callback.callback_id,
            kind="callback",
            cause=callback.cause,
            group=group_of("callback", callback.cause).key,
            reason=callback.reason,
            provider=callback.provider,
            died_at=_aware(callback.received_at),
        )
    return Found(letter=letter, digest=digest)


def _read_event(message: Message) -> Found:
    digest = _digest(message.body)
    event = as_event(message.body)
    fields = {} if event is None else _of_event(event)
    if not fields and (event_id := _text(message.headers.get("event_id"))):
        fields = {"event_id": event_id}
    return Found(letter=_unread("event", digest, message, fields), digest=digest)


def _of_event(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.id,
        "provider": str(event.provider),
        "fax_id": event.fax_id,
        "type": str(event.type),
        "from_number": event.from_number,
        "to_number": event.to_number,
        "job_id": event.job_id,
    }


def _read_delivery(message: Message) -> Found:
    digest = _digest(message.body)
    # Ours has all fields of a dead letter; what the broker gave up is the plain message of a delivery.
    try:
        dead = msgspec.json.decode(message.body, type=DeadDelivery)
    except UNREADABLE:
        return _read_given_up(message, digest)
    letter = DeadLetter(
        id=f"{_PREFIXES['delivery']}-{digest[:32]}",
        kind="delivery",
        cause=dead.cause,
        group=group_of("delivery", dead.cause).key,
        reason=dead.reason,
        event_id=dead.event_id,
        endpoint_id=dead.endpoint_id,
        attempts=dead.attempt,
        died_at=_aware(dead.died_at),
        is_message=True,
    )
    copy = Copy(delivery_id=dead.delivery_id, died_at=letter.died_at, is_ours=True)
    return Found(letter=letter, digest=digest, copy=copy)


def _read_given_up(message: Message, digest: str) -> Found:
    letter = _unread("delivery", digest, message, {"is_message": True})
    try:
        wanted = msgspec.json.decode(message.body, type=DeliveryMessage)
    except UNREADABLE:
        return Found(letter=letter, digest=digest)
    copy = Copy(delivery_id=wanted.delivery_id, died_at=letter.died_at, is_ours=False)
    return Found(letter=msgspec.structs.replace(letter, attempts=wanted.attempt - 1), digest=digest, copy=copy)


def _unread(kind: Kind, digest: str, message: Message, fields: Mapping[str, Any]) -> DeadLetter:
    """Return a letter by its headers: ours, else the broker's."""
    headers = message.headers
    broker_cause, broker_died_at = _x_death(headers)
    cause = _text(headers.get("cause")) or broker_cause or "unreadable"
    reason = _ours(cause, _text(headers.get("reason"))) or _BROKER.get(broker_cause, "") or UNREADABLE_MESSAGE
    return DeadLetter(
        id=f"{_PREFIXES[kind]}-{digest[:32]}",
        kind=kind,
        cause=cause,
        group=group_of(kind, cause).key,
        reason=reason,
        died_at=_time(headers.get("died_at")) or broker_died_at,
        **fields,
    )


def _ours(cause: str, reason: str) -> str:
    """Return the *reason* that we wrote, for people: it may be the bare type of an error, whose text would tell more.

    >>> _ours("unreadable", "ValidationError"), _ours("ledger_refused", "DataError"), _ours("crashed", "at a line")
    ('the message cannot be read (ValidationError)', 'the ledger refuses it (DataError)', 'at a line')
    """
    is_bare = reason.isidentifier() and cause in _TYPED
    return f"{_TYPED[cause]} ({reason})" if is_bare else reason


def _x_death(headers: Mapping[str, Any]) -> tuple[str, datetime | None]:
    """Return why and when RabbitMQ moved a message here; empty if it did not."""
    deaths = headers.get("x-death")
    latest = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else None
    if latest is None:
        return "", None
    died_at = latest.get("time")
    return _text(latest.get("reason")), _aware(died_at) if isinstance(died_at, datetime) else None


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value[:1_000] if isinstance(value, str) else ""


def _time(value: Any) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(_text(value)))
    except ValueError:
        return None


def _aware(time: Any) -> datetime | None:
    if not isinstance(time, datetime):
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
