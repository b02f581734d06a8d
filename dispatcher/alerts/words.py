"""What a message says: as JSON of a Standard Webhook, and as a mail. Pure."""

from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.alerts.kinds import KINDS, Kind
from dispatcher.channels.mail.address import Mailbox
from dispatcher.channels.mail.content import Story, moment
from dispatcher.channels.mail.headers import mailbox_header, text_header
from dispatcher.channels.mail.phrases import plain
from dispatcher.channels.mail.render import html_of, text_of
from dispatcher.channels.phrases import Tone
from shared.signatures import sign_standard

SEVERAL: Final = "several"
"""Subject of a matter that stands for many of its kind."""

_PREFIX: Final = {"raised": "", "again": "", "reminder": "Still: ", "resolved": "Resolved: ", "test": "Test: "}
_TYPES: Final = {"again": "repeated"}
_MOST_CHARACTERS: Final = 600
_NONE: Final[Mapping[str, str]] = {}


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says of a matter, as it stood when the message became due.

    Attributes:
        told_as: `raised`, `again`, `reminder`, `resolved`, or `test`.
        what: What happened, a sentence.
        advice: What to do.
        url: The console's page of it; null without CONSOLE_URL.
    """

    alert_id: UUID
    told_as: str
    kind: str
    subject: str
    title: str
    what: str
    advice: str
    count: int
    opened_at: datetime
    last_at: datetime
    resolved_at: datetime | None = None
    url: str | None = None


def page_of(kind: str, subject: str) -> str:
    """Return the console's page of a matter.

    >>> page_of("endpoint_failing", "7f"), page_of("endpoint_failing", "several"), page_of("what_is_to_come", "7f")
    ('/endpoints/7f', '/endpoints', '/alerts')
    """
    if kind not in set(Kind):
        return "/alerts"
    page = KINDS[Kind(kind)].page
    return page.removesuffix("/{subject}") if subject == SEVERAL else page.format(subject=subject)


def make_notice(row: Mapping[str, Any], told_as: str, console_url: str | None) -> Notice:
    """Return what to say of the matter in *row* of `alerts`."""
    kind = str(row["kind"])
    facts = KINDS[Kind(kind)]
    page = page_of(kind, str(row["subject"]))
    names = ("kind", "subject", "what", "count", "opened_at", "last_at", "resolved_at")
    return msgspec.convert(
        {
            **{name: row[name] for name in names},
            "alert_id": row["id"],
            "told_as": told_as,
            "title": facts.title,
            "advice": facts.advice,
            "url": None if console_url is None else f"{console_url}{page}",
        },
        Notice,
    )


def webhook_of(
    notice: Notice, message_id: UUID, secrets: tuple[str, ...], now: datetime
) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the Standard Webhook; its id is the message's on every attempt."""
    data = {name: value for name, value in msgspec.structs.asdict(notice).items() if name != "told_as"}
    kind = f"alert.{_TYPES.get(notice.told_as, notice.told_as)}"
    body = msgspec.json.encode({"type": kind, "timestamp": notice.resolved_at or notice.last_at, "data": data})
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": str(message_id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign_standard(each, str(message_id), timestamp, body) for each in secrets),
    }
    return headers, body


def mail_of(notice: Notice, message_id: UUID, recipient: str, mail_from: Mailbox, now: datetime) -> bytes:
    """Return the mail about a matter. Mails of one matter are one conversation in a mail reader."""
    more = {"X-Faxhook-Alert-Id": str(notice.alert_id)}
    if notice.told_as != "test":
        more["References"] = f"<{notice.alert_id}@{mail_from.domain}>"
    return story_mail(story_of(notice), message_id, recipient, mail_from, now, more)


def story_mail(
    story: Story,
    message_id: UUID,
    recipient: str,
    mail_from: Mailbox,
    now: datetime,
    more: Mapping[str, str] = _NONE,
) -> bytes:
    """Return a mail to an operator, 7-bit clean, with CRLF. Its Message-ID is the same on every attempt."""
    message = EmailMessage(policy=SMTP)
    message.set_content(text_of(story), cte="quoted-printable")
    message.add_alternative(html_of(story), subtype="html", cte="quoted-printable")
    texts = {
        "Date": format_datetime(now),
        "Message-ID": f"<{message_id}@{mail_from.domain}>",
        "Auto-Submitted": "auto-generated",
        **more,
    }
    head = [
        text_header("Subject", story.subject),
        mailbox_header("From", mail_from),
        mailbox_header("To", Mailbox(recipient)),
        *(text_header(name, text) for name, text in texts.items()),
    ]
    return "".join(head).encode("ascii") + message.as_bytes()


def story_of(notice: Notice) -> Story:
    """Return what the mail says, every text as one line without characters that a mail reader would interpret."""
    tone: Tone = {"resolved": "good", "test": "underway"}.get(notice.told_as, "bad")  # type: ignore[assignment]
    title = f"{_PREFIX[notice.told_as]}{notice.title}"
    what = plain(notice.what, _MOST_CHARACTERS)
    rows = [("Since", moment(notice.opened_at))]
    if notice.count > 1:
        rows.append(("How many", f"{notice.count:,}"))
    if notice.resolved_at is not None:
        rows.append(("Until", moment(notice.resolved_at)))
    notes = [] if notice.told_as == "resolved" else [plain(f"What to do: {notice.advice}", _MOST_CHARACTERS)]
    return Story(
        subject=plain(f"[faxhook] {title}: {notice.what}", 200),
        tone=tone,
        title=title,
        is_test=False,
        lead=what,
        rows=rows,
        recipients=(),
        notes=notes,
        link=notice.url,
        small=[("alert", str(notice.alert_id)), ("kind", plain(notice.kind)), ("subject", plain(notice.subject))],
    )
