"""The measurement behind docs/capacity.md runs and fills its figures; its counts are too small here to mean anything."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from capacity import arguments

from dispatcher.maintenance.retention import EVENTS_PER_STEP

SCRIPT = Path(__file__).with_name("capacity.py")


async def run(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()


@pytest.mark.alone
async def test_every_figure_is_measured_and_everything_old_is_pruned(amqp_url: str, database_url: str) -> None:
    code, out, errors = await run(
        *("--callbacks", "64", "--rows", str(2 * EVENTS_PER_STEP), "--json"),
        *("--amqp-url", amqp_url, "--database-url", database_url),
    )
    assert code == 0, errors
    measured = json.loads(out)
    assert set(measured.pop("cpu_seconds")) == {"ingress", "dispatcher"}  # the stores are not ours
    assert all(value > 0 for value in measured.values())
    assert measured["kept_bytes"] < measured["ledger_bytes"] + measured["message_bytes"]


@pytest.mark.parametrize("given", [("--callbacks", "1"), ("--rows", "1"), ("--amqp-url", "amqp://localhost/")])
def test_counts_that_measure_nothing_and_half_a_pair_of_stores_are_refused(
    given: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(given)
    assert ended.value.code == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert "error" in errors
