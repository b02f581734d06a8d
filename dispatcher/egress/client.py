"""HTTP requests to hosts that others named, under the egress rules, directly or through a proxy: the only way out.

| what happened on the way | whose trouble it is |
|---|---|
| an address that may not be reached, at the resolver, at the socket, or in the URL | the endpoint's: `egress_refused` |
| the proxy does not resolve or take connections, or does not take our password (407, `Proxy-Authenticate`) | ours |
| the proxy refuses the tunnel: 403, or 407 without `Proxy-Authenticate`, as Smokescreen does | as `egress_refused` |
| the proxy answers the tunnel with anything else, such as 502 or 504 | the endpoint's: `proxy_502`, `proxy_504` |
| a timeout or broken connection while the proxy takes connections | the endpoint's |
| a kept connection ends before a byte of the answer, or is answered 408 | no one's: tried again on a new one, once |

Through a proxy the addresses are resolved, and are to be checked, by the proxy; we look at literals in URLs only. A
plain http request has no tunnel: what the proxy answers to it cannot be told from the application's own answer.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Final

from aiohttp.abc import AbstractResolver

from dispatcher.egress.answer_reader import AnswerReader
from dispatcher.egress.connection import Connection
from dispatcher.egress.connector import Connector, Proxy
from dispatcher.egress.errors import ProxyAway
from dispatcher.egress.guard import Network, check_host, guarded_socket
from dispatcher.egress.pool import ConnectionPool
from dispatcher.egress.resolver import GuardedResolver, Resolver
from dispatcher.egress.target import Target, parse_target

USER_AGENT: Final = "faxhook/1"

PROXY_TRIED_SECONDS: Final = 2.0
"""For a connection to the proxy, to find out whether the proxy or the host failed."""

TARGETS_REMEMBERED: Final = 10_000

_PROXY_AUTHENTICATION: Final = 407
_REQUEST_TIMEOUT: Final = 408
ASKED_FOR: Final = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", "identity"))
"""Headers of every request, after `Host` and before those of the caller."""

_ASKED_FOR: Final = "".join(f"{name}: {value}\r\n" for name, value in ASKED_FOR)


class Answer:
    """An answer whose head came.

    Attributes:
        status: 101, or 200 to 999.
        headers: Those that are read, by lower-case name; values of a repeated name joined by commas.
        length: Bytes of the body, where the head says them.
    """

    def __init__(self, connection: Connection, reader: AnswerReader) -> None:
        self._connection = connection
        self._reader = reader
        self.status = reader.status
        self.headers: Mapping[str, str] = reader.headers
        self.length = reader.length

    @property
    def ends_with_connection(self) -> bool:
        """Is its body whatever comes until the connection ends?"""
        return self._reader.ends_with_connection

    async def read(self) -> bytes:
        """Return the next piece of the body, as it was transferred; empty at its end.

        Raises:
            BadAnswer, OSError: It breaks off.
        """
        return await self._connection.read(self._reader)


class EgressClient:
    """Requests over kept connections. One for each process.

    Args:
        networks: What may be reached though it is not public.
        proxy: `http://user:password@host:port`. Its own address is not checked: the operator named it.
        resolver: Of names, for tests; the system's if absent, each name by itself.
    """

    def __init__(
        self, networks: Sequence[Network], proxy: str | None = None, resolver: AbstractResolver | None = None
    ) -> None:
        self._networks = tuple(networks)
        self._proxy = None if proxy is None else Proxy(proxy)
        self._resolver = resolver or Resolver()
        self._connector = (
            Connector(GuardedResolver(self._resolver, networks), guarded_socket(networks), None)
            if self._proxy is None
            else Connector(self._resolver, None, self._proxy)
        )
        self._pool = ConnectionPool()
        self._target = lru_cache(TARGETS_REMEMBERED)(self._checked_target)

    async def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()
        await self._resolver.close()

    @asynccontextmanager
    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[Answer]:
        """Send one request, byte for byte to *url*, and yield the answer, its body unread. Redirects are answers.

        Raises:
            ProxyAway: Our own trouble.
            EgressRefused: The host is one that may not be reached.
            TunnelRefused: The proxy did not reach the host.
            BadAnswer, OSError, ValueError: See `errors.error_code`.
        """
        # 1. What to write, and where.
        target = self._target(url)
        is_forwarded = self._proxy is not None and not target.is_secure
        head = self._head(method, target, headers, body, is_forwarded=is_forwarded)
        key: Hashable = None if is_forwarded else (target.is_secure, target.host, target.port)
        # 2. On a kept connection; on a new one if no connection is kept, or if it ended before it answered.
        connection, reader = await self._exchange(key, target, head, body or b"")
        # 3. The connection is kept if the answer was read to its end and nothing came behind it.
        try:
            if is_forwarded and reader.status == _PROXY_AUTHENTICATION and "proxy-authenticate" in reader.headers:
                raise ProxyAway("it does not take our user and password")
            yield Answer(connection, reader)
        finally:
            if connection.may_be_kept:
                self._pool.keep(key, connection, reader.kept_seconds)
            else:
                connection.abort()

    async def check_proxy(self) -> None:
        """Find out, after a timeout or a broken connection, whether the proxy caused it.

        Raises:
            ProxyAway: It takes no connections.
        """
        if self._proxy is None:
            return
        try:
            async with asyncio.timeout(PROXY_TRIED_SECONDS):
                _, writer = await asyncio.open_connection(self._proxy.host, self._proxy.port)
        except (OSError, TimeoutError) as error:
            raise ProxyAway("it takes no connections") from error
        writer.close()

    async def _exchange(
        self, key: Hashable, target: Target, head: bytes, body: bytes
    ) -> tuple[Connection, AnswerReader]:
        if (kept := self._pool.take(key)) is not None:
            try:
                reader = await kept.exchange(head, body)
                if reader.status != _REQUEST_TIMEOUT:
                    return kept, reader
                # A host that gives an idle connection up says so by 408: it answers no request.
                kept.abort()
            except BaseException as error:
                kept.abort()
                if kept.has_answered or not isinstance(error, OSError):
                    raise
        connection = await self._connector.open(target)
        try:
            return connection, await connection.exchange(head, body)
        except BaseException:
            connection.abort()
            raise

    def _checked_target(self, url: str) -> Target:
        target = parse_target(url)
        check_host(target.host, self._networks)
        return target

    def _head(
        self, method: str, target: Target, headers: Mapping[str, str], body: bytes | None, *, is_forwarded: bool
    ) -> bytes:
        lines = [f"{method} {target.url if is_forwarded else target.path} HTTP/1.1\r\nHost: {target.authority}\r\n"]
        if is_forwarded and self._proxy is not None:
            lines.append(self._proxy.head)
        lines.append(_ASKED_FOR)
        for name, value in headers.items():
            if "\r" in value or "\n" in value or "\0" in value:
                raise ValueError(f"the header {name} has a line break or a zero")
            lines.append(f"{name}: {value}\r\n")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}\r\n")
        lines.append("\r\n")
        return "".join(lines).encode()
