"""`make cluster-faults`: a RabbitMQ cluster of three under traffic, its members struck; prints a table for each release.

    python tests/faults/run_cluster_faults.py [--debian FOLDER] [--only own|debian] [--fault WORDS] [--seed N] [--markdown FILE]

Two releases: this machine's own rabbitmq-server, and that of a Debian in a folder (4.x), which is made by `debootstrap` if it
is not there. As root on Linux each node has a network namespace, and partitions are among the faults; else not, which is said.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

from account import Account
from cluster import running_cluster
from cluster_faults import faults_on_loopback, partitions
from cluster_network import Loopback, Namespaces
from cluster_node import Release, installed_release, release_in
from fault import Fault
from rich.table import Table
from run_faults import COLUMNS as FAULT_COLUMNS
from run_faults import console, row, run_all
from stack_under_fault import StackUnderFault, open_stack

DEBIAN = Path(__file__).resolve().parents[2] / ".local" / "trixie"
COLUMNS = ("RabbitMQ", *FAULT_COLUMNS, "longest without a 200, s")


@asynccontextmanager
async def stack_on_cluster(release: Release, has_namespaces: bool, folder: Path) -> AsyncIterator[StackUnderFault]:
    """Start a cluster of three and a stack on it."""
    network = Namespaces() if has_namespaces else Loopback()
    async with running_cluster(release, network, folder / "cluster") as cluster, open_stack(folder, cluster) as stack:
        yield stack


def debian_release(root: Path) -> Release:
    """Return the rabbitmq-server of the Debian in *root*, which is made if it is not there."""
    if not list(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*")):
        if os.geteuid() != 0 or not shutil.which("debootstrap"):
            sys.exit(f"{root} holds no rabbitmq-server; to make it, run this as root with debootstrap installed")
        console.print(f"making a Debian 13 with rabbitmq-server in {root} …")
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        command = ["debootstrap", "--variant=minbase", "--include=rabbitmq-server", "trixie", str(root)]
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            sys.exit(f"debootstrap failed; {root}/debootstrap/debootstrap.log says why")
    return release_in(root)


def cluster_row(release: Release, name: str, accounts: Sequence[Account]) -> tuple[str, ...]:
    """Return one line of the table."""
    return (release.name, *row(name, accounts), f"{max(each.silence_seconds for each in accounts):.1f}")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="A RabbitMQ cluster under traffic: accepted = told + owed + dead.")
    parser.add_argument("--debian", type=Path, default=DEBIAN, help="folder of a Debian with rabbitmq-server 4.x")
    parser.add_argument("--only", choices=("own", "debian"), help="this release only")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs of each fault")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--fault", default="", help="only faults with these words in their name")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    has_namespaces = sys.platform == "linux" and os.geteuid() == 0
    every_fault: list[Fault] = [*faults_on_loopback(), *(partitions() if has_namespaces else [])]
    if not has_namespaces:
        console.print("no partitions: they need network namespaces, that is root on Linux")
    faults = [fault for fault in every_fault if options.fault in fault.name]
    if not faults:
        console.print(f"no fault has `{options.fault}` in its name")
        return 2
    releases = [] if options.only == "own" else [debian_release(options.debian)]
    releases += [] if options.only == "debian" else [installed_release()]
    rows, wrong = [], 0
    for release in releases:
        accounts: dict[str, list[Account]] = defaultdict(list)
        runs = [
            (fault, options.seed + n) for n, fault in enumerate(fault for fault in faults for _ in range(options.seeds))
        ]
        try:
            asyncio.run(run_all(runs, 1, accounts, partial(stack_on_cluster, release, has_namespaces)))
        except KeyboardInterrupt:
            wrong += 1
            console.print("interrupted: the table holds the runs so far")
        rows += [cluster_row(release, fault.name, accounts[fault.name]) for fault in faults if accounts[fault.name]]
        wrong += sum(bool(each.wrong) for some in accounts.values() for each in some)
    table = Table(*COLUMNS)
    for each in rows:
        table.add_row(*each)
    console.print(table)
    if options.markdown:
        lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
        options.markdown.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
