"""The bench runs and fills its table, JSON and picture; its counts are too small here for the figures to mean anything."""

import asyncio
import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bench import PARTS, arguments, write
from rows import Figure, Point, Report, Row

BENCH = Path(__file__).with_name("bench.py")


async def run(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(BENCH), *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()


@pytest.mark.alone
async def test_the_bench_measures_every_goal_with_tiny_counts(amqp_url: str, database_url: str, tmp_path: Path) -> None:
    parts = (*PARTS, "retries", "memory", "ledger")  # not the neighbours: tests/dispatcher/delivery has them
    code, out, errors = await run(
        *("--tiny", "--only", *parts, "--out", str(tmp_path)),
        *("--amqp-url", amqp_url, "--database-url", database_url),
    )
    assert code == 0, errors
    found = json.loads((tmp_path / "bench.json").read_text())
    goals = [row["goal"] for row in found["rows"] if row["goal"]]
    assert goals == [
        "≤ 2.2",
        "≤ 2.9",
        "≤ 11",
        "< 25 ms",
        "≥ 0.9",
        "< 1.1",
        "< 1 % of a core",
        "< 5 s",
        "< 300 MB",
        "< 1 s",
        "< 1.2",
        "< 300 ms",
        "< 300 ms",
        "< 300 ms",
    ]
    for row in found["rows"]:
        assert row["figures"], row["what"]
        assert f"| {row['what']}" in out
        assert row["written"].keys() == row["figures"].keys()
    assert {row["part"] for row in found["rows"]} == {*parts}
    assert {point["rate"] for point in found["points"]} == {50.0, 100.0}
    assert ET.parse(tmp_path / "bench.svg").getroot().tag.endswith("svg")  # noqa: S314 - we wrote it


@pytest.mark.parametrize(
    "given",
    [
        ("--rounds", "0"),
        ("--faxes", "0"),
        ("--only", "nothing"),
        ("--amqp-url", "amqp://localhost/"),
        ("--amqp-url", "amqp://localhost/", "--database-url", "postgres://localhost/", "--peers"),
        ("--amqp-url", "amqp://localhost/", "--database-url", "postgres://localhost/", "--before", "HEAD"),
    ],
)
def test_what_contradicts_itself_or_measures_nothing_is_refused(
    given: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(given)
    assert ended.value.code == 2
    assert "error" in capsys.readouterr().err


async def test_a_revision_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    code, _, errors = await run("--out", str(tmp_path), "--before", "no-such-revision")
    assert code == 1
    assert "no-such-revision" in errors
    assert "Traceback" not in errors


def test_a_part_that_is_run_again_replaces_its_own_rows_and_keeps_the_others(tmp_path: Path) -> None:
    def report(part: str, value: float, *, has_points: bool = False) -> Report:
        figure = Figure.of([value])
        points = [Point("now", 50.0, figure, figure, figure)] if has_points else []
        return Report({"what": "", "at": part}, [Row(part, "", None, "s", {"now": figure}, part=part)], points)

    write(report("way", 1.0, has_points=True), tmp_path)
    write(report("ingress", 2.0), tmp_path, is_added=True)
    write(report("ingress", 3.0), tmp_path, is_added=True)
    found = json.loads((tmp_path / "bench.json").read_text())
    assert [(row["part"], row["written"]["now"]) for row in found["rows"]] == [("ingress", "3.00 s"), ("way", "1.00 s")]
    assert len(found["points"]) == 1
    write(report("burst", 4.0), tmp_path)
    assert len(json.loads((tmp_path / "bench.json").read_text())["rows"]) == 1
