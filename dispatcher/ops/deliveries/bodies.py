"""The bodies of attempts: in a list, and with the request as it was sent. `--json` prints the same."""

from uuid import UUID

import msgspec

from dispatcher.ops.faxes.bodies import Attempt, DeliveryState
from shared.domain import EventType, Media, Provider


class FormField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a form: a field has a `value`; a file has a name, a type and a size instead."""

    name: str
    value: str | None = None
    filename: str | None = None
    content_type: str | None = None
    size_bytes: int | None = None


class SentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was sent.

    Attributes:
        method: `POST`; of a mail `MAIL`.
        url: Where it was posted to, without user and password.
        headers: Name and value, in order. Signatures, passwords and the endpoint's own headers are masked.
        body: As text; None where it is no text, or carries a document that the reader may not see.
        body_base64: Where it is no text.
        size_bytes: Of the body.
        form: The fields and files of a form.
        document: The fax's document that it carried.
    """

    method: str
    url: str
    headers: tuple[list[str], ...]
    body: str | None
    body_base64: str | None
    size_bytes: int
    form: tuple[FormField, ...] | None
    document: Media | None


class AttemptWithRequest(Attempt, frozen=True, kw_only=True):
    """An attempt, and what was sent. `why_no_request`: a sentence where `request` is None."""

    request: SentRequest | None
    why_no_request: str | None = None


class AttemptInList(Attempt, frozen=True, kw_only=True):
    """An attempt, and what it was an attempt at.

    Attributes:
        delivery_state: Of its delivery, now.
        type: Of the event.
        endpoint_name: Its description, else host and path; None if the endpoint was deleted with its history.
    """

    delivery_id: UUID
    delivery_state: DeliveryState
    event_id: str
    type: EventType
    provider: Provider
    fax_id: str
    endpoint_id: UUID
    endpoint_name: str | None


class AttemptPage(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts, the newest first. A page may be short, even empty, while `next` is not null: follow it."""

    items: tuple[AttemptInList, ...]
    next: str | None
