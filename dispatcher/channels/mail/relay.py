"""Connections to the relay, kept and used again: a TLS handshake and a login for every mail would cost more than it.

A kept connection is asked with RSET before it is used: that tells a stale one from a live one, and forgets a mail that
was refused. What a relay that is away answers, or does not, is `RelayAway`: our own trouble, never the endpoint's.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, cast

import aiosmtplib

from dispatcher.channels.mail.address import Relay

MOST_CONNECTIONS: Final = 8
"""At once, for each process: relays commonly allow a client 10 to 50."""

KEPT_SECONDS: Final = 30.0
"""For a connection without work; relays close theirs after 5 minutes, some after one."""

PROBE_SECONDS: Final = 3.0
"""For the answer to RSET; a kept connection that takes longer is replaced."""

FAREWELL_SECONDS: Final = 2.0


class RelayAway(Exception):
    """The relay cannot be reached, or does not want to speak with us."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Taken(NamedTuple):
    """A connection in use; was it used before?"""

    connection: aiosmtplib.SMTP
    was_kept: bool


class Connections:
    """The relay's connections. One for each process.

    Args:
        relay: Where it is and how to get in.
        domain: What we say we are where the host has no full name of its own; that of MAIL_FROM.
        tls_context: Absent: the system's authorities (or those of SSL_CERT_FILE); certificates are always checked.
    """

    def __init__(self, relay: Relay, domain: str, tls_context: ssl.SSLContext | None = None) -> None:
        self._relay = relay
        self._tls_context = tls_context or ssl.create_default_context()
        self._own_name = own_name(socket.gethostname(), domain)
        self._free = asyncio.Semaphore(MOST_CONNECTIONS)
        self._kept: deque[tuple[aiosmtplib.SMTP, asyncio.TimerHandle]] = deque()
        self._farewells: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def taken(self, deadline: float, *, fresh: bool = False) -> AsyncIterator[Taken]:
        """Yield a connection that is logged in, and keep it afterwards if it is still alive.

        Args:
            deadline: On the loop's clock; for getting the connection, not for the body.
            fresh: A new one, not a kept one.

        Raises:
            RelayAway: There is none to be had.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self._free.acquire()
        except TimeoutError:
            raise RelayAway("smtp_busy") from None
        try:
            kept = None if fresh else await self._live_kept(deadline)
            connection = kept or await self._connected(deadline)
            try:
                yield Taken(connection, was_kept=kept is not None)
            except BaseException:
                abort(connection)
                raise
        finally:
            self._free.release()
        self._keep(connection)

    async def close(self) -> None:
        """Take leave of the relay on every kept connection."""
        while self._kept:
            connection, timer = self._kept.popleft()
            timer.cancel()
            self._part_with(connection)
        if self._farewells:
            await asyncio.wait(self._farewells)

    async def _live_kept(self, deadline: float) -> aiosmtplib.SMTP | None:
        """Return a kept connection that answers, the most recently used first."""
        while self._kept:
            connection, timer = self._kept.pop()
            timer.cancel()
            if not connection.is_connected:
                continue
            try:
                until = min(deadline, asyncio.get_running_loop().time() + PROBE_SECONDS)
                async with asyncio.timeout_at(until):
                    await connection.rset()
                return connection
            except (aiosmtplib.SMTPException, OSError):  # a timeout, too
                abort(connection)
            except BaseException:
                abort(connection)
                raise
        return None

    async def _connected(self, deadline: float) -> aiosmtplib.SMTP:
        relay = self._relay
        connection = aiosmtplib.SMTP(
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
        try:
            async with asyncio.timeout_at(deadline):
                await connection.connect()
        except TimeoutError as error:
            raise RelayAway("smtp_connect_timeout") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise RelayAway(_trouble(error)) from error
        return connection

    def _keep(self, connection: aiosmtplib.SMTP) -> None:
        if not connection.is_connected:
            return
        if len(self._kept) >= MOST_CONNECTIONS:
            self._part_with(connection)
            return
        timer = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._expire, connection)
        self._kept.append((connection, timer))

    def _expire(self, connection: aiosmtplib.SMTP) -> None:
        self._kept = deque(pair for pair in self._kept if pair[0] is not connection)
        self._part_with(connection)

    def _part_with(self, connection: aiosmtplib.SMTP) -> None:
        task = asyncio.create_task(_quit(connection))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)


async def _quit(connection: aiosmtplib.SMTP) -> None:
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            await connection.quit()
    except (aiosmtplib.SMTPException, OSError):
        pass  # it was polite of us; nothing depends on it
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


def _trouble(error: BaseException) -> str:
    """Return the code for what went wrong before a mail was even begun."""
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
