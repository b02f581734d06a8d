"""What takes callbacks in and tells an application: the services of a tree, or a peer."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from callback_load import json_callback, next_number
from run import Phase, Run, told
from stack import Stack, stack
from wire import Application, applying


@dataclass
class Contestant:
    """What takes callbacks in and tells an application.

    Attributes:
        pids: Its own processes; the stores come on top.
        settled: Returns when all of its work is done.
        place: Of a tree; None of a peer, which has no ledger.
    """

    name: str
    application: Application
    port: int
    pids: dict[str, int]
    settled: Callable[[], Awaitable[None]]
    place: Stack | None = None

    async def send(self, run: Run, count: int, per_second: float | None = None) -> Phase:
        """Send *count* callbacks the whole way."""
        requests = {number: json_callback(number) for number in (next_number() for _ in range(count))}
        pids = self.pids | run.stores.pids
        return await told(self.application, self.port, pids, requests, self.settled, per_second=per_second)


@asynccontextmanager
async def tree_place(
    run: Run, position: int, name: str, endpoints: Callable[[str], Sequence[dict[str, Any]]]
) -> AsyncIterator[Contestant]:
    """Run both services of a tree, and an application.

    Args:
        run: The tree is one of its trees.
        position: Among them.
        name: Of the place.
        endpoints: Returns what the API is given for each, from the application's URL.
    """
    tree = run.trees[position]
    async with stack(tree, run.stores, run.cores, name) as place, applying() as application:
        await place.add_endpoints(*endpoints(application.url))
        async with place.ingress() as ingress, place.dispatcher() as dispatcher:
            pids = {"ingress": ingress.pid, "dispatcher": dispatcher.pid}
            yield Contestant(tree.name, application, ingress.port, pids, place.recorded, place)


@asynccontextmanager
async def tree_way(run: Run, position: int, name: str = "way") -> AsyncIterator[Contestant]:
    """Run both services of a tree, and an application that is owed everything."""

    def everything(url: str) -> list[dict[str, Any]]:
        return [{"url": url, "tokens": ["bench-token"], "max_concurrent": 32}]

    async with tree_place(run, position, name, everything) as made:
        yield made
