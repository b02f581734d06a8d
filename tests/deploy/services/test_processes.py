"""The process table: who is who."""

import os
import shutil
import subprocess
import time

import pytest

from deploy.services.processes import Process, find, is_alive, processes, wait_until

# --- the process table ------------------------------------------------------------------------------------------------


def test_another_process_with_the_same_pid_is_not_taken_for_it():
    me = next(process for process in processes() if process.pid == os.getpid())
    assert is_alive(me)
    assert not is_alive(Process(me.pid, me.parent, "another time", me.argv))


def test_ps_tells_the_same_as_proc(monkeypatch, tmp_path):
    if shutil.which("ps") is None:
        pytest.skip("no ps")
    child = subprocess.Popen(["sleep", "60"])
    try:
        monkeypatch.setattr("deploy.services.processes._PROC", tmp_path / "none")
        row = find(lambda process: process.pid == child.pid)
        assert row.runs("sleep")
        assert row.has_argument("60")
        assert row.parent == os.getpid()
        assert is_alive(row)
        assert not is_alive(Process(row.pid, row.parent, "then", row.argv))
    finally:
        child.kill()
        child.wait()
    began = time.monotonic()
    assert wait_until(lambda: not is_alive(row), 5)
    assert time.monotonic() - began < 5
