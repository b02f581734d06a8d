"""What is measured knows its endpoints from its start: earlier revisions read what is added later once a second only."""

import os
import time
from pathlib import Path

import pytest
from contestants import tree_way
from cores import Cores
from rows import Report
from run import Run, Sizes
from stack import Stores
from trees import NOW

pytestmark = pytest.mark.services

_STARTED = 19
"""Of `/proc/<pid>/stat`, counted after the name in brackets: ticks from the machine's start."""


def started_at(pid: int) -> float:
    """Return when a process started, in unix seconds, to a hundredth."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[_STARTED])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


async def test_the_endpoints_are_in_the_ledger_before_the_measured_dispatcher_starts(
    amqp_url: str, database_url: str
) -> None:
    run = Run([NOW], Stores(amqp_url, database_url), Cores(None, None), Sizes(), Report({}))
    async with tree_way(run, 0) as way:
        assert way.place is not None
        added_at = await way.place.pool.fetchval("SELECT extract(epoch FROM max(created_at))::float8 FROM endpoints")
        assert added_at < started_at(way.pids["dispatcher"])
        assert (await way.send(run, 3)).told_seconds
