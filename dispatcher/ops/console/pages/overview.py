"""The first page: issues that need attention, queues over the last hour, failing endpoints, dead letters by cause."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.pages.chart import Chart, chart, points
from dispatcher.ops.console.pages.issues import find_issues, group_path
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.dead.errors import TakenByAnother
from dispatcher.ops.endpoints.urls import name_of
from dispatcher.ops.queues.bodies import Queues
from shared.amqp.errors import ConnectionLost

Number = TypeVar("Number", int, float)
Problems = Callable[[], list[str]]

UNAVAILABLE: Final = (TakenByAnother, ConnectionLost, *LEDGER_UNAVAILABLE)
MOST_ISSUES: Final = 8
BAD: Final = frozenset({"failing", "gone"})
NAMED: Final = BAD | {"paused"}

PANELS: Final = (
    ("work.events", "Incoming events", "From the ingress, not yet recorded by a dispatcher."),
    ("work.deliveries", "Deliveries due", "Their next attempt is due now."),
    ("retry.", "Waiting to retry", "Failed so far; each is retried on schedule."),
    ("defer.", "Deferred", "Not attempted: the endpoint is busy or does not answer."),
    ("dead.", "Dead letters", "Given up or unreadable. Kept until a person decides."),
)
"""The prefix of the queues' names, a title and a hint."""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """Queues that belong together, with their last hour."""

    title: str
    hint: str
    is_dead: bool
    chart: Chart
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
        except UNAVAILABLE:
            groups = [] if sources.groups.last is None else sources.groups.last.items
            missing.append("The dead letters cannot be read at this moment; this page may be old.")
        try:
            healths = await sources.healths.get()
            named_ids = [health.endpoint_id for health in healths.values() if health.verdict in NAMED]
            endpoints = await sources.named([*named_ids, *(group.endpoint_id for group in groups)])
        except UNAVAILABLE:
            endpoints = sources.last_named
            healths = sources.healths.last or {}
            missing.append("The ledger does not answer at this moment; this page may be old.")
        try:
            alerts = await sources.alerts.get()
        except UNAVAILABLE:
            alerts = sources.alerts.last or ()
        names = {endpoint.id: name_of(endpoint.url, endpoint.description) for endpoint in endpoints.values()}
        found = find_issues(self._problems(), queues, healths, names, groups, alerts)
        failing = [health for health in healths.values() if health.verdict in BAD and health.endpoint_id in endpoints]
        return {
            "issues": found[:MOST_ISSUES],
            "more_issues": max(0, len(found) - MOST_ISSUES),
            "missing": missing,
            "panels": [self._panel(queues, *panel) for panel in PANELS],
            "queues": queues,
            "groups": groups,
            "dead": sum(group.count for group in groups),
            "group_path": group_path,
            "failing": sorted(failing, key=lambda health: health.failing_since or self._now()),
            "endpoints": endpoints,
            "healthy": sum(health.verdict == "healthy" for health in healths.values()),
            "told": sum(health.told for health in healths.values()),
            "not_told": sum(health.failed for health in healths.values()),
        }

    def _panel(self, queues: Queues, prefix: str, title: str, hint: str) -> Panel:
        own = [queue for queue in queues.items if queue.name.startswith(prefix)]
        samples = [(sample.at, sample.messages) for sample in self._sources.history.samples()]
        return Panel(
            title=title,
            hint=hint,
            is_dead=prefix == "dead.",
            chart=chart(title, points(samples, lambda name: name.startswith(prefix)), self._now()),
            messages=_sum(queue.messages for queue in own),
            in_per_second=_sum(queue.in_per_second for queue in own),
            out_per_second=_sum(queue.out_per_second for queue in own),
            oldest_seconds=max(
                (queue.oldest_seconds for queue in own if queue.oldest_seconds is not None), default=None
            ),
            next_due_at=min((queue.next_due_at for queue in own if queue.next_due_at is not None), default=None),
        )


def _sum(values: Iterable[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
