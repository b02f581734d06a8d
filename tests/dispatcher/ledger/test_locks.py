"""Each advisory lock of the ledger has its own number: work of one kind never waits for work of another."""

import re
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
KEY = re.compile(r"0xFA_?([0-9A-F]{4})\b")


def test_every_advisory_lock_has_a_number_of_its_own() -> None:
    files = [path for package in ("dispatcher", "shared") for path in (REPOSITORY / package).rglob("*.py")]
    found = Counter(key for path in files for key in KEY.findall(path.read_text(encoding="utf-8")))
    assert len(found) >= 8
    assert [key for key, times in found.items() if times > 1] == []
