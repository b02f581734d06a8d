"""CPU time is that of the kernel's run times: all threads, ended ones and children included, to a nanosecond."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from cpu import cpu_seconds, tree_of

BURN_SECONDS = 0.05


def burn() -> None:
    until = time.thread_time() + BURN_SECONDS
    while time.thread_time() < until:
        pass


def schedstat_seconds() -> float:
    tasks = Path("/proc/self/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def test_it_is_what_schedstat_says_of_all_threads_and_those_that_ended_stay_counted() -> None:
    before, threads_before = cpu_seconds(os.getpid()), schedstat_seconds()
    burner = threading.Thread(target=burn)
    burner.start()
    burner.join()
    used, used_by_living_threads = cpu_seconds(os.getpid()) - before, schedstat_seconds() - threads_before
    assert used >= BURN_SECONDS  # the thread is gone, its time is not
    assert used - used_by_living_threads >= BURN_SECONDS * 0.9


def test_less_than_a_tick_is_seen() -> None:
    before = cpu_seconds(os.getpid())
    time.process_time()
    assert 0 < cpu_seconds(os.getpid()) - before < 1


def test_children_belong_to_the_tree_and_stay_counted_when_they_have_ended() -> None:
    before = cpu_seconds(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in tree_of(os.getpid())
    assert cpu_seconds(os.getpid()) - before > 0.005  # an interpreter was started and ended


def test_a_process_that_is_gone_has_used_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert cpu_seconds(child.pid) == 0.0
