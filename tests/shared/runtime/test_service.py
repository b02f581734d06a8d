"""A part of a service that dies ends the service, and all parts end with it; its modules are spared by the collector."""

import asyncio
import subprocess
import sys

import pytest

from shared.runtime import service
from shared.runtime.service import Stop, running


async def _for_ever() -> None:
    while True:
        await asyncio.sleep(3600)  # until it is cancelled


async def _hides_its_first_cancellation() -> None:
    try:
        await _for_ever()
    except asyncio.CancelledError:
        await _for_ever()


async def test_a_part_that_hides_a_cancellation_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CANCEL_AGAIN_SECONDS", 0.01)
    async with asyncio.timeout(5), running(_hides_its_first_cancellation(), Stop(), "stubborn") as task:
        await asyncio.sleep(0)  # the task's first turn
    assert task.cancelled()


async def test_a_part_that_dies_ends_the_service_with_its_error() -> None:
    async def dying() -> None:
        raise LookupError("gone")

    stop = Stop()
    async with running(dying(), stop, "dying"):
        await stop.wait()
    assert isinstance(stop.failure, LookupError)


def test_what_is_loaded_at_the_start_is_not_looked_at_by_the_garbage_collector_again() -> None:
    program = """
import gc, msgspec
from shared.runtime.service import run
from shared.settings import Settings
class None_(Settings): pass
async def serve(_settings, _stop): print("frozen", gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 10_000)
run("ingress", None_, serve)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "frozen True True" in done.stdout, done.stdout + done.stderr


def test_what_a_service_has_opened_is_not_looked_at_by_the_garbage_collector_again() -> None:
    program = """
import gc
from shared.runtime.service import announce_listening, run
from shared.settings import Settings
class None_(Settings): pass
async def serve(_settings, stop):
    global opened
    opened = [[] for _ in range(50_000)]
    before = len(gc.get_objects()) > 50_000
    announce_listening(stop, "127.0.0.1", 1)
    print("frozen", before, len(gc.get_objects()) < 10_000)
run("ingress", None_, serve)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "frozen True True" in done.stdout, done.stdout + done.stderr
