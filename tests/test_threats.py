"""Every line of `docs/threats.md` names what stops a threat, and tests that exist."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- threats -->", "<!-- /threats -->"
NAMED_TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def rows(page: str) -> list[list[str]]:
    """Return the cells of every line of the list, tables' heads left out."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] and row[0] != "threat" and not set(row[0]) <= {"-"}]


def test_every_threat_names_what_stops_it_and_a_test_that_there_is() -> None:
    found = rows((REPOSITORY / "docs" / "threats.md").read_text(encoding="utf-8"))
    assert len(found) > 30
    for row in found:
        threat, answer, tests = row
        assert answer, threat
        named = NAMED_TEST.findall(tests)
        assert named, f"no test is named for: {threat}"
        for file, name in named:
            path = REPOSITORY / "tests" / file
            assert path.is_file(), f"there is no tests/{file} for: {threat}"
            defined = re.search(rf"def {name}\(", path.read_text(encoding="utf-8"))
            assert defined, f"there is no {name} in tests/{file} for: {threat}"
