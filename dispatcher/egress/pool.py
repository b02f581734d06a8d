"""Connections that are kept for the next request to the same host.

Servers end idle connections after 5 s (Node, Apache, uvicorn), some after 60 or more; ours end before, and earlier if
the host says so by `Keep-Alive: timeout=N`.
"""

import asyncio
from collections.abc import Hashable
from typing import Final

from dispatcher.egress.connection import Connection

KEPT_SECONDS: Final = 4.0
MARGIN_SECONDS: Final = 1.0
"""Earlier than the host says: our next request is on its way for as long."""

SWEEP_SECONDS: Final = 1.0


class ConnectionPool:
    """Kept connections by what they lead to; the one used last goes first, so that the others may end."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, list[Connection]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def take(self, key: Hashable) -> Connection | None:
        """Return a connection on which a request may be sent, or None."""
        kept = self._kept.get(key)
        now = asyncio.get_running_loop().time()
        while kept:
            connection = kept.pop()
            if not kept:
                del self._kept[key]
            if connection.kept_until > now and connection.is_quiet:
                return connection
            connection.abort()
        return None

    def keep(self, key: Hashable, connection: Connection, host_keeps_seconds: float | None) -> None:
        """Keep *connection* until it is taken or has been idle for too long; the host ends it after so many seconds."""
        seconds = KEPT_SECONDS
        if host_keeps_seconds is not None:
            seconds = min(seconds, host_keeps_seconds - MARGIN_SECONDS)
        if seconds <= 0:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.rest()
        connection.kept_until = loop.time() + seconds
        self._kept.setdefault(key, []).append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(SWEEP_SECONDS, self._close_idle)

    def close(self) -> None:
        """Close all of them."""
        if self._sweep is not None:
            self._sweep.cancel()
        for kept in self._kept.values():
            for connection in kept:
                connection.close()
        self._kept.clear()

    def _close_idle(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for key, kept in list(self._kept.items()):
            for connection in kept:
                if connection.kept_until <= now:
                    connection.close()
            self._kept[key] = still = [each for each in kept if each.kept_until > now]
            if not still:
                del self._kept[key]
        self._sweep = loop.call_later(SWEEP_SECONDS, self._close_idle) if self._kept else None
