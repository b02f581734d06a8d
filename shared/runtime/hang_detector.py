"""Ends a process that hangs: its event loop is blocked, or its shutdown has begun and does not end.

It runs in a thread, because a blocked loop cannot check itself. It counts its own turns, not the clock's seconds: a
process that was suspended for a while has not hung. Code that never releases the interpreter's lock stops this thread
as well; for that case faulthandler's timer, which needs no lock, prints where every thread is and exits.
"""

import asyncio
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from shared.errors import EXIT_CRASHED
from shared.runtime.sd_notify import ALIVE, notify

BLOCKED_SECONDS: Final = 60.0
"""Our own code holds the loop for some tenths of a second at most."""

END_SECONDS: Final = 60.0
"""For the shutdown after a part of the process died: longer than an orderly one takes."""

LOCKED_SECONDS: Final = 90.0

_TURN_SECONDS: Final = 1.0
_STDERR: Final = 2


class HangDetector:
    """Watches one event loop from outside.

    Args:
        service: Its name begins the sentence on stderr.
        is_failed: True once the process shuts down because a part died.
    """

    def __init__(
        self,
        service: str,
        loop: asyncio.AbstractEventLoop,
        is_failed: Callable[[], bool],
        *,
        blocked_seconds: float = BLOCKED_SECONDS,
        end_seconds: float = END_SECONDS,
        turn_seconds: float = _TURN_SECONDS,
    ) -> None:
        self._service = service
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._is_failed = is_failed
        self._blocked_seconds = blocked_seconds
        self._end_seconds = end_seconds
        self._turn_seconds = turn_seconds
        self._turned = True
        self._thread = threading.Thread(target=self._watch, name="hang detector", daemon=True)

    def start(self) -> None:
        """Begin to watch. Call it in the loop's thread."""
        self._thread.start()

    def _loop_turned(self) -> None:
        self._turned = True

    def _watch(self) -> None:
        blocked_seconds = failed_seconds = 0.0
        while True:
            time.sleep(self._turn_seconds)
            faulthandler.dump_traceback_later(LOCKED_SECONDS, exit=True, file=_STDERR)
            blocked_seconds = 0.0 if self._turned else blocked_seconds + self._turn_seconds
            if blocked_seconds == 0.0:
                notify(ALIVE)
                self._turned = False
                try:
                    self._loop.call_soon_threadsafe(self._loop_turned)
                except RuntimeError:
                    return  # closed
            failed_seconds = failed_seconds + self._turn_seconds if self._is_failed() else 0.0
            if blocked_seconds >= self._blocked_seconds:
                self._end(f"the event loop has not turned for {blocked_seconds:.0f} s, it is at {self._place()}")
            if failed_seconds >= self._end_seconds:
                self._end(f"a part died, and closing the others has not ended for {failed_seconds:.0f} s")

    def _place(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - there is no other way to look
        return "its end" if frame is None else f"{frame.f_globals.get('__name__')}:{frame.f_lineno}"

    def _end(self, sentence: str) -> None:
        # Neither the log nor stderr's buffer: the thread that hangs may hold their locks.
        os.write(_STDERR, f"{self._service}: {sentence}\n".encode())
        os._exit(EXIT_CRASHED)
