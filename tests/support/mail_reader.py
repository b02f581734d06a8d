"""A rendered mail, read as mail programs read it."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

from mails import an_attempt

from dispatcher.channels.mail.address import Mailbox
from dispatcher.channels.mail.render import render
from shared.domain import Event

NOW = datetime(2026, 10, 3, 14, 5, tzinfo=UTC)
COMMAND_ID = "3f0c6a1e-3d55-5f5c-9d0e-0f4b7f6a9e51"
FROM = Mailbox("fax@example.net", "Faxes")

HEADERS = {
    *("Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"),
    *("X-Faxhook-Event-Id", "X-Faxhook-Delivery-Id", "X-Faxhook-Attempt", "X-Faxhook-Command-Id"),
}


def mailed(event: Event, document: bytes | None = None, number: int = 1, **options: Any) -> EmailMessage:
    attempt = an_attempt(
        event=event,
        document=document,
        url="mailto:in@example.com",
        tokens=("secret-token",),
        command_id=COMMAND_ID,
        number=number,
        now=NOW,
    )
    parsed = message_from_bytes(render(attempt, FROM, **options), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


class _Shown(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def shown(message: EmailMessage) -> _Shown:
    reader = _Shown()
    reader.feed(message.get_body(("html",)).get_content())
    reader.close()
    return reader


def texts(message: EmailMessage) -> tuple[str, str]:
    """Return what the plain and the HTML part show, blanks and line ends made one."""
    plain = message.get_body(("plain",)).get_content()
    return " ".join(plain.split()), " ".join(" ".join(shown(message).texts).split())
