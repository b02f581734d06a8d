"""Connections to the relay: one for each mail, a bounded number at once.

A relay that is away, or refuses to talk with us, is `RelayAway`: our own trouble, never the endpoint's.

Connections are not reused: a kept one may have been closed, refuse one mail too many, or not answer, and each of these
needs a second connection within the attempt. The price is a handshake for each mail: at a round trip of 20 ms, a mail
takes 140 ms instead of 110, with STARTTLS and login 230 ms; that is 28 mails a second for each process.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

import aiosmtplib

from dispatcher.channels.mail.address import Relay

MOST_CONNECTIONS: Final = 8
"""At once, for each process: relays commonly allow a client 10 to 50."""

QUIT_SECONDS: Final = 2.0
"""For the answer to QUIT; the outcome does not wait for it."""


class RelayAway(Exception):
    """The relay cannot be reached, or refuses to talk with us."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class RelayClient:
    """Connects to the relay. One for each process.

    Args:
        relay: Where it is and how to log in.
        domain: The name to greet it with if the host has no full name of its own; that of MAIL_FROM.
        tls_context: Absent: the system's authorities (or those of SSL_CERT_FILE); certificates are always checked.
    """

    def __init__(self, relay: Relay, domain: str, tls_context: ssl.SSLContext | None = None) -> None:
        self._relay = relay
        self._tls_context = tls_context or ssl.create_default_context()
        self._own_name = own_name(socket.gethostname(), domain)
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self._quitting: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def connect(self, deadline: float) -> AsyncIterator[aiosmtplib.SMTP]:
        """Yield a connection that is logged in.

        Args:
            deadline: On the loop's clock; for getting the connection, not for the body.

        Raises:
            RelayAway: There is no connection to be had.
        """
        connection = self._new_connection()
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError:
            raise RelayAway("smtp_busy") from None
        try:
            await _log_in(connection, deadline)
            yield connection
        except BaseException:
            abort(connection)
            self._slots.release()
            raise
        # The outcome does not wait for QUIT, but the slot does: until then the relay counts this connection.
        task = asyncio.create_task(_quit(connection))
        self._quitting.add(task)
        task.add_done_callback(self._quitting.discard)
        task.add_done_callback(lambda _: self._slots.release())

    async def close(self) -> None:
        """Wait until the relay has answered each QUIT."""
        if self._quitting:
            await asyncio.wait(self._quitting)

    def _new_connection(self) -> aiosmtplib.SMTP:
        relay = self._relay
        return aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.user,
            password=relay.password,
            local_hostname=self._own_name,
            timeout=None,  # ours covers the whole
            use_tls=relay.use_tls,
            start_tls=relay.starttls,
            tls_context=self._tls_context,
        )


async def _log_in(connection: aiosmtplib.SMTP, deadline: float) -> None:
    """Connect, encrypt and log in, as the relay's URL says."""
    try:
        async with asyncio.timeout_at(deadline):
            await connection.connect()
    except TimeoutError as error:
        raise RelayAway("smtp_connect_timeout") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise RelayAway(_error_code(error)) from error


async def _quit(connection: aiosmtplib.SMTP) -> None:
    try:
        async with asyncio.timeout(QUIT_SECONDS):
            await connection.quit()
    except (aiosmtplib.SMTPException, OSError):  # a timeout, too
        pass
    finally:
        abort(connection)


def abort(connection: aiosmtplib.SMTP) -> None:
    """Close without waiting for what is still to be written."""
    if connection.transport is not None:
        cast("asyncio.WriteTransport", connection.transport).abort()
    connection.close()


def own_name(host: str, domain: str) -> str:
    """Return the name to greet the relay with: the host's if it is a full one, else the domain of our mail.

    Never looked up: without a name server that takes seconds.

    >>> own_name("fax-1.example.com", "example.net"), own_name("fax-1", "example.net")
    ('fax-1.example.com', 'example.net')
    """
    return host if "." in host and host.isascii() and host.isprintable() and " " not in host else domain


def _error_code(error: BaseException) -> str:
    """Return the code of what failed before a mail was begun."""
    # A certificate that is refused arrives as the cause of a connection error.
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError | ssl.CertificateError):
            return "smtp_tls"
        cause = cause.__cause__
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return "smtp_login"
        case aiosmtplib.SMTPResponseException():
            return f"smtp_{error.code}"
        case aiosmtplib.SMTPTimeoutError() | aiosmtplib.SMTPServerDisconnected() | aiosmtplib.SMTPConnectError():
            return "smtp_unreachable"
        case aiosmtplib.SMTPException():
            # The library has no class of its own for what the relay does not offer: STARTTLS, or a login.
            return "smtp_tls" if "STARTTLS extension" in error.message else "smtp_login"
        case _:
            return "smtp_unreachable"
