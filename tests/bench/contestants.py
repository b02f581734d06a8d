"""What takes callbacks in and tells an application: the services of a tree, or a peer."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from callback_load import json_callback, next_number
from run import Phase, Run, told
from stack import Service, Stack, stack
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
    dispatcher: Service | None = None

    async def send(self, run: Run, count: int, per_second: float | None = None) -> Phase:
        """Send *count* callbacks the whole way."""
        requests = {number: json_callback(number) for number in (next_number() for _ in range(count))}
        pids = self.pids | run.stores.pids
        return await told(self.application, self.port, pids, requests, self.settled, per_second=per_second)


@asynccontextmanager
async def tree_place(run: Run, position: int, name: str) -> AsyncIterator[Contestant]:
    """Run both services of a tree, and an application that no endpoint names yet."""
    tree = run.trees[position]
    async with (
        stack(tree, run.stores, run.cores, name) as place,
        applying() as application,
        place.ingress() as ingress,
        place.dispatcher() as dispatcher,
    ):
        pids = {"ingress": ingress.pid, "dispatcher": dispatcher.pid}
        yield Contestant(tree.name, application, ingress.port, pids, place.recorded, place, dispatcher)


@asynccontextmanager
async def tree_way(run: Run, position: int, name: str = "way") -> AsyncIterator[Contestant]:
    """Run both services of a tree, and an application that is owed everything."""
    async with tree_place(run, position, name) as made:
        assert made.place is not None
        assert made.dispatcher is not None
        await made.place.add_endpoint(
            made.dispatcher, url=made.application.url, tokens=["bench-token"], max_concurrent=32
        )
        yield made
