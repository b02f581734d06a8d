"""HTTP requests to hosts that others named, under the egress rules, directly or through a proxy: the only way out.

| what happened on the way | whose trouble it is |
|---|---|
| an address that may not be reached, at the resolver, at the socket, or in the URL | the endpoint's: `egress_refused` |
| the proxy does not resolve or take connections, or does not take our password (407, `Proxy-Authenticate`) | ours |
| the proxy refuses the tunnel: 403, or 407 without `Proxy-Authenticate`, as Smokescreen does | as `egress_refused` |
| the proxy answers the tunnel with anything else, such as 502 or 504 | the endpoint's: `proxy_502`, `proxy_504` |
| a timeout or broken connection while the proxy takes connections | the endpoint's |

Through a proxy the addresses are resolved, and are to be checked, by the proxy; we look at literals in URLs only. A
plain http request has no tunnel: what the proxy answers to it cannot be told from the application's own answer.
"""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from dispatcher.egress.guard import EgressRefused, GuardedResolver, Network, check_host, guarded_socket
from dispatcher.egress.resolver import Resolver

USER_AGENT: Final = "faxhook/1"

PROXY_TRIED_SECONDS: Final = 2.0
"""For a connection to the proxy, to find out whether the proxy or the host failed."""

PIECES_FROM_BYTES: Final = 256 * 1024

_FORBIDDEN: Final = 403
_PROXY_AUTHENTICATION: Final = 407


class ProxyAway(Exception):
    """The egress proxy does not serve us. This is our own trouble."""

    code = "proxy_away"


class TunnelRefused(ConnectionError):
    """The egress proxy did not reach the host; *status* is what it said."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the egress proxy answered {status}")
        self.code = f"proxy_{status}"


FAILURES: Final = (aiohttp.ClientError, OSError, ValueError)
"""What `EgressClient.request` may raise beside `TimeoutError` and `ProxyAway`; `error_code` has a word for each."""

_ERROR_CODES: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...]] = (
    (EgressRefused, "egress_refused"),  # first: it may come from the resolver
    (aiohttp.ClientConnectorDNSError, "host_not_found"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "tls"),
    (ConnectionRefusedError, "refused"),
    ((aiohttp.ServerDisconnectedError, ConnectionError, aiohttp.ClientPayloadError), "reset"),
    (aiohttp.ClientResponseError, "bad_answer"),
)


def error_code(error: BaseException) -> str:
    """Return the stable code of what went wrong with a request; `network` for what is rare."""
    if isinstance(error, TunnelRefused):
        return error.code
    causes = (error, getattr(error, "os_error", error))
    return next((code for kinds, code in _ERROR_CODES if any(isinstance(cause, kinds) for cause in causes)), "network")


def public_url(url: str) -> str:
    """Return *url* without user and password, otherwise byte for byte.

    >>> public_url("https://user:pass@example.com/hook?x=a%2Bb")
    'https://example.com/hook?x=a%2Bb'
    """
    scheme, separator, rest = url.partition("://")
    end = min((position for mark in "/?#" if (position := rest.find(mark)) >= 0), default=len(rest))
    authority, tail = rest[:end], rest[end:]
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{tail}"


class EgressClient:
    """Requests over kept-alive connections. One for each process.

    Args:
        networks: What may be reached though it is not public.
        proxy: `http://user:password@host:port`. Its own address is not checked: the operator named it.
        resolver: Of names, for tests; the system's if absent, each name by itself.
    """

    def __init__(
        self, networks: Sequence[Network], proxy: str | None = None, resolver: AbstractResolver | None = None
    ) -> None:
        self._networks = tuple(networks)
        self._proxy = None if proxy is None else URL(proxy)
        resolver = resolver or Resolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # bounded by each endpoint's max_concurrent, not by each other
                resolver=GuardedResolver(resolver, networks) if self._proxy is None else resolver,
                socket_factory=guarded_socket(networks) if self._proxy is None else None,
                ttl_dns_cache=30,
                keepalive_timeout=20,
            ),
            timeout=aiohttp.ClientTimeout(total=None),  # the caller's timeout covers the whole, body included
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": USER_AGENT},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    @asynccontextmanager
    async def request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request, byte for byte to *url*, and yield the answer, its body unread. Redirects are answers.

        Raises:
            ProxyAway: Our own trouble.
            EgressRefused: The host is one that may not be reached.
            TunnelRefused: The proxy did not reach the host.
        """
        target = URL(url, encoded=True)
        check_host(target.raw_host or "", self._networks)
        try:
            async with self._session.request(
                method, target, data=_in_pieces(body), headers=headers, allow_redirects=False, proxy=self._proxy
            ) as response:
                if self._proxy is not None and _asks_for_password(response.status, response.headers):
                    raise ProxyAway("it does not take our user and password")
                yield response
        except aiohttp.ClientHttpProxyError as error:
            if _asks_for_password(error.status, error.headers or {}):
                raise ProxyAway("it does not take our user and password") from None
            if error.status in {_FORBIDDEN, _PROXY_AUTHENTICATION}:
                raise EgressRefused from None
            raise TunnelRefused(error.status) from None
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientConnectorDNSError) as error:
            if self._proxy is None:
                raise
            raise ProxyAway("it takes no connections") from error  # no other host is resolved or connected to by us

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


def _in_pieces(body: bytes | None) -> bytes | io.BytesIO | None:
    """Return a large body as a file, which is written piece by piece: the loop and the answer get their turn."""
    return body if body is None or len(body) < PIECES_FROM_BYTES else io.BytesIO(body)


def _asks_for_password(status: int, headers: object) -> bool:
    return status == _PROXY_AUTHENTICATION and "Proxy-Authenticate" in headers  # type: ignore[operator]  # aiohttp types it as an object
