"""What becomes of a program whose output cannot be written: its reader has ended (`… | head`), or the disk is full.

Python raises an `OSError` then, which a command would take for the error of a connection. Needs no installed library.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

EXIT_READER_ENDED: Final = 141
"""What a shell reports for a program that SIGPIPE ended: 128 + 13."""

EXIT_NOT_WRITTEN: Final = 74
"""`EX_IOERR`."""


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
