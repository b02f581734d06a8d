"""`make bench`: what faxhook costs, measured in one run on this machine, as ratios to a bare handler, beside the goals.

    python tests/bench/bench.py [--full] [--only PART …] [--before REVISION] [--peers] [--out FOLDER] [--add]
        [--amqp-url URL --database-url URL]   # stores to use instead of private ones: the vhost's queues are EMPTIED

Everything is on loopback: a provider, `python -m ingress`, RabbitMQ, `python -m dispatcher`, PostgreSQL, an application.
The stores are private ones in a temporary folder, on one disk, with fsync and confirms on. What is compared is run in
turns, in at least five rounds, so that other work of the machine disturbs all alike; each figure is the median, with the
least and the most beside it. What provider and application take is not counted and, where there are two cores, not on
the core of what is measured (cores.py).

The table goes to the output, as Markdown; bench.json and bench.svg to a folder.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

import burst
import endpoints
import fan_out
import ingress_cost
import ledger_size
import long_lists
import memory
import neighbour
import retries
import uvloop
import whole_way
from cores import choose_cores, pin_self
from picture import picture
from rows import Report, spread, table
from run import HERE, Run, Sizes, say
from stack import Stores, private_stores
from stores import fresh_topology
from trees import NOW, REPOSITORY, make_environment, tree_before

from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import topology

Measure = Callable[[Run], Awaitable[None]]

PARTS: dict[str, Measure] = {
    "ingress": ingress_cost.measure,
    "way": whole_way.measure,
    "fan-out": fan_out.measure,
    "burst": burst.measure,
    "endpoints": endpoints.measure,
}
"""What `make bench` runs."""

LONG_PARTS: dict[str, Measure] = {
    "burst-5": burst.measure_long,
    "retries": retries.measure,
    "neighbour": neighbour.measure,
    "memory": memory.measure,
    "ledger": ledger_size.measure,
    "lists": long_lists.measure,
}
"""What `make bench-full` runs, too: each takes minutes."""

TINY = Sizes(
    rounds=1, seconds=0.1, events=20, rates=(50.0, 100.0), probes=2, burst=20, endpoints=(10, 100), rest_seconds=0.1,
    retries=20, faxes=500, hour=40,
)  # fmt: skip
"""For the test of the bench: no figure means anything."""


async def bench(run: Run, parts: dict[str, Measure]) -> None:
    """Measure *parts*; the broker's queues are emptied before each."""
    pin_self(run.cores.load)
    for name, measure in parts.items():
        began, first = time.monotonic(), len(run.report.rows)
        if run.stores.api_url is None:
            await fresh_topology(run.stores.amqp_url, topology(parse_backoff(DEFAULT_BACKOFF)))
        await measure(run)
        for row in run.report.rows[first:]:
            row.part = name
        say(f"{name}: {time.monotonic() - began:.0f} s")


def machine(run_cores: str, rounds: int) -> dict[str, object]:
    """Return what a reader must know of the machine."""
    load = os.getloadavg()[0]
    what = (
        f"{os.cpu_count()} cores ({run_cores}), CPython {platform.python_version()}, {rounds} rounds, "
        f"load average before {load:.1f}"
    )
    return {"what": what, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rounds": rounds}


def write(report: Report, folder: Path, *, is_added: bool = False) -> None:
    """Write bench.json and, where loads were varied, bench.svg.

    With *is_added* what an earlier run wrote of other parts stays: parts that take minutes each can be run one by one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "bench.json"
    rows = [
        {
            **asdict(row),
            "reached": {name: row.is_reached(name) for name in row.figures},
            "written": {name: spread(figure, row.unit) for name, figure in row.figures.items()},
            "at": report.machine["at"],
        }
        for row in report.rows
    ]
    points = [asdict(point) for point in report.points]
    if is_added and file.exists():
        before = json.loads(file.read_text())
        measured = {row.part for row in report.rows}
        order = [*PARTS, *LONG_PARTS]
        rows = sorted(
            [*(row for row in before["rows"] if row["part"] not in measured), *rows],
            key=lambda row: order.index(row["part"]),
        )
        points = points or before["points"]
    content = {"machine": report.machine, "rows": rows, "points": points}
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    if report.points:
        (folder / "bench.svg").write_text(picture(report.points, str(report.machine["what"])))


@contextmanager
def peer_environment(wanted: bool) -> Iterator[str]:
    """Make an environment with the peers' libraries, and throw it away afterwards; yield its Python."""
    if not wanted:
        yield sys.executable
        return
    with tempfile.TemporaryDirectory(prefix="faxhook-peers-") as folder:
        say("peers: an environment with their libraries …")
        make_environment(Path(folder) / "venv", "-r", str(HERE / "peers/requirements.txt"))
        yield str(Path(folder) / "venv/bin/python")


@contextmanager
def stores_of(asked: argparse.Namespace) -> Iterator[Stores]:
    if asked.amqp_url:
        yield Stores(asked.amqp_url, asked.database_url)
        return
    with private_stores() as stores:
        yield stores


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Return what is asked for; end with 2 and a sentence where it contradicts itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*PARTS, *LONG_PARTS]
    parser.add_argument("--only", nargs="+", metavar="PART", choices=known, help=f"of {', '.join(known)}")
    parser.add_argument("--full", action="store_true", help="also what takes minutes each")
    parser.add_argument("--before", metavar="REVISION", help="measure this revision in the same rounds, too")
    parser.add_argument("--peers", action="store_true", help="and two peers: FastAPI + FastStream, aiohttp + aio-pika")
    parser.add_argument("--rounds", type=int, default=Sizes.rounds)
    parser.add_argument("--faxes", type=int, default=Sizes.faxes, help="in the large ledger")
    parser.add_argument("--retries", type=int, default=Sizes.retries, help="due at the pace of 100,000 in a minute")
    parser.add_argument("--tiny", action="store_true", help="as little as possible; no figure means anything")
    parser.add_argument("--out", type=Path, default=REPOSITORY / ".local/bench", help="for bench.json and bench.svg")
    parser.add_argument("--add", action="store_true", help="keep what bench.json has of other parts")
    parser.add_argument("--amqp-url", help="a vhost to use instead of a private broker; its queues are EMPTIED")
    parser.add_argument("--database-url", help="a server to use instead of a private one; databases come and go on it")
    asked = parser.parse_args(given)
    if bool(asked.amqp_url) != bool(asked.database_url):
        parser.error("--amqp-url and --database-url belong together")
    if asked.amqp_url and (asked.before or asked.peers):
        parser.error("--before and --peers need vhosts of their own: leave out --amqp-url")
    if min(asked.rounds, asked.faxes, asked.retries) < 1:
        parser.error("at least one round, one fax and one retry")
    return asked


def main() -> int:
    """Return 0: a goal that is missed is shown, not an error."""
    asked = arguments(sys.argv[1:])
    parts = PARTS | (LONG_PARTS if asked.full else {})
    if asked.only:
        parts = {name: measure for name, measure in (PARTS | LONG_PARTS).items() if name in asked.only}
    sizes = TINY if asked.tiny else replace(Sizes(), rounds=asked.rounds, faxes=asked.faxes, retries=asked.retries)
    cores = choose_cores()
    with tree_before(asked.before) as before, peer_environment(asked.peers) as peer_python, stores_of(asked) as stores:
        report = Report(machine(str(cores), sizes.rounds))
        run = Run([NOW, *before], stores, cores, sizes, report, asked.peers, peer_python)
        try:
            uvloop.run(bench(run, parts))
        finally:
            write(report, asked.out, is_added=asked.add)
            sys.stdout.write(table(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
