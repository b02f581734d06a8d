"""A fault is undone whatever happens in between: no session of the database stays stopped."""

import asyncio
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import store_faults
from stack_under_fault import StackUnderFault
from waiting import until


class Pool:
    """A ledger with these sessions; its own is not among them."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids

    async def fetch(self, query: str) -> list[dict[str, int]]:
        return [{"pid": 0}] if "pg_backend_pid" in query else [{"pid": pid} for pid in self._pids]


def state_of(pid: int) -> str:
    """Return `T` for a stopped process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_session_that_has_ended_leaves_no_other_stopped(
    monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    sessions = [await asyncio.create_subprocess_exec("sleep", "60") for _ in range(3)]
    first, ended, last = sessions
    ended.kill()
    await ended.wait()
    alive = (first.pid, last.pid)

    async def it_lasts(_seconds: float) -> None:
        await until(lambda: all(state_of(pid) == "T" for pid in alive), "both are stopped")
        if is_cancelled:
            raise asyncio.CancelledError

    monkeypatch.setattr(store_faults, "it_lasts", it_lasts)
    stack = cast("StackUnderFault", SimpleNamespace(pool=cast("Any", Pool(*(each.pid for each in sessions)))))
    try:
        hanging = asyncio.ensure_future(store_faults.database_hangs(stack, random.Random(1)))
        await asyncio.wait({hanging})
        assert hanging.cancelled() == is_cancelled
        assert is_cancelled or hanging.exception() is None
        await until(lambda: all(state_of(pid) != "T" for pid in alive), "both go on")
    finally:
        for each in (first, last):
            each.kill()
            await each.wait()
