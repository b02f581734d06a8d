"""What the services and the stores have in memory at rest, and after an hour's worth of events."""

from callback_load import json_callback, next_number
from contestants import tree_way
from rows import Figure, Row
from run import Run, at_rest, told
from stack import resident_bytes

AFTER = (0.5, 1.0)
"""Of the hour: memory that grows with every event shows in the second half, too."""

WARM_UP = 1_000


async def measure(run: Run) -> None:
    """Add the memory of each process; that of the stores with the first tree only, whose work they would still hold."""
    run.stores.pin(run.cores.measured)
    rows: dict[str, dict[str, Figure]] = {}
    for position, tree in enumerate(run.trees):
        for what, size in (await _sizes(run, position)).items():
            rows.setdefault(what, {})[tree.name] = Figure.of([float(size)])
    run.report.rows += [Row(what, "", None, "MB", figures) for what, figures in rows.items()]


async def _sizes(run: Run, position: int) -> dict[str, int]:
    """Return the bytes of each process of a tree, at rest before and after the hour's worth."""
    async with tree_way(run, position, "memory") as way:
        pids = way.pids | run.stores.pids
        found = [("at rest, just started", {name: resident_bytes(pid) for name, pid in pids.items()})]
        sent = 0
        for share in AFTER:
            while sent < int(run.sizes.hour * share):
                count = min(WARM_UP, int(run.sizes.hour * share) - sent)
                requests = {number: json_callback(number) for number in (next_number() for _ in range(count))}
                await told(way.application, way.port, pids, requests, way.settled)
                way.application.arrivals.clear()
                sent += count
            await at_rest(pids, run.sizes.rest_seconds)
            found.append((f"at rest, after {sent:,} events", {name: resident_bytes(pid) for name, pid in pids.items()}))
    shown = way.pids if position else pids
    return {f"memory of {name} {when}": sizes[name] for name in shown for when, sizes in found}
