"""A callback in quarantine: what the ingress keeps in `dead.callbacks`, and how it becomes a callback again. Pure.

Signatures and credentials are not kept, so a quarantined callback is never verified again: `verified_by` says what
verified it when it came.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec
from multidict import CIMultiDict

from shared.callback import Callback, Verified, read_query
from shared.domain import SCHEMA_VERSION, Event, Media, Provider, encode_event
from shared.errors import Unreadable
from shared.forms import read_form, sniff_type

MOST_EVENT_BYTES: Final = 1024 * 1024
"""Of an event without its document. A real one has 1 to 5 kB; RabbitMQ 4 refuses messages over 16 MiB."""

_PHAXIO_FORM: Final = "phaxio-sha1"


class QuarantinedCallback(msgspec.Struct, frozen=True, kw_only=True):
    """The message in `dead.callbacks`: everything that a fixed parser needs, and why it is there."""

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
    """Return the callback as it was read; *body* comes from the media store."""
    return Callback(
        route=kept.route,
        target=kept.target,
        query=read_query(kept.target.partition("?")[2]),
        headers=CIMultiDict(kept.headers),
        body=body,
        received_at=kept.received_at if kept.received_at.tzinfo else kept.received_at.replace(tzinfo=UTC),
    )


def verified_of(kept: QuarantinedCallback, callback: Callback) -> Verified:
    """Return what the verifier made of it.

    Raises:
        Unreadable: Phaxio's own signature covers one reading of repeated names, and it is no longer known which.
    """
    if kept.verified_by != _PHAXIO_FORM:
        return Verified(by=kept.verified_by)
    form = read_form(callback.headers.get("Content-Type") or sniff_type(callback.body), callback.body)
    names, files = [name for name, _ in form.fields], [part.name for part in form.files]
    if len(set(names)) < len(names) or len(set(files)) < len(files):
        raise Unreadable("names are repeated in the form, and it is no longer known which of the values was signed")
    return Verified(by=kept.verified_by, content=form)


def event_message(event: Event) -> tuple[bytes, dict[str, str | int]]:
    """Return body and headers of the message that carries *event* to `fax.in`.

    Raises:
        Unreadable: It cannot be carried: its id cannot be a header value, or it is larger than a message may be.
    """
    if not (event.id.isascii() and event.id.isprintable()):
        raise Unreadable("the event's id holds characters that a header cannot carry")
    message = encode_event(event)
    if len(message) > MOST_EVENT_BYTES:
        raise Unreadable(f"the event has {len(message)} bytes without its document, {MOST_EVENT_BYTES} are allowed")
    return message, {"event_id": event.id, "schema": SCHEMA_VERSION}
