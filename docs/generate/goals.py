"""Writes what `make bench` found, kept in docs/bench.json, as a table for `docs/capacity.md`: goals and their parts.

For a new one: `make bench BEFORE=… PEERS=1`; bench.json and bench.svg of `.local/bench` to `docs/`; `make docs`.
"""

import json
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
FOUND: Final = DOCS / "bench.json"
PAGE: Final = DOCS / "capacity.md"
BEGIN, END = "<!-- goals: written by `make docs` -->", "<!-- /goals -->"

SHOWN: Final = (
    *("· CPU", "· of it", "· the ", "· deliveries per second of CPU", "· places", "· most memory"),
    "memory of",
)
"""How the rows without a goal begin that are shown under one; bench.json has all of them."""


def goals_table() -> str:
    """Return the rows of docs/bench.json that have a goal, with those that say what they are made of."""
    rows = [row for row in json.loads(FOUND.read_text(encoding="utf-8"))["rows"] if is_shown(row)]
    columns = list(dict.fromkeys(column for row in rows for column in row["written"]))
    lines = [f"| what | goal | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    for row in rows:
        what = f"{row['what']} ({row['note']})" if row["note"] else row["what"]
        lines.append(f"| {what} | {row['goal']} | {' | '.join(_cell(row, column) for column in columns)} |")
    return "\n".join(lines) + "\n"


def is_shown(row: dict[str, Any]) -> bool:
    """Has the row a goal, or does it say what one is made of?

    >>> is_shown({"what": "rate", "goal": "≥ 0.9"}), is_shown({"what": "· pace that was kept", "goal": ""})
    (True, False)
    """
    return bool(row["goal"]) or row["what"].startswith(SHOWN)


def _cell(row: dict[str, Any], column: str) -> str:
    missed = " **missed**" if row["reached"].get(column) is False else ""
    return f"{row['written'].get(column, '')}{missed}"


def page_with_goals(text: str) -> str:
    """Return the page's *text* with the table of goals written again."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{goals_table()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page_with_goals(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
