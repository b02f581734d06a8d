"""Opens connections: names resolved, addresses guarded, TLS verified, directly or through the egress proxy."""

import asyncio
import base64
import ipaddress
import os
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import aiohappyeyeballs
from aiohttp.abc import AbstractResolver

from dispatcher.egress.answer_reader import AnswerReader
from dispatcher.egress.connection import Connection
from dispatcher.egress.errors import HostNotFound, ProxyAway, TunnelRefused
from dispatcher.egress.guard import EgressRefused
from dispatcher.egress.target import Target

NEXT_ADDRESS_SECONDS: Final = 0.25
"""After so long the next address of a name is tried beside the first (RFC 8305)."""

REMEMBERED_SECONDS: Final = 30.0
"""For the addresses of a name; each is checked again at every connection."""

MOST_REMEMBERED: Final = 10_000

_FORBIDDEN: Final = 403
_PROXY_AUTHENTICATION: Final = 407


class Proxy:
    """The egress proxy: where it is, and how we log in to it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.head = f"Proxy-Authorization: Basic {credentials}\r\n" if parts.username is not None else ""


class Connector:
    """Opens connections to hosts that others named.

    Args:
        resolver: Of names. It, or *socket_factory*, leaves out what may not be reached.
        socket_factory: Sees each address just before it is connected to; None: the system's.
        proxy: Through it all connections go.
    """

    def __init__(
        self, resolver: AbstractResolver, socket_factory: Callable[[Any], socket.socket] | None, proxy: Proxy | None
    ) -> None:
        self._resolver = resolver
        self._socket_factory = socket_factory
        self._proxy = proxy
        self._tls = _tls_of(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        self._addresses: OrderedDict[tuple[str, int], tuple[float, Sequence[Any]]] = OrderedDict()

    async def open(self, target: Target) -> Connection:
        """Return a new connection over which a request to *target* may be sent.

        Raises:
            ProxyAway: The proxy does not serve us.
            EgressRefused: The host is one that may not be reached.
            TunnelRefused: The proxy did not reach the host.
            HostNotFound: The name has no address.
            OSError: It could not be connected to; `ssl.SSLError` if it could, and its certificate or TLS is wrong.
        """
        if self._proxy is None:
            return await self._connect(target.host, target.port, target if target.is_secure else None)
        try:
            connection = await self._connect(self._proxy.host, self._proxy.port, None)
        except OSError as error:
            raise ProxyAway("it takes no connections") from error
        return await self._tunnel(connection, target, self._proxy) if target.is_secure else connection

    def forget_addresses(self) -> None:
        """Resolve every name again."""
        self._addresses.clear()

    async def _connect(self, host: str, port: int, tls_for: Target | None) -> Connection:
        addresses = await self._resolve(host, port)
        loop = asyncio.get_running_loop()
        try:
            sock = await aiohappyeyeballs.start_connection(
                addresses,
                happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
                interleave=1,
                socket_factory=self._socket_factory,
            )
        except RuntimeError as error:  # uvloop's word for a socket that is closed
            raise ConnectionResetError(type(error).__name__) from None
        try:
            name = None if tls_for is None else _server_name(tls_for)
            tls = None if tls_for is None else self._tls
            _, connection = await loop.create_connection(Connection, sock=sock, ssl=tls, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        return connection

    async def _resolve(self, host: str, port: int) -> Sequence[Any]:
        loop = asyncio.get_running_loop()
        known = self._addresses.get((host, port))
        if known is not None and known[0] > loop.time():
            return known[1]
        try:
            found = _literal(host, port) or await self._resolver.resolve(host, port, socket.AF_UNSPEC)
        except EgressRefused:
            raise
        except (OSError, UnicodeError) as error:
            raise HostNotFound(type(error).__name__) from None
        if not found:
            raise HostNotFound("the name has no address")
        addresses = [_address_info(each) for each in found]
        self._addresses[host, port] = (loop.time() + REMEMBERED_SECONDS, addresses)
        self._addresses.move_to_end((host, port))
        if len(self._addresses) > MOST_REMEMBERED:
            self._addresses.popitem(last=False)
        return addresses

    async def _tunnel(self, connection: Connection, target: Target, proxy: Proxy) -> Connection:
        """Ask the proxy for a tunnel, and begin TLS with the host through it."""
        try:
            host = f"[{target.host}]" if ":" in target.host else target.host
            head = f"CONNECT {host}:{target.port} HTTP/1.1\r\nHost: {host}:{target.port}\r\n{proxy.head}\r\n"
            answer = await connection.exchange(head.encode("utf-8"), b"", is_tunnel=True)
            _check_tunnel(answer)
            inner = Connection()
            transport = await asyncio.get_running_loop().start_tls(
                connection.transport, inner, self._tls, server_hostname=_server_name(target)
            )
        except BaseException:
            connection.abort()
            raise
        if transport is None:
            raise ConnectionResetError("the connection ended with its handshake")
        inner.connection_made(transport)
        return inner


def _check_tunnel(answer: AnswerReader) -> None:
    if answer.status == _PROXY_AUTHENTICATION and "proxy-authenticate" in answer.headers:
        raise ProxyAway("it does not take our user and password")
    if answer.status in {_FORBIDDEN, _PROXY_AUTHENTICATION}:
        raise EgressRefused
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP
        raise TunnelRefused(answer.status)


@lru_cache(maxsize=1)
def _tls_of(_cert_file: str | None, _cert_dir: str | None) -> ssl.SSLContext:
    """Return what verifies by the authorities that OpenSSL finds there, the system's if it is not told where.

    One for all connectors of a process: to read the authorities takes as long as a hundred requests.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _server_name(target: Target) -> str:
    return target.host.rstrip(".")


def _literal(host: str, port: int) -> list[Any]:
    """Return the one answer for a host that is an address; none for a name."""
    try:
        version = ipaddress.ip_address(host.partition("%")[0]).version
    except ValueError:
        return []
    family = socket.AF_INET6 if version == 6 else socket.AF_INET  # noqa: PLR2004 - of the Internet Protocol
    return [{"family": family, "host": host, "port": port}]


def _address_info(found: Any) -> Any:
    """Return a resolver's answer as `getaddrinfo` gives it."""
    is_v6 = found["family"] == socket.AF_INET6
    host, _, scope = found["host"].partition("%")
    address = (host, found["port"], 0, int(scope) if scope.isdigit() else 0) if is_v6 else (host, found["port"])
    return (found["family"], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)
