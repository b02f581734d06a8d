"""The table of goals in docs/capacity.md is that of docs/bench.json, and no goal is left out or called reached wrongly."""

import json

from docs.generate.goals import FOUND, PAGE, goals_table, page_with_goals


def test_the_table_is_that_of_the_run() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_goals(text) == text


def test_each_goal_has_its_row_and_says_where_it_is_missed() -> None:
    rows = {row["what"]: row for row in json.loads(FOUND.read_text(encoding="utf-8"))["rows"] if row["goal"]}
    lines = [line for line in goals_table().splitlines() if any(line.startswith(f"| {what}") for what in rows)]
    assert len(lines) == len(rows)
    missed = sum(reached is False for row in rows.values() for reached in row["reached"].values())
    assert sum(line.count("**missed**") for line in lines) == missed
