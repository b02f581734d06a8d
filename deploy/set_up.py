"""Makes the virtual environment of the project; every make target that needs it calls this first.

    python3 deploy/set_up.py DIR

It takes a minute the first time, and says what it is doing at least every `SAY_EVERY_SECONDS`. What the programs print
is shown only if one of them fails.

Exit codes: 0 done · 70 a step failed · 130 interrupted; the same command begins again.
"""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent
LOCK: Final = REPOSITORY / "requirements-dev.lock"
SAY_EVERY_SECONDS: Final = 5.0
LAST_LINES: Final = 20
EXIT_FAILED: Final = 70
EXIT_INTERRUPTED: Final = 130

_PIP: Final = ("-m", "pip", "--disable-pip-version-check", "--no-color", "install", "--progress-bar", "off")
_FETCHED = re.compile(r"^ *(Collecting|Processing) ")
_INSTALLING: Final = "Installing collected packages"


class Progress:
    """How far pip is, read from its lines."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._fetched = 0
        self._is_installing = False

    def take(self, line: str) -> None:
        """Take a line of pip."""
        self._fetched += bool(_FETCHED.match(line))
        self._is_installing = self._is_installing or line.startswith(_INSTALLING)

    def __str__(self) -> str:
        if self._is_installing:
            return f"installing {self._fetched} libraries"
        return f"{min(self._fetched, self._total)} of {self._total} libraries fetched"


class StepFailed(Exception):
    """A program of a step ended with an error; the message holds its last lines."""


def set_up(folder: Path) -> None:
    """Make the virtual environment *folder* with what the lock file pins, and the project itself.

    Raises:
        StepFailed: One of the programs failed.
    """
    python = str(folder / "bin" / "python")
    total = len(re.findall(r"^[\w.-]+(?:\[[^\]]*\])?==", LOCK.read_text(encoding="utf-8"), re.MULTILINE))
    _say(f"setting up {folder}, once: a virtual environment with {total} libraries; a minute, on a slow line more")
    run_step("making the environment", [sys.executable, "-m", "venv", str(folder)])
    lock = ["--require-hashes", "-r", str(LOCK)]
    run_step("fetching libraries", [python, *_PIP, *lock], Progress(total))
    run_step("installing faxhook", [python, *_PIP, "--no-deps", "--no-build-isolation", "-e", str(REPOSITORY)])


def run_step(what: str, command: Sequence[str], progress: Progress | None = None) -> None:
    """Run *command* and say meanwhile, in words and seconds, how far it is.

    Raises:
        StepFailed: It could not be run, or ended with an error.
    """
    began = said = time.monotonic()
    _say(f"{what} …")
    last: deque[str] = deque(maxlen=LAST_LINES)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=REPOSITORY
    )
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        while True:
            try:
                line = lines.get(timeout=max(0.0, said + SAY_EVERY_SECONDS - time.monotonic()))
            except queue.Empty:
                said = time.monotonic()
                _say(f"  {progress or what}, {said - began:.0f} s")
                continue
            if line is None:
                break
            last.append(line)
            if progress is not None:
                progress.take(line)
        if process.wait() != 0:
            raise StepFailed(f"{what} failed with exit code {process.returncode}:\n{''.join(last)}")
    finally:
        process.terminate()  # nothing, if it has ended; Ctrl-C has reached it already
        process.wait()
        reader.join(timeout=1.0)


def _read(process: "subprocess.Popen[str]", lines: "queue.Queue[str | None]") -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            lines.put(line)
    lines.put(None)


def _say(line: str) -> None:
    print(line, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        set_up(Path(arguments[0]))
    except KeyboardInterrupt:
        print("Interrupted. The same command begins again.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (StepFailed, OSError) as error:
        print(f"The set-up did not succeed: {error}", file=sys.stderr)
        return EXIT_FAILED
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
