"""The mail channel: one mail through the relay, judged by the relay's answers.

| what happened | outcome |
|---|---|
| the relay took the mail (2xx after its content) | told, whatever comes after |
| it refused recipient or content (4xx, 5xx) | not told: `smtp_550`, … |
| it was silent after RCPT was sent, until the timeout | not told: `timeout` |
| it hung up after RCPT was sent | not told: `reset`. It may have the mail, so this must be counted |
| it cannot be reached, TLS or login fail, or it fails before RCPT | not tried: our own trouble |
| it says 421 (not available) or 530 (log in first) at any time | not tried |

A mail that is sent again has the same Message-ID, by which mail servers and readers recognize it.
"""

import asyncio
import ssl
from typing import Final

import aiosmtplib
import msgspec

from dispatcher.channels.base import Attempt
from dispatcher.channels.mail.address import Mailbox, Relay, address_of
from dispatcher.channels.mail.content import wants_document
from dispatcher.channels.mail.relay import RelayAway, RelayClient, abort
from dispatcher.channels.mail.render import render
from dispatcher.channels.outcome import ANSWER_KEPT_BYTES, NotTold, NotTried, Outcome, Told
from dispatcher.channels.sent import note_mail
from shared.domain import Event

RENDER_IN_THREAD_FROM_BYTES: Final = 256 * 1024
"""Encoding a document of this size takes about 3 ms; 10 MB take 100 ms, which would block the event loop."""

CHUNK_BYTES: Final = 128 * 1024
"""Of a mail, before other tasks run."""

START_INPUT: Final = 354
MESSAGE_TOO_LARGE: Final = 552
RELAYS_OWN_TROUBLE: Final = frozenset({421, 530})
"""Service not available; authentication required."""


class MailChannel:
    """Sends mails through one relay. One for each process.

    Args:
        tls_context: For tests; absent: the system's authorities.
    """

    def __init__(self, relay: Relay, mail_from: Mailbox, tls_context: ssl.SSLContext | None = None) -> None:
        self._mail_from = mail_from
        self._relay = RelayClient(relay, mail_from.domain, tls_context)

    async def close(self) -> None:
        """Wait until the relay has answered each QUIT."""
        await self._relay.close()

    def wants_document(self, event: Event, format_name: str) -> bool:  # noqa: ARG002 - a mail has no webhook format
        """Received faxes carry their document."""
        return wants_document(event)

    async def attempt(self, attempt: Attempt) -> Outcome:
        """Render and send; raises nothing but cancellation."""
        deadline = asyncio.get_running_loop().time() + attempt.timeout_seconds
        try:
            address_of(attempt.url)
        except ValueError:
            return NotTold(error="bad_address", url=attempt.url)
        try:
            async with self._relay.connect(deadline) as connection:
                return await self._send(connection, attempt, deadline)
        except RelayAway as away:
            return NotTried(error=away.code)

    async def send(self, url: str, message: bytes, timeout_seconds: float) -> Outcome:
        """Send a mail that is not about an event to the address of *url*, a valid one; raises nothing."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        try:
            async with self._relay.connect(deadline) as connection:
                return await self._conversed(connection, url, message, deadline)
        except RelayAway as away:
            return NotTried(error=away.code)

    async def _send(self, connection: aiosmtplib.SMTP, attempt: Attempt, deadline: float) -> Outcome:
        message, has_attachment = await self._rendered(attempt, connection)
        mail_from = self._mail_from
        sent = note_mail(attempt, mail_from.address, mail_from.name, message, has_attachment=has_attachment)
        outcome = await self._conversed(connection, attempt.url, message, deadline)
        return outcome if isinstance(outcome, NotTried) else msgspec.structs.replace(outcome, sent=sent)

    async def _conversed(self, connection: aiosmtplib.SMTP, url: str, message: bytes, deadline: float) -> Outcome:
        seconds_left = deadline - asyncio.get_running_loop().time()
        conversation = asyncio.create_task(
            _converse(connection, self._mail_from.address, address_of(url), message, url)
        )
        try:
            await asyncio.wait({conversation}, timeout=seconds_left)
            if conversation.done():
                return conversation.result()
            # Time is up. Not cancelled: that could lose a 250 that has just arrived. Without its connection the
            # conversation ends at once, with the answer if there was one.
            abort(connection)
            outcome = await conversation
        finally:
            conversation.cancel()
        match outcome:
            case NotTold(error="reset"):
                return NotTold(error="timeout", url=url)
            case NotTried(error="smtp_disconnected"):
                return NotTried(error="smtp_timeout")
            case _:
                return outcome

    async def _rendered(self, attempt: Attempt, connection: aiosmtplib.SMTP) -> tuple[bytes, bool]:
        """Return the mail; False, and it without the document, if the relay says that it is too large."""
        if attempt.document is None or len(attempt.document) < RENDER_IN_THREAD_FROM_BYTES:
            message = render(attempt, self._mail_from)
        else:
            message = await asyncio.to_thread(render, attempt, self._mail_from)
        limit = connection.esmtp_extensions.get("size", "")
        if attempt.document is not None and limit.isdigit() and 0 < int(limit) < len(message):
            return render(attempt, self._mail_from, with_document=False), False
        return message, True


class NoMailChannel:
    """Used where SMTP_URL is not set: mails wait, uncounted, until it is."""

    def wants_document(self, event: Event, format_name: str) -> bool:  # noqa: ARG002 - the shape of a channel
        """Nothing is sent."""
        return False

    async def attempt(self, attempt: Attempt) -> Outcome:  # noqa: ARG002 - the shape of a channel
        """Try nothing."""
        return NotTried(error="smtp_not_configured")


async def _converse(connection: aiosmtplib.SMTP, sender: str, recipient: str, message: bytes, url: str) -> Outcome:
    """Send one mail: MAIL, RCPT, DATA."""
    # MAIL: what fails here concerns the relay, not this mail; but for the announced size.
    options = [f"SIZE={len(message)}"] if connection.supports_extension("size") else []
    try:
        await connection.mail(sender, options=options)
    except aiosmtplib.SMTPResponseException as error:
        if not _is_accepted(error.code):
            return _refused(error, url) if error.code == MESSAGE_TOO_LARGE else NotTried(error=f"smtp_{error.code}")
    except (aiosmtplib.SMTPException, OSError):
        return NotTried(error="smtp_disconnected")
    # RCPT and DATA: what fails here is this mail, unless the answer is about the relay itself.
    try:
        await _recipient_named(connection, recipient)
        answer = await _content_sent(connection, message)
    except aiosmtplib.SMTPResponseException as error:
        return NotTried(error=f"smtp_{error.code}") if error.code in RELAYS_OWN_TROUBLE else _refused(error, url)
    except (aiosmtplib.SMTPException, OSError):
        return NotTold(error="reset", url=url)
    return Told(url=url, answer=_kept(answer.code, answer.message))


async def _recipient_named(connection: aiosmtplib.SMTP, recipient: str) -> None:
    try:
        await connection.rcpt(recipient)
    except aiosmtplib.SMTPRecipientRefused as error:  # so the library calls a 252, too
        if not _is_accepted(error.code):
            raise


def _is_accepted(code: int) -> bool:
    """Any 2xx is yes (RFC 5321, section 4.2.1): a mail that was taken with another code than 250 would come again."""
    return 200 <= code < 300  # noqa: PLR2004 - SMTP


async def _content_sent(connection: aiosmtplib.SMTP, message: bytes) -> aiosmtplib.SMTPResponse:
    """Send the content and return the answer to it.

    Not by the library's `data`: it searches the mail for bad line ends, which blocks the loop for 300 ms at 14 MB.
    """
    response = await connection.execute_command(b"DATA")
    if response.code != START_INPUT:
        raise aiosmtplib.SMTPDataError(response.code, response.message)
    protocol = connection.protocol
    if protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("the relay hung up")
    content = message.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    answering = asyncio.create_task(protocol.read_response())
    try:
        await asyncio.sleep(0)  # the library drops an answer that is not awaited yet
        for start in range(0, len(content), CHUNK_BYTES):
            if answering.done():  # refused, or gone, before it has read all
                abort(connection)
                break
            protocol.write(content[start : start + CHUNK_BYTES])
            await asyncio.sleep(0)  # let other tasks run
        response = await answering
    finally:
        answering.cancel()
    if not _is_accepted(response.code):
        raise aiosmtplib.SMTPDataError(response.code, response.message)
    return response


def _refused(error: aiosmtplib.SMTPResponseException, url: str) -> NotTold:
    return NotTold(error=f"smtp_{error.code}", url=url, answer=_kept(error.code, error.message))


def _kept(code: int, message: str) -> bytes:
    return f"{code} {message}".encode("utf-8", "replace")[:ANSWER_KEPT_BYTES]
