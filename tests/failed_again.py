"""Run the few tests that failed in the last run once more, alone; end with their exit code.

A test that awaits something within a bound of time, or that measures, may fail where something else keeps the two cores
busy. Alone it must pass. More than `MOST` failures are not run again. What was run again is listed.
"""

import json
import sys
from pathlib import Path
from typing import Final

import pytest

MOST: Final = 3


def main() -> int:
    """Return 0 if the last run's failed tests, at most `MOST`, now pass."""
    record = Path(".pytest_cache/v/cache/lastfailed")
    failed = sorted(json.loads(record.read_text())) if record.exists() else []
    if not 0 < len(failed) <= MOST:
        sys.exit(f"{len(failed)} tests failed; only 1 to {MOST} are run again.")
    sys.stderr.write("\n  ".join(["Failed; run once more, alone:", *failed]) + "\n")
    return int(pytest.main([*failed, "--maxfail=1"]))


if __name__ == "__main__":
    sys.exit(main())
