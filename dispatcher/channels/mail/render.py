"""A story as a mail: HTML with a text alternative, and the fax's document. Pure.

The HTML works without a style sheet, remote images, scripts or colours of its own but for the bar that tells the
outcome: text and background are the reader's, so that it is right in light and in dark.
"""

import secrets
from binascii import b2a_base64
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Final

from dispatcher.channels.base import Attempt
from dispatcher.channels.mail.address import Mailbox, address_of
from dispatcher.channels.mail.content import Attachment, Story, attachment, tell
from dispatcher.channels.mail.headers import mailbox_header, text_header
from dispatcher.channels.mail.phrases import plain
from dispatcher.channels.phrases import Tone
from dispatcher.formats.base import boundary_of
from shared.domain import Event, EventType

_BAR: Final[dict[Tone, str]] = {"good": "#1a7f37", "partly": "#9a6700", "bad": "#c62828", "underway": "#0b66c3"}
_SIGN: Final[dict[Tone, str]] = {"good": "✓", "partly": "!", "bad": "✕", "underway": "…"}
_BASE64_LINE: Final = 76
_LINE: Final = "1px solid rgba(128,128,128,.3)"
_FONT: Final = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"


class MailFormat:
    """The format of all mails, whichever format the endpoint names for webhooks."""

    def has_word_for(self, event: Event) -> bool:
        """Every event but unknown ones: they are not worth a mail."""
        return event.type is not EventType.UNKNOWN


def render(attempt: Attempt, mail_from: Mailbox, *, with_document: bool = True) -> bytes:
    """Return the mail, 7-bit clean, with CRLF.

    Raises:
        ValueError: The attempt's URL names no single address.
    """
    attached = attachment(attempt.event, attempt.document) if with_document else None
    story = tell(attempt, attached)
    body = EmailMessage(policy=SMTP)
    body.set_content(text_of(story), cte="quoted-printable")
    body.add_alternative(html_of(story), subtype="html", cte="quoted-printable")
    if attached is None:
        return _headers(attempt, story, mail_from) + _written(body, attempt)
    return _headers(attempt, story, mail_from) + _attached(body, attached, attempt)


def _headers(attempt: Attempt, story: Story, mail_from: Mailbox) -> bytes:
    texts = {
        "Date": format_datetime(attempt.now),
        "Message-ID": f"<{attempt.delivery_id}@{mail_from.domain}>",
        "Auto-Submitted": "auto-generated",
        "X-Faxhook-Event-Id": plain(attempt.event.id),
        "X-Faxhook-Delivery-Id": str(attempt.delivery_id),
        "X-Faxhook-Attempt": str(attempt.number),
        "X-Faxhook-Command-Id": attempt.command_id,
    }
    lines = [
        text_header("Subject", story.subject),
        mailbox_header("From", mail_from),
        mailbox_header("To", Mailbox(address_of(attempt.url))),
        *(text_header(name, text) for name, text in texts.items()),
    ]
    return "".join(lines).encode("ascii")


def _written(message: EmailMessage, attempt: Attempt) -> bytes:
    """Return *message*, always the same for an attempt: the library's boundaries are random."""
    parts = (part for part in message.walk() if part.is_multipart())
    for number, part in enumerate(parts, start=1):
        part.set_boundary(f"faxhook{boundary_of(attempt.delivery_id, attempt.number)}p{number}")
    return message.as_bytes()


def _attached(message: EmailMessage, attached: Attachment, attempt: Attempt) -> bytes:
    # The mail library needs 45 ms for each MB, so it gets a stand-in for the document.
    stand_in = secrets.token_bytes(30)
    maintype, _, subtype = attached.content_type.partition("/")
    message.add_attachment(stand_in, maintype=maintype, subtype=subtype, filename=attached.filename)
    # The document, encoded here, takes the place of the stand-in.
    before, _, after = _written(message, attempt).partition(b2a_base64(stand_in, newline=False))
    encoded = b2a_base64(attached.content, newline=False)
    lines = [encoded[start : start + _BASE64_LINE] for start in range(0, len(encoded), _BASE64_LINE)]
    return b"".join((before, b"\r\n".join(lines), after))


def text_of(story: Story) -> str:
    """Return the mail for readers without HTML."""
    lines = [f"{'TEST FAX - ' if story.is_test else ''}{story.title}", "", story.lead, ""]
    lines += [f"{label + ':' if label else '':<15}{value}" for label, value in story.rows]
    if story.recipients:
        lines += ["", "Recipients:", *(f"  {each.number}  {each.said}".rstrip() for each in story.recipients)]
    if story.notes or story.link:
        lines += ["", *story.notes, *([story.link] if story.link else [])]
    lines += ["", "-- ", *(f"{label} {value}" for label, value in story.small)]
    return "\n".join(lines) + "\n"


def html_of(story: Story) -> str:
    """Return the mail for all other readers. With tables: some mail readers support no other layout."""
    test = (
        '<div style="margin:0 0 6px"><span style="display:inline-block;background:#ffffff;color:#24292f;'
        'font-size:12px;font-weight:700;letter-spacing:.06em;padding:1px 8px;border-radius:9px">TEST FAX</span></div>'
        if story.is_test
        else ""
    )
    return f"""\
<!doctype html>
<html lang="en" style="color-scheme:light dark">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="format-detection" content="telephone=no">
<title>{escape(story.subject)}</title>
</head>
<body style="margin:0;padding:12px;font-family:{_FONT};font-size:16px;line-height:1.45">
<table role="presentation" cellspacing="0" cellpadding="0" style="width:100%;max-width:540px;margin:0 auto;\
border:{_LINE};border-radius:12px;border-collapse:separate;overflow:hidden">
<tr><td style="background:{_BAR[story.tone]};color:#ffffff;padding:16px 20px;border-radius:11px 11px 0 0">
{test}<div style="font-size:22px;line-height:1.25;font-weight:700">\
<span aria-hidden="true">{_SIGN[story.tone]}&nbsp;</span>{escape(story.title)}</div>
</td></tr>
<tr><td style="padding:18px 20px 4px;font-size:19px;line-height:1.35;font-weight:600;overflow-wrap:anywhere">\
{escape(story.lead)}</td></tr>
<tr><td style="padding:6px 20px 16px">
<table role="presentation" cellspacing="0" cellpadding="0" style="width:100%">
{"".join(_row(label, value) for label, value in story.rows)}</table>
{_recipients(story)}{_notes(story)}</td></tr>
<tr><td style="border-top:{_LINE};padding:10px 20px 12px;font-size:12px;line-height:1.5;overflow-wrap:anywhere">\
<div style="opacity:.65">{"<br>".join(escape(f"{label} {value}") for label, value in story.small)}</div></td></tr>
</table>
</body>
</html>
"""


def _row(label: str, value: str) -> str:
    return (
        '<tr><td style="width:104px;padding:3px 12px 3px 0;vertical-align:top">'
        f'<span style="opacity:.65">{escape(label)}</span></td>'
        f'<td style="padding:3px 0;vertical-align:top;overflow-wrap:anywhere">{escape(value)}</td></tr>\n'
    )


def _recipients(story: Story) -> str:
    if not story.recipients:
        return ""
    lines = "".join(
        f'<tr><td style="border-top:{_LINE};padding:6px 10px 6px 0;white-space:nowrap">'
        f'<span aria-hidden="true" style="display:inline-block;width:9px;height:9px;border-radius:9px;'
        f'background:{_BAR[each.tone]};margin-right:9px"></span>{escape(each.number)}</td>'
        f'<td style="border-top:{_LINE};padding:6px 0;overflow-wrap:anywhere">{escape(each.said)}</td></tr>\n'
        for each in story.recipients
    )
    attributes = 'role="presentation" cellspacing="0" cellpadding="0" style="width:100%;margin-top:12px"'
    return f"<table {attributes}>\n{lines}</table>\n"


def _notes(story: Story) -> str:
    notes = "".join(
        f'<div style="margin-top:12px;overflow-wrap:anywhere">{escape(note)}</div>\n' for note in story.notes
    )
    if story.link:
        url = escape(story.link)
        notes += f'<div style="overflow-wrap:anywhere"><a href="{url}" rel="noreferrer">{url}</a></div>\n'
    return notes
