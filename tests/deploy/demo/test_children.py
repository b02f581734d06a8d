"""A child that ends by itself is named, an interrupt ends all children, and none outlives its runner."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from waiting import until

from deploy.demo.children import ChildEnded, Terminal, supervised


def silent(_line):
    pass


def test_a_child_that_ends_by_itself_ends_the_others_and_is_named_with_its_last_lines():
    ended = []

    async def work(family):
        stubborn = "import signal, time\nprint('up', flush=True)\ntry:\n  signal.pause()\nfinally: pass"
        async with family.child("healthy", ["-c", stubborn], os.environ, ended.append):
            await until(lambda: ended, "the first child is up")
            async with family.child("sick", ["-c", "print('oh no'); raise SystemExit(3)"], os.environ, silent):
                await family.for_ever()

    with pytest.raises(ChildEnded, match=r"(?s)sick ended by itself with exit code 3.*oh no") as trouble:
        supervised(Terminal(), work)
    assert trouble.value.exit_code == 70


def test_an_interrupt_ends_all_and_a_second_one_does_not_wait(capsys):
    lines = []

    async def work(family):
        deaf = "import signal\nsignal.signal(15, signal.SIG_IGN)\nprint('deaf', flush=True)\nwhile True: signal.pause()"
        async with family.child("deaf", ["-c", deaf], os.environ, lines.append):
            await until(lambda: lines, "it is deaf")
            loop = asyncio.get_running_loop()
            loop.call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
            loop.call_later(0.3, os.kill, os.getpid(), signal.SIGINT)
            await family.for_ever()

    before = signal.getsignal(signal.SIGTERM)
    assert supervised(Terminal(), work) is False
    assert signal.getsignal(signal.SIGTERM) is before
    assert "deaf did not end yet: killed" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
async def test_children_end_with_a_runner_that_is_killed():
    script = """
import os
from deploy.demo.children import Terminal, supervised
async def work(family):
    async with family.child("child", ["-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"],
                            os.environ, lambda line: print(line, flush=True)):
        await family.for_ever()
supervised(Terminal(), work)
"""
    runner = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    pid = int(await runner.stdout.readline())
    runner.kill()
    await runner.wait()
    await until(lambda: _is_gone(pid), "the child is gone")


def _is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return b") Z " in Path(f"/proc/{pid}/stat").read_bytes()  # in a container there may be no process that reaps it


def test_lines_of_children_bear_our_time_and_their_name_once(capsys):
    Terminal().line("ingress", "2026-11-22T10:25:00.123456Z [info     ] service.started        service=ingress")
    out = capsys.readouterr().out
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC ingress    \| \[info     \] service.started\n", out), (
        "in UTC and with the date, as everywhere"
    )
    assert "2026-11-22" not in out
