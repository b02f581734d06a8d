"""The request of an attempt that was made, written again from what is recorded of it. Pure.

It is the request as it was then: its URL, format, number, time and sender are those of the attempt, whatever the
endpoint is set to now. Only what must not be shown is masked: signatures, passwords, the endpoint's own headers.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from dispatcher.channels.base import Attempt
from dispatcher.channels.mail.address import Mailbox
from dispatcher.channels.mail.render import render as render_mail
from dispatcher.channels.sent import AUTHORIZATION, SIGNATURES, Sent, SentMail, SentWebhook, checksum_of
from dispatcher.channels.webhook import render as render_webhook
from dispatcher.egress.client import ASKED_FOR
from dispatcher.egress.target import parse_target
from dispatcher.formats.base import RENDERING
from shared.domain import Event
from shared.errors import FaxhookError

MASK: Final = "••••"

_STAND_IN: Final = base64.b64encode(bytes(32)).decode()
"""A token that every format can sign with. The signatures that it makes are masked."""


class NotShown(FaxhookError):
    """The request cannot be shown as it was sent; the sentence says why."""

    code = "request_not_shown"
    status = 409


class MadeAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that was made; `event` and `document` are what it carried."""

    sent: Sent
    url: str
    number: int
    started_at: datetime
    delivery_id: UUID
    command_id: str
    event: Event
    document: bytes | None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was sent. `headers` are in order, masked ones included; of a mail, `method` is MAIL."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes


def check_shown(sent: Sent) -> None:
    """Raise `NotShown` if the request cannot be written again by this version, or its document is gone."""
    if sent.rendering != RENDERING:
        raise NotShown("another version of faxhook sent it: this version does not write the same bytes")
    if sent.document == "lost":
        raise NotShown("it carried a document that could not be kept, so its body cannot be shown")


def rebuild(made: MadeAttempt) -> Request:
    """Return the request of an attempt.

    Raises:
        NotShown: What is written now is not what was sent.
    """
    sent = made.sent
    check_shown(sent)
    try:
        request, whole = _mail(made, sent) if isinstance(sent, SentMail) else _webhook(made, sent)
    except (KeyError, ValueError):  # a format or an address that this version does not know
        raise NotShown("this version of faxhook cannot write it") from None
    if len(whole) != sent.size_bytes or checksum_of(whole) != sent.checksum:
        raise NotShown("what this version of faxhook writes is not what was sent")
    return request


def _webhook(made: MadeAttempt, sent: SentWebhook) -> tuple[Request, bytes]:
    """Return the request, and what its checksum is of."""
    target = parse_target(made.url)
    tokens = (_STAND_IN,) if sent.is_signed else ()
    rendered, body = render_webhook(_attempt_of(made, sent.format, tokens), made.url, dict(sent.trace))
    headers = [("Host", target.authority), *ASKED_FOR]
    headers += [(name, MASK if name in SIGNATURES else value) for name, value in rendered.items()]
    headers += [(name, MASK) for name in sent.own_headers]
    headers += [(AUTHORIZATION, f"Basic {MASK}")] if sent.has_login else []
    headers.append(("Content-Length", str(len(body))))
    return Request(method="POST", url=made.url, headers=headers, body=body), body


def _mail(made: MadeAttempt, sent: SentMail) -> tuple[Request, bytes]:
    """Return the mail, its lines of headers unfolded, and the whole of it."""
    mail_from = Mailbox(sent.mail_from, sent.mail_from_name)
    whole = render_mail(_attempt_of(made, "", ()), mail_from, with_document=sent.has_attachment)
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = head.decode("ascii").replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return Request(method="MAIL", url=made.url, headers=headers, body=body), whole


def _attempt_of(made: MadeAttempt, format_name: str, tokens: Sequence[str]) -> Attempt:
    return Attempt(
        event=made.event,
        document=made.document,
        url=made.url,
        format=format_name,
        tokens=tokens,
        timeout_seconds=0.0,
        delivery_id=made.delivery_id,
        command_id=made.command_id,
        number=made.number,
        now=made.started_at,
    )
