"""Work that stands still ends the process; work that is done, excused, or not there does not."""

import asyncio
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.watchdog import Standstill, StoodStill, Watch, watch

FAST = 0.005


async def test_work_that_waits_while_nothing_is_done_ends_it_with_a_sentence() -> None:
    with pytest.raises(StoodStill, match=r"^nothing was done for 0 s though there was work: letters, 3 waiting$"):
        await watch([Watch("well", 1.0, lambda: (0, None)), Watch("letters", 4 * FAST, lambda: (3, "same"))], FAST)


@pytest.mark.parametrize("case", ["nothing waits", "something is done", "excused"])
async def test_what_does_not_stand_still_goes_on(case: str) -> None:
    looks = 0

    def look() -> tuple[int, int]:
        nonlocal looks
        looks += 1
        return int(case != "nothing waits"), looks if case == "something is done" else 0

    watching = asyncio.create_task(watch([Watch("x", 3 * FAST, look, lambda: case == "excused")], FAST))
    while looks < 20 and not watching.done():
        await asyncio.sleep(FAST)  # as often as it looks itself
    assert not watching.done()
    watching.cancel()


steps = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans()), max_size=40)


@given(steps)
def test_it_counts_the_looks_since_the_last_one_at_which_something_was_done(
    looks: list[tuple[int, int, bool]],
) -> None:
    standstill, last, expected = Standstill(), None, 0.0
    for waiting, done, is_excused in looks:
        expected = 0.0 if waiting == 0 or done != last or is_excused else expected + 1.0
        last = done
        assert standstill.step((waiting, done), 1.0, is_excused=is_excused) == expected


def run(body: str, **bounds: float) -> tuple[int, str, float]:
    """Run *body* in a loop watched from outside; return exit code, stderr and seconds."""
    code = f"""
import asyncio, threading, time, re
from shared.runtime.hang_detector import LastResort

async def main():
    LastResort("service", asyncio.get_running_loop(), lambda: failed, turn_seconds=0.05, **{bounds!r}).start()
    {body}

failed = False
asyncio.run(main())
"""
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr, time.monotonic() - started


def test_a_loop_that_is_blocked_ends_the_process_and_says_where() -> None:
    code, stderr, _ = run("time.sleep(30)", blocked_seconds=0.3)
    assert code == 70
    assert stderr.startswith("service: the event loop has not turned for 0 s, it is at __main__:")


def test_an_end_that_does_not_come_is_made() -> None:
    code, stderr, seconds = run("globals().update(failed=True); await asyncio.sleep(30)", end_seconds=0.3)
    assert (code, stderr) == (70, "service: a part died, and closing the others has not ended for 0 s\n")
    assert seconds < 20


def test_a_loop_that_turns_and_ends_is_left_alone() -> None:
    assert run("await asyncio.sleep(1.0)", blocked_seconds=0.4, end_seconds=0.1)[:2] == (0, "")


def test_code_that_keeps_the_interpreter_to_itself_ends_the_process_too() -> None:
    # A pattern that tries for ever, and holds the interpreter's lock meanwhile.
    body = """
    import shared.runtime.hang_detector
    shared.runtime.hang_detector.LOCKED_SECONDS = 0.5
    await asyncio.sleep(0.3)
    re.match(r"(a|a)*b", "a" * 60)
"""
    code, stderr, seconds = run(body.strip(), blocked_seconds=30.0)
    assert code == 1
    assert "Timeout" in stderr
    assert seconds < 20
