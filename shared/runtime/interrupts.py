"""Ctrl-C while a program still imports its libraries. Needs no installed library."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

EXIT_INTERRUPTED: Final = 130
"""What a shell reports for a program that Ctrl-C ended: 128 + SIGINT."""


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let SIGINT end the process without a word while the body runs.

    Python would raise `KeyboardInterrupt` in the middle of an import, and show forty lines of other people's code.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, as in a job in the background, or already taken over
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
