"""Runs a service that takes FACTOR times its CPU: what `make bench-check` must notice.

python tests/bench/expensive.py FACTOR MODULE
"""

import runpy
import sys
import threading
import time
from pathlib import Path

LOOK_SECONDS = 0.002


def burn(factor: float) -> None:
    """Use as much CPU as the other threads do, *factor* - 1 times, soon after them."""
    seen = time.process_time() - time.thread_time()
    while True:
        time.sleep(LOOK_SECONDS)
        used = time.process_time() - time.thread_time()
        enough = time.thread_time() + (used - seen) * (factor - 1)
        seen = used
        while time.thread_time() < enough:
            pass


if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())
    threading.Thread(target=burn, args=(float(sys.argv[1]),), daemon=True).start()
    runpy.run_module(sys.argv[2], run_name="__main__", alter_sys=True)
