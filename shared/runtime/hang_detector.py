"""Ends the process when nothing in it can any more: the event loop is blocked, or an end that was begun does not come.

A thread, because what it watches cannot watch itself. It counts its own turns, not the clock's seconds: a process that
was stopped for a while has not hung. Code that holds the interpreter's lock all the time stops this thread as well;
against that stands a timer of the interpreter's own, outside of Python, which shows where every thread was.
"""

import asyncio
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

BLOCKED_SECONDS: Final = 60.0
"""Nothing of ours holds the loop for more than some tenths of a second."""

END_SECONDS: Final = 60.0
"""For a process that ends because a part of it died: longer than closing takes in order."""

LOCKED_SECONDS: Final = 90.0

EXIT_FAILED: Final = 70
"""`EX_SOFTWARE`: a part of the process died; starting again may help."""

_TURN_SECONDS: Final = 1.0
_STDERR: Final = 2


class LastResort:
    """Watches one event loop from outside.

    Args:
        service: Whose name begins the last sentence, on stderr.
        is_failed: True once the process shall end because a part died.
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
        self._thread = threading.Thread(target=self._watch, name="last resort", daemon=True)

    def start(self) -> None:
        """Begin to watch. To be called in the loop's thread."""
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
        # Neither the log nor stderr's buffer: whoever holds their locks may be who hangs.
        os.write(_STDERR, f"{self._service}: {sentence}\n".encode())
        os._exit(EXIT_FAILED)
