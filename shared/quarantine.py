"""A callback in quarantine: what the ingress keeps in `dead.callbacks`, and how it becomes a callback again. Pure.

What proved the sender is not kept, so a callback out of quarantine is never verified again: `verified_by` says what
verified it when it came.
"""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from multidict import CIMultiDict

from shared.callback import Callback, Verified
from shared.domain import SCHEMA_VERSION, Event, Media, Provider, encode_event
from shared.errors import Unreadable
from shared.forms import read_form, sniff_type

MOST_EVENT_BYTES: Final = 1024 * 1024
"""Of an event without its document. A real one has 1 to 5 kB; RabbitMQ 4 refuses messages over 16 MiB."""

_PHAXIO_FORM: Final = "phaxio-sha1"


class QuarantinedCallback(msgspec.Struct, frozen=True, kw_only=True):
    """The message in `dead.callbacks`: everything that a mended parser needs, and why it lies there."""

    callback_id: str
    provider: Provider
    route: str
    target: str
    headers: dict[str, str]
    verified_by: str
    body: Media
    received_at: datetime
    cause: str
    reason: str


def callback_of(kept: QuarantinedCallback, body: bytes) -> Callback:
    """Return the callback as it was read; *body* is what the media store has of it."""
    query = kept.target.partition("?")[2]
    return Callback(
        route=kept.route,
        target=kept.target,
        query=dict(reversed(parse_qsl(query, keep_blank_values=True))),
        headers=CIMultiDict(kept.headers),
        body=body,
        received_at=kept.received_at if kept.received_at.tzinfo else kept.received_at.replace(tzinfo=UTC),
    )


def verified_of(kept: QuarantinedCallback, callback: Callback) -> Verified:
    """Return what the verifier made of it.

    Raises:
        Unreadable: Phaxio's own signature covers one reading of repeated names, and which one is not known any more.
    """
    if kept.verified_by != _PHAXIO_FORM:
        return Verified(by=kept.verified_by)
    form = read_form(callback.headers.get("Content-Type") or sniff_type(callback.body), callback.body)
    names, files = [name for name, _ in form.fields], [part.name for part in form.files]
    if len(set(names)) < len(names) or len(set(files)) < len(files):
        raise Unreadable("names are repeated in the form, and which of the values was signed is not known any more")
    return Verified(by=kept.verified_by, content=form)


def event_message(event: Event) -> tuple[bytes, dict[str, str | int]]:
    """Return body and headers of the message that carries *event* to `fax.in`.

    Raises:
        Unreadable: Later steps could not carry it: an id that is no header value, or more than a message may hold.
    """
    if not (event.id.isascii() and event.id.isprintable()):
        raise Unreadable("the event's id holds characters that no header can carry")
    message = encode_event(event)
    if len(message) > MOST_EVENT_BYTES:
        raise Unreadable(f"the event has {len(message)} bytes without its document, {MOST_EVENT_BYTES} are allowed")
    return message, {"event_id": event.id, "schema": SCHEMA_VERSION}
