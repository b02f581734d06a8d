"""What becomes of a program whose output cannot be written: its reader has ended (`… | head`), or the disk is full.

Python raises an `OSError` then, which a command would take for the error of a connection. And how lines are written,
many at a time. Needs no installed library.
"""

import asyncio
import atexit
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, TextIO

EXIT_READER_ENDED: Final = 141
"""What a shell reports for a program that SIGPIPE ended: 128 + 13."""

EXIT_NOT_WRITTEN: Final = 74
"""`EX_IOERR`."""

FLUSH_SECONDS: Final = 0.05
"""A crash by SIGKILL loses the last lines of this long; what counts is in broker and ledger, not in the log."""


@contextmanager
def ending_with_output(program: str) -> Iterator[None]:
    """Run a command that ends when its output can no longer be written.

    It ends quietly with `EXIT_READER_ENDED` if the reader has ended, else with a sentence and `EXIT_NOT_WRITTEN`.
    """
    _replace(lambda stream: _EndingOutput(stream, program))
    try:
        yield
    finally:
        sys.stdout.flush()


def drop_what_cannot_be_written() -> None:
    """Let a service go on without log lines that cannot be written: callbacks and deliveries matter more."""
    _replace(_DroppingOutput)


def _replace(open_raw: Any) -> None:
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        try:
            descriptor = None if stream is None else stream.fileno()
        except (OSError, ValueError):  # not a file: a test has put its own there
            continue
        if stream is None or descriptor is None:  # closed by the shell: `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open until the end
            continue
        stream.flush()
        buffered = io.BufferedWriter(open_raw(descriptor))
        line_buffering = stream.isatty() or name == "stderr"
        text = io.TextIOWrapper(buffered, encoding=stream.encoding, errors=stream.errors, line_buffering=line_buffering)
        setattr(sys, name, text)


class _EndingOutput(io.FileIO):
    def __init__(self, descriptor: int, program: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._program = program

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            # The rest goes nowhere: Python writes what is buffered when it ends, and would report that it cannot.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                raise SystemExit(EXIT_READER_ENDED) from None
            sys.stderr.write(f"{self._program}: the output cannot be written: {error.strerror}\n")
            raise SystemExit(EXIT_NOT_WRITTEN) from None


class _DroppingOutput(io.FileIO):
    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


class GatheredLines:
    """Writes many lines at a time: a system call for each would cost more than making the line.

    Lines go out within `FLUSH_SECONDS`, at once without a running event loop, and at the end of the process.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        atexit.register(self.flush)

    def __call__(self, *_arguments: Any) -> "GatheredLines":
        """Return itself: structlog asks its factory for a logger."""
        return self

    def msg(self, line: bytes) -> None:
        """Take one line."""
        self._lines.append(line)
        if len(self._lines) > 1:
            return
        try:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        except RuntimeError:
            self.flush()

    debug = info = warning = error = exception = critical = msg  # structlog's names for it

    def flush(self) -> None:
        """Write what was gathered."""
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write(b"\n".join(lines) + b"\n")
            self._stream.flush()
