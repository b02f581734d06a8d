"""The bench runs and fills its table; its counts are too small here for the figures to mean anything."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

BENCH = Path(__file__).with_name("bench.py")


async def run(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(BENCH), *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()


async def test_the_bench_measures_every_goal_with_tiny_counts(amqp_url: str, database_url: str) -> None:
    code, out, errors = await run(
        *("--callbacks", "200", "--deliveries", "100", "--probes", "3", "--endpoints", "500", "--json"),
        *("--amqp-url", amqp_url, "--database-url", database_url),
    )
    assert code == 0, errors
    rows = json.loads(out)
    assert [row["goal"] for row in rows] == [
        "≤ 2.0 times a bare handler",
        "≤ 2.5 times a bare handler",
        "≥ 2,000 deliveries/s per core",
        "< 25 ms",
        "< 1.1 times that with 10",
        "< 1 % of a core",
        "< 5 s and 300 MB",
    ]
    assert all(row["ratio"] > 0 for row in rows)


async def test_counts_that_measure_nothing_and_half_a_pair_of_stores_are_refused() -> None:
    for arguments in (
        ("--callbacks", "1"),
        ("--probes", "0"),
        ("--endpoints", "9"),
        ("--amqp-url", "amqp://localhost/"),
    ):
        code, out, errors = await run(*arguments)
        assert (code, out) == (2, "")
        assert "error" in errors
