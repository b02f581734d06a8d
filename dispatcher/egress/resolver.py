"""Resolves names so that a name whose servers never answer delays no other name.

The event loop's own resolver has four threads for all names. Here each name has one thread while it is looked up,
however many requests wait for it, and each request waits for a bounded time. The threads are daemons: a name that hangs
must not delay the end of the process.
"""

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

from dispatcher.egress.guard import EgressRefused, Network, is_allowed

LOOKUP_SECONDS: Final = 5.0
"""For one name. The system's resolver may go on for half a minute."""

MOST_LOOKUPS: Final = 64
"""Names looked up at once; names that the connector still has in its cache need no lookup."""


class NotResolved(OSError):
    """The name's servers did not answer in time."""


class Resolver(AbstractResolver):
    """The system's resolver, one thread for each name under way."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MOST_LOOKUPS)
        self._under_way: dict[tuple[str, int], asyncio.Task[list[Any]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of *host*.

        Raises:
            OSError: It has no address; `NotResolved` if its servers did not answer in time.
        """
        key = (host, family)
        lookup = self._under_way.get(key)
        if lookup is None:
            self._under_way[key] = lookup = asyncio.create_task(self._start_lookup(host, family))
            lookup.add_done_callback(lambda done: self._ended(key, done))
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await asyncio.shield(lookup)
        except TimeoutError:
            raise NotResolved("the name's servers do not answer") from None
        return [
            ResolveResult(
                hostname=host, host=address[0], port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Wait for nothing: the threads are daemons."""
        for lookup in tuple(self._under_way.values()):
            lookup.cancel()

    async def _start_lookup(self, host: str, family: int) -> list[Any]:
        # The turn is held for as long as the thread runs, even if no request waits for it any more.
        async with self._turns:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[list[Any]] = loop.create_future()
            threading.Thread(target=_look_up, args=(host, family, loop, answer), name="name", daemon=True).start()
            return await answer

    def _ended(self, key: tuple[str, int], lookup: "asyncio.Task[list[Any]]") -> None:
        self._under_way.pop(key, None)
        if not lookup.cancelled():
            lookup.exception()  # retrieved: no request may be left that waits for it


def _look_up(host: str, family: int, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[list[Any]]") -> None:
    found: list[Any] | Exception
    try:
        found = socket.getaddrinfo(host, None, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except Exception as error:  # noqa: BLE001 - what is not a name raises UnicodeError, and more
        found = error

    def tell() -> None:
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found if isinstance(found, OSError) else OSError(type(found).__name__))
        else:
            answer.set_result(found)

    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(tell)


class GuardedResolver(AbstractResolver):
    """Leaves out of a resolver's answers what may not be reached.

    For a precise error only, the guard being the socket's: where one of several addresses is an inner one, what counts
    is how the public ones fail.
    """

    def __init__(self, resolver: AbstractResolver, networks: Sequence[Network]) -> None:
        self._resolver = resolver
        self._networks = networks

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve *host*.

        Raises:
            EgressRefused: All of its addresses are inner ones.
        """
        found = await self._resolver.resolve(host, port, family)
        allowed = [each for each in found if is_allowed(each["host"], self._networks)]
        if found and not allowed:
            raise EgressRefused
        return allowed

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()
