"""A mail says what happened in subject, text and HTML, and holds the document byte for byte."""

from datetime import UTC, datetime

import pytest
from dispatchers import an_event
from mail_reader import COMMAND_ID, HEADERS, NOW, mailed, shown, texts
from mails import DELIVERY_ID

from dispatcher.channels.mail.content import MOST_ATTACHED_BYTES, MOST_RECIPIENTS, wants_document
from dispatcher.channels.mail.render import MailFormat
from shared.domain import Event, EventType, Failure, Media

AT = datetime(2026, 10, 3, 14, 0, 5, tzinfo=UTC)
NUMBERS = {"from_number": "+15551230000", "to_number": "+15559870000", "occurred_at": AT}
BUSY = Failure(type="lineError", code="17", message="Called number was busy", permanent=False)
PDF = Media(key="k", bytes=1_000, content_type="application/pdf")

# ---- What it says ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "subject", "says"),
    [
        (
            an_event(1, EventType.RECEIVED, pages=3, **NUMBERS),
            "Fax received from +1 555 123 0000 (3 pages)",
            ["Fax received", "+1 555 123 0000 → +1 555 987 0000", "Pages", "3", "3 October 2026, 14:00:05 UTC"],
        ),
        (
            an_event(1, EventType.RECEIVED, pages=1, partial=True, **NUMBERS),
            "Fax received in part from +1 555 123 0000 (1 page)",
            ["Fax received in part"],
        ),
        (
            an_event(1, EventType.RECEIVE_FAILED, failure=Failure(code="carrier_lost"), **NUMBERS),
            "Fax from +1 555 123 0000 not received: connection lost",
            ["Fax not received", "Connection lost", "“carrier_lost”"],
        ),
        (
            an_event(1, EventType.DELIVERED, pages=2, **NUMBERS),
            "Fax sent to +1 555 987 0000 (2 pages)",
            ["Fax sent", "Pages"],
        ),
        (
            an_event(1, EventType.FAILED, failure=BUSY, pages=2, **NUMBERS),
            "Fax to +1 555 987 0000 failed: line busy",
            ["Fax failed", "Line busy", "Trying again later may help.", "“Called number was busy (lineError 17)”"],
        ),
        (
            an_event(1, EventType.FAILED, failure=Failure(type="FAX_ERROR", code="133", permanent=True), **NUMBERS),
            "Fax to +1 555 987 0000 failed: number not permitted",
            ["The same fax would fail again."],
        ),
        (
            an_event(1, EventType.FAILED, failure=Failure(code="user_busy", message="user_busy"), **NUMBERS),
            "Fax to +1 555 987 0000 failed: line busy",
            ["“user_busy”"],
        ),
        (
            an_event(1, EventType.FAILED, failure=Failure(type="odd", code="x7", message="Gremlins"), **NUMBERS),
            "Fax to +1 555 987 0000 failed: Gremlins",
            ["Gremlins", "“Gremlins (odd x7)”"],
        ),
        (an_event(1, EventType.FAILED), "Fax to unknown number failed", ["Reported", "3 October 2026, 08:00:00 UTC"]),
        (
            an_event(1, EventType.PAGE_SENT, fields={"page": "4"}, **NUMBERS),
            "Fax to +1 555 987 0000: a page was sent",
            ["A page of the fax was sent", "4"],
        ),
        (
            an_event(1, EventType.RETRY_SCHEDULED, fields={"retry_count": 2}, **NUMBERS),
            "Fax to +1 555 987 0000 will be tried again",
            ["Retry", "2"],
        ),
        (an_event(1, EventType.SENDING, **NUMBERS), "Fax to +1 555 987 0000 is being sent", ["Fax is being sent"]),
        (an_event(1, EventType.RECEIVING, **NUMBERS), "Fax from +1 555 123 0000 is being received", []),
        (an_event(1, EventType.QUEUED, to_number="+4722334455"), "Fax to +4722334455 queued", ["To +4722334455"]),
        (
            an_event(1, EventType.DELIVERED, is_test=True, to_number="sip:büro@example.com"),
            "[Test] Fax sent to sip:büro@example.com",
            ["TEST FAX", "sip:büro@example.com"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_mail_says_what_happened_in_subject_text_and_html(event: Event, subject: str, says: list[str]) -> None:
    message = mailed(event)
    assert message["Subject"] == subject
    for part in texts(message):
        for words in says:
            assert words in part


def test_every_event_type_but_unknown_has_a_headline_of_its_own() -> None:
    subjects = {each: mailed(an_event(1, each, **NUMBERS))["Subject"] for each in EventType}
    assert len(set(subjects.values())) == len(EventType)
    assert {each for each in EventType if not MailFormat().has_word_for(an_event(1, each))} == {EventType.UNKNOWN}


def test_a_fax_to_several_tells_of_each() -> None:
    recipients = [
        {"phone_number": "+15550000001", "status": "success"},
        {"number": "+15550000002", "status": "failure", "error_type": "lineError", "error_id": 30},
        {"phone_number": None, "status": "willretry"},
        "no object",
    ]
    event = an_event(1, EventType.PARTIALLY_DELIVERED, fields={"fax": {"recipients": recipients}})
    message = mailed(event)
    assert message["Subject"] == "Fax to 3 recipients partially delivered"
    for part in texts(message):
        assert "+1 555 000 0001 sent" in part
        assert "+1 555 000 0002 failed: no fax machine answered" in part
        assert "unknown number willretry" in part


def test_a_fax_to_very_many_stays_a_mail() -> None:
    recipients = [{"phone_number": f"+1555000{number:04}", "status": "success"} for number in range(1_000)]
    event = an_event(1, EventType.DELIVERED, fields={"fax": {"recipients": recipients}})
    message = mailed(event)
    assert message["Subject"] == "Fax sent to 1000 recipients"
    for part in texts(message):
        assert part.count("+1 555 000") == MOST_RECIPIENTS
        assert f"and {1_000 - MOST_RECIPIENTS} more" in part


def test_ids_are_there_to_search_for_and_tokens_are_not() -> None:
    message = mailed(an_event(77, EventType.DELIVERED, job_id="order-5"), number=3)
    for part in texts(message):
        for words in ("fax phaxio 77", "job order-5", "event phaxio:77-fax.delivered", str(DELIVERY_ID), "attempt 3"):
            assert words in part
    assert "secret-token" not in message.as_string()
    assert "attempt" not in texts(mailed(an_event(77)))[0]


def test_the_html_needs_nothing_from_elsewhere_and_takes_the_readers_colours() -> None:
    message = mailed(an_event(1, EventType.RECEIVED, media=PDF, **NUMBERS), b"%PDF-")
    page = shown(message)
    assert page.tags.isdisjoint({"img", "script", "style", "link", "iframe", "form"})
    assert not [value for name, value in page.attributes if name in {"src", "href", "background"}]
    assert not any("url(" in (value or "") for name, value in page.attributes if name == "style")
    assert ("content", "light dark") in page.attributes
    body = next(value for name, value in page.attributes if name == "style" and "font-family" in (value or ""))
    assert "color" not in body.replace("color-scheme", "")


# ---- Headers --------------------------------------------------------------------------------------------------------


def test_the_headers_are_those_of_the_attempt() -> None:
    message = mailed(an_event(1), number=2)
    assert message["From"] == "Faxes <fax@example.net>"
    assert message["To"] == "in@example.com"
    assert message["Date"].datetime == NOW
    assert message["Message-ID"] == f"<{DELIVERY_ID}@example.net>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Faxhook-Event-Id"] == "phaxio:1-fax.delivered"
    assert message["X-Faxhook-Delivery-Id"] == str(DELIVERY_ID)
    assert message["X-Faxhook-Attempt"] == "2"
    assert message["X-Faxhook-Command-Id"] == COMMAND_ID
    assert set(message.keys()) == HEADERS


# ---- Documents ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "attached_as"),
    [("application/pdf", "fax-A-1.pdf"), ("image/tiff", "fax-A-1.tiff"), ("text/html", "fax-A-1.bin")],
)
@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 113, 114, 1_000])
def test_the_document_is_attached_byte_for_byte(content_type: str, attached_as: str, size: int) -> None:
    document = bytes(number % 256 for number in range(size))
    media = Media(key="k", bytes=size, content_type=content_type)
    message = mailed(an_event(1, EventType.RECEIVED, fax_id='"A/1"\r\n', media=media), document)
    (part,) = message.iter_attachments()
    assert (part.get_filename(), part.get_content_disposition()) == (attached_as, "attachment")
    assert part.get_content_type() == (content_type if content_type != "text/html" else "application/octet-stream")
    assert part.get_content() == document
    assert f"Attached: {attached_as}" in texts(message)[0]


@pytest.mark.parametrize(
    ("event_type", "media", "wanted"),
    [
        (EventType.RECEIVED, PDF, True),
        (EventType.RECEIVED, None, True),
        (EventType.RECEIVE_FAILED, PDF, True),  # Asterisk keeps the pages that came
        (EventType.RECEIVING, PDF, False),
        (EventType.DELIVERED, PDF, False),
        (EventType.RECEIVED, Media(key="k", bytes=MOST_ATTACHED_BYTES), True),
        (EventType.RECEIVED, Media(key="k", bytes=MOST_ATTACHED_BYTES + 1), False),
    ],
)
def test_finished_received_faxes_want_their_document_up_to_the_limit(
    event_type: EventType, media: Media | None, wanted: bool
) -> None:
    assert wants_document(an_event(1, event_type, media=media)) is wanted


@pytest.mark.parametrize(
    ("media", "says"),
    [
        (None, "The provider sent no document."),
        (Media(key="k", bytes=25_000_000), "The document (25.0 MB) is too large for a mail."),
        (Media(url="https://example.com/f.pdf?a=1&b=2"), "https://example.com/f.pdf?a=1&b=2"),
        (Media(url="javascript:alert(1)"), "The document is not attached"),
    ],
)
def test_a_document_that_is_not_attached_is_spoken_of(media: Media | None, says: str) -> None:
    message = mailed(an_event(1, EventType.RECEIVED, media=media))
    assert list(message.iter_attachments()) == []
    for part in texts(message):
        assert says in part
        assert "javascript" not in part
    links = [value for name, value in shown(message).attributes if name == "href"]
    assert links == ([media.url] if media and media.url and media.url.startswith("https") else [])
