"""A process whose loop is blocked, or whose shutdown does not end, is ended with a sentence; a sound one is left alone."""

import subprocess
import sys
import time


def run(body: str, **bounds: float) -> tuple[int, str, float]:
    """Run *body* in a loop watched from outside; return exit code, stderr and seconds."""
    code = f"""
import asyncio, threading, time, re
from shared.runtime.hang_detector import HangDetector

async def main():
    HangDetector("service", asyncio.get_running_loop(), lambda: failed, turn_seconds=0.05, **{bounds!r}).start()
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
    await asyncio.sleep(0.3)  # the detector's thread has begun
    re.match(r"(a|a)*b", "a" * 60)
"""
    code, stderr, seconds = run(body.strip(), blocked_seconds=30.0)
    assert code == 1
    assert "Timeout" in stderr
    assert seconds < 20
