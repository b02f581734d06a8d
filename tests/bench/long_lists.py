"""A provider's list of 100,000 faxes beside live traffic, as rows: see lists.py, which runs by itself, on all cores."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from rows import Figure, Row
from run import HERE, Run, say
from trees import NOW

ROUNDS = 2
"""Beside the first reading: two minutes each."""


async def measure(run: Run) -> None:
    """Measure on stores of its own, and add the rows."""
    with tempfile.TemporaryDirectory(prefix="faxhook-lists-") as folder:
        figures_path = Path(folder) / "figures.json"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "lists.py"), "--rounds", str(ROUNDS), "--json", str(figures_path)),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        say(said.decode())
        figures = json.loads(figures_path.read_text())
    load = "100,000 faxes of which none is missing, 100 events a second"
    rows = (
        ("live p99 while a list is read", "< 1.1", 1.1, "times", "ratio", f"{load}; A/A {figures['noise']:.2f}"),
        ("a list read and counted", "< 60 s", 60.0, "s", "seconds", load),
        ("what that takes of memory", "< 200 MB", 200e6, "MB", "bytes", ""),
    )
    for what, goal, limit, unit, name, note in rows:
        run.report.rows.append(Row(what, goal, limit, unit, {NOW.name: Figure.of([figures[name]])}, note))
