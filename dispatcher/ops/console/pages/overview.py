"""The first page: what needs a person, the queues over the last hour, failing endpoints, dead letters by cause."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from aiohttp import web

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE
from dispatcher.ops.console import words
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.pages.chart import Chart, chart, points
from dispatcher.ops.console.pages.needs import group_path, needs
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.dead.errors import TakenByAnother
from dispatcher.ops.dead.letters import DeadGroup
from dispatcher.ops.endpoints.health import EndpointHealth
from dispatcher.ops.queues.bodies import Queue, Queues
from shared.amqp.connection import ConnectionLost

Number = TypeVar("Number", int, float)
Problems = Callable[[], list[str]]

TROUBLES: Final = (TakenByAnother, ConnectionLost, *LEDGER_UNAVAILABLE)
MOST_NEEDS: Final = 8
BAD: Final = frozenset({"failing", "gone"})

PANELS: Final = (
    ("work.events", ("work.events",), "Events from the ingress that no dispatcher has taken in yet."),
    ("work.deliveries", ("work.deliveries",), "Deliveries whose next attempt is due now."),
    ("retry", ("retry.",), "Not told yet; each waits its time in a delay queue. This needs nobody."),
    ("defer", ("defer.",), "Held back without an attempt: a busy or silent endpoint."),
    ("dead", ("dead.",), "Given up, or not understood. Kept until a person decides."),
)


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """Queues that belong together, with their last hour."""

    key: str
    title: str
    hint: str
    chart: Chart
    queues: Sequence[Queue]
    messages: int | None
    in_per_second: float | None
    out_per_second: float | None
    oldest_seconds: float | None
    next_due_at: datetime | None


class Overview:
    """The handlers."""

    def __init__(self, sources: Sources, problems: Problems, now: Callable[[], datetime]) -> None:
        self._sources = sources
        self._problems = problems
        self._now = now

    async def show(self, visit: Visit) -> web.Response:
        """Show the page."""
        return visit.page("overview.html", **await self._context())

    async def live(self, visit: Visit) -> web.Response:
        """Answer only what changes by itself, for the script."""
        return visit.part("overview_live.html", **await self._context())

    async def _context(self) -> dict[str, Any]:
        sources, missing = self._sources, []
        queues = await sources.history.now()
        try:
            groups = (await sources.groups.get()).items
        except TROUBLES:
            groups = [] if sources.groups.last is None else sources.groups.last.items
            missing.append("The dead letters cannot be read at this moment; what stands here may be old.")
        try:
            healths = await sources.healths.get()
            endpoints = await sources.named(_meant(healths.values(), groups))
        except TROUBLES:
            endpoints = {endpoint.id: endpoint for endpoint in sources.endpoints.last or []}
            healths = sources.healths.last or {}
            missing.append("The ledger does not answer at this moment; what stands here may be old.")
        names = {endpoint.id: words.host(endpoint.url) for endpoint in endpoints.values()}
        found = needs(self._problems(), queues, healths, names, groups)
        failing = [health for health in healths.values() if health.verdict in BAD and health.endpoint_id in endpoints]
        return {
            "needs": found[:MOST_NEEDS],
            "more_needs": max(0, len(found) - MOST_NEEDS),
            "missing": missing,
            "panels": [self._panel(queues, key, prefixes, hint) for key, prefixes, hint in PANELS],
            "queues": queues,
            "groups": groups,
            "dead": sum(group.count for group in groups),
            "group_path": group_path,
            "failing": sorted(failing, key=lambda health: health.failing_since or self._now()),
            "endpoints": endpoints,
            "healthy": sum(health.verdict == "healthy" for health in healths.values()),
            "told": sum(health.told for health in healths.values()),
            "not_told": sum(health.failed for health in healths.values()),
            "now": self._now(),
        }

    def _panel(self, queues: Queues, key: str, prefixes: tuple[str, ...], hint: str) -> Panel:
        own = [queue for queue in queues.items if queue.name.startswith(prefixes)]
        samples = [(sample.at, sample.messages) for sample in self._sources.history.samples()]
        title = words.QUEUES[key]
        return Panel(
            key=key,
            title=title,
            hint=hint,
            chart=chart(title, points(samples, lambda name: name.startswith(prefixes)), self._now()),
            queues=own,
            messages=_sum([queue.messages for queue in own]),
            in_per_second=_sum([queue.in_per_second for queue in own]),
            out_per_second=_sum([queue.out_per_second for queue in own]),
            oldest_seconds=max(
                (queue.oldest_seconds for queue in own if queue.oldest_seconds is not None), default=None
            ),
            next_due_at=min((queue.next_due_at for queue in own if queue.next_due_at is not None), default=None),
        )


def _meant(healths: Iterable[EndpointHealth], groups: Sequence[DeadGroup]) -> list[UUID]:
    """Return the endpoints that the page has something to say of."""
    failing = [health.endpoint_id for health in healths if health.verdict in BAD]
    return [*failing, *(group.endpoint_id for group in groups if group.endpoint_id is not None)]


def _sum(values: Sequence[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
