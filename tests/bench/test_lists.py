"""Reading a long list leaves live callbacks alone; 100,000 faxes have a minute and 200 MB."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from list_rounds import GOAL_RATIO
from lists import GOAL_BYTES, GOAL_SECONDS

BENCH = Path(__file__).with_name("lists.py")
FAXES = 24_000


@pytest.mark.alone
async def test_a_list_that_is_read_delays_live_callbacks_by_no_more_than_such_a_comparison_shows_by_itself(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(BENCH), "--faxes", str(FAXES), "--rounds", "1", "--most-rounds", "4"),
        *("--json", str(tmp_path / "figures")),
        *("--amqp-url", amqp_url, "--database-url", database_url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode in {0, 1}, said.decode()
    figures = json.loads((tmp_path / "figures").read_text())
    assert figures["seconds"] * 100_000 / FAXES < GOAL_SECONDS, said.decode()
    assert figures["bytes"] < GOAL_BYTES, said.decode()
    # A p99 of some thousand events in so few seconds is that of a dozen. So the goal is met unless it is missed by more than
    # chance explains in 99 of 100 runs; then more rounds are measured, and all count: once in hundred is too often for a test,
    # and a difference that is there stays. Before the pace of readings was bounded, the goal was missed by 3 to 6 times.
    assert figures["ratio"] < GOAL_RATIO * figures["noise"], said.decode()
