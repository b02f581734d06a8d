"""What a mail says about an event: outcome first, then numbers, pages, time, reason. Pure.

Every text in a story has passed `plain`: one line, bounded, without characters that a mail reader would interpret.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from dispatcher.channels.base import Attempt
from dispatcher.channels.mail.phrases import advice, number, own_words, plain, reason
from dispatcher.channels.phrases import Tone, in_short, phrase_of
from shared.domain import Direction, Event, EventType, Failure, Phase

MOST_ATTACHED_BYTES: Final = 10 * 1024 * 1024
"""Of a document. In a mail it grows by 37 % to 14 MB, and most mail services take no more than 20 to 25 MB. A page of a
fax is about 50 kB, so this is some 200 pages."""

MOST_RECIPIENTS: Final = 50
"""That get a line each; the rest is given as a number."""

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_EXTENSIONS: Final = {"application/pdf": "pdf", "image/tiff": "tiff", "application/rtf": "rtf", "text/rtf": "rtf"}
_FAILED_RECIPIENT: Final = frozenset({"failure", "failed", "error", "cancelled"})
_GOOD_RECIPIENT: Final = frozenset({"success", "delivered"})


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """The fax's document, as it is attached."""

    content: bytes
    content_type: str
    filename: str


class Recipient(msgspec.Struct, frozen=True):
    """One of several that a fax went to."""

    number: str
    said: str
    tone: Tone


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the mail says.

    Attributes:
        lead: The numbers of sender and recipient.
        rows: Label and value, in reading order.
        link: URL of the document, if only the provider has it.
        small: Label and value of the ids, for searching.
    """

    subject: str
    tone: Tone
    title: str
    is_test: bool
    lead: str
    rows: Sequence[tuple[str, str]]
    recipients: Sequence[Recipient]
    notes: Sequence[str]
    link: str | None
    small: Sequence[tuple[str, str]]


def wants_document(event: Event) -> bool:
    """Is the fax's document attached, if there is one? To finished received faxes, unless it is too large."""
    is_small = event.media is None or (event.media.bytes or 0) <= MOST_ATTACHED_BYTES
    return event.direction is Direction.RECEIVED and event.phase is Phase.POSTFLIGHT and is_small


def attachment(event: Event, document: bytes | None) -> Attachment | None:
    """Return the document as it is attached, or None."""
    if document is None or not wants_document(event) or len(document) > MOST_ATTACHED_BYTES:
        return None
    stored = (event.media.content_type if event.media else None) or ""
    content_type = stored if stored in _EXTENSIONS else "application/octet-stream"
    stem = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in event.fax_id)[:80].strip("-")
    filename = f"fax-{stem or 'document'}.{_EXTENSIONS.get(content_type, 'bin')}"
    return Attachment(content=document, content_type=content_type, filename=filename)


def tell(attempt: Attempt, attached: Attachment | None) -> Story:
    """Return the story of *attempt*'s event."""
    event = attempt.event
    phrase = phrase_of(event)
    why = reason(event.failure)
    listed = _listed(event)
    other = event.from_number if event.direction is Direction.RECEIVED else event.to_number
    whom = f"{len(listed)} recipients" if listed and not other else number(other)
    subject = phrase.subject.format(number=whom)
    if event.pages and event.phase is Phase.POSTFLIGHT and phrase.tone != "bad":
        subject += f" ({_count(event.pages, 'page')})"
    if why and phrase.tone != "good":
        subject += f": {why}"
    return Story(
        subject=plain(f"[Test] {subject}" if event.is_test else subject, 200),
        tone=phrase.tone,
        title=phrase.title,
        is_test=event.is_test,
        lead=_lead(event, len(listed)),
        rows=_rows(event, why),
        recipients=_recipients(listed),
        notes=_document_notes(event, attached),
        link=_link(event, attached),
        small=_small(attempt),
    )


def moment(at: datetime) -> str:
    """Return a time for people.

    >>> moment(datetime(2026, 10, 3, 14, 0, 5, tzinfo=UTC))
    '3 October 2026, 14:00:05 UTC'
    """
    at = at.astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M:%S} UTC"


def _lead(event: Event, recipient_count: int) -> str:
    to = f"{recipient_count} recipients" if recipient_count and not event.to_number else number(event.to_number)
    if event.from_number is None and event.direction is Direction.SENT:
        return f"To {to}"  # a sent fax is our own
    if event.to_number is None and event.direction is Direction.RECEIVED:
        return f"From {number(event.from_number)}"
    return f"{number(event.from_number)} → {to}"


def _rows(event: Event, why: str | None) -> list[tuple[str, str]]:
    rows = []
    if why:
        rows.append(("Reason", f"{why[0].upper()}{why[1:]}"))
        rows += [("", said) for said in (advice(event.failure),) if said]
        rows += [("Provider", f"“{said}”") for said in (own_words(event.failure),) if said]
    if event.pages is not None:
        rows.append(("Pages", str(event.pages)))
    if event.type is EventType.PAGE_SENT and (page := _field(event, "page")):
        rows.append(("Page sent", page))
    if event.type is EventType.RETRY_SCHEDULED and (retry := _field(event, "retry_count")):
        rows.append(("Retry", retry))
    if event.type is EventType.STALLED and (state := _field(event, "state")):
        rows.append(("Last known", in_short(state)))
    if event.occurred_at is not None:
        rows.append(("Time", moment(event.occurred_at)))
    else:
        rows.append(("Reported", moment(event.received_at)))
    return rows


def _document_notes(event: Event, attached: Attachment | None) -> list[str]:
    if event.type is EventType.STALLED:
        return ["How this fax ended is not known: look at the provider, or ask the other side."]
    if attached is not None:
        return [f"Attached: {attached.filename} ({_size(len(attached.content))})"]
    if event.direction is not Direction.RECEIVED or event.phase is not Phase.POSTFLIGHT:
        return []
    if event.media is None:
        return ["The provider sent no document."] if event.type is EventType.RECEIVED else []
    if event.media.key is None:
        return ["The document is not attached; the provider has it, perhaps for some minutes only:"]
    size = f" ({_size(event.media.bytes)})" if event.media.bytes else ""
    return [f"The document{size} is too large for a mail. It is kept under the fax id below."]


def _link(event: Event, attached: Attachment | None) -> str | None:
    """Return the provider's URL of a document that is not in our media store."""
    if attached is not None or event.media is None or event.media.key is not None or event.media.url is None:
        return None
    url = event.media.url
    is_safe = url.startswith(("https://", "http://")) and url.isascii() and url.isprintable() and " " not in url
    return url if is_safe and event.direction is Direction.RECEIVED and event.phase is Phase.POSTFLIGHT else None


def _small(attempt: Attempt) -> list[tuple[str, str]]:
    event = attempt.event
    small = [
        ("fax", f"{event.provider.value} {plain(event.fax_id)}"),
        ("event", plain(event.id)),
        ("delivery", str(attempt.delivery_id)),
    ]
    if event.job_id:
        small.insert(1, ("job", plain(event.job_id)))
    if attempt.number > 1:
        small.append(("attempt", str(attempt.number)))
    return small


def _listed(event: Event) -> list[dict[str, Any]]:
    """Return the recipients of a fax that went to several, as Phaxio writes them; empty for all other faxes."""
    fax = event.fields.get("fax")
    listed: Any = fax.get("recipients") if isinstance(fax, dict) else None
    if event.direction is not Direction.SENT or not isinstance(listed, list):
        return []
    known = [each for each in listed if isinstance(each, dict)]
    return known if len(known) > 1 else []


def _recipients(listed: Sequence[dict[str, Any]]) -> list[Recipient]:
    told = [_recipient(each) for each in listed[:MOST_RECIPIENTS]]
    rest = len(listed) - MOST_RECIPIENTS
    return [*told, Recipient(f"and {rest} more", "", "underway")] if rest > 0 else told


def _recipient(each: dict[str, Any]) -> Recipient:
    status = _text(each.get("status")).lower()
    to = number(_text(each.get("phone_number") or each.get("number")) or None)
    if status in _GOOD_RECIPIENT:
        return Recipient(to, "sent", "good")
    if status in _FAILED_RECIPIENT:
        failure = Failure(
            type=_text(each.get("error_type")) or None,
            code=_text(each.get("error_id")) or None,
            message=_text(each.get("error_message") or each.get("error_code")) or None,
        )
        return Recipient(to, f"failed: {why}" if (why := reason(failure)) else "failed", "bad")
    return Recipient(to, plain(status, 40) or "under way", "underway")


def _field(event: Event, name: str) -> str:
    return plain(_text(event.fields.get(name)), 40)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _size(size_bytes: int) -> str:
    """Return a size for people.

    >>> _size(900), _size(48_200), _size(2_500_000)
    ('900 bytes', '48 kB', '2.5 MB')
    """
    if size_bytes < 1_000:  # noqa: PLR2004 - kB and MB
        return f"{size_bytes} bytes"
    return f"{size_bytes / 1_000:.0f} kB" if size_bytes < 1_000_000 else f"{size_bytes / 1_000_000:.1f} MB"  # noqa: PLR2004 - kB and MB
