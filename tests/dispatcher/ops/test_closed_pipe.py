"""Whatever prints a list ends quietly with 141 when its reader has ended (`faxhook … | head -1`): no trace, no excuse.

The commands are those of the command line: one that is neither here as a list nor as something else fails the test.
"""

import asyncio
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness, an_event
from typer.main import get_command

from dispatcher.ops.access.changes import create_token
from dispatcher.ops.access.rights import Right
from dispatcher.ops.access.tokens import NewToken
from dispatcher.ops.cli import app
from shared.domain import utc_now

LISTS: Final[dict[str, Sequence[Sequence[str]]]] = {
    "queues": [[]],
    "account": [[]],
    "audit": [[]],
    "export": [["faxes"], ["faxes", "--csv"]],
    "topology": [[]],
    "endpoints rates": [["{endpoint}"]],
    "endpoints show": [["{endpoint}"]],
    "faxes show": [["phaxio:1"]],
    "dead show": [["{letter}"]],
    "deliveries show": [["{letter}"]],
    "simulate": [["--list"], ["--list", "phaxio"]],
}
"""What follows each command that prints many lines; one that is called `list` is here by its name."""

NO_LISTS: Final = {
    "document": "writes a file",
    "backfill": "needs a provider",
    "simulate-provider": "serves until it is ended",
    "listen": "serves until it is ended; tests/dispatcher/ops/listener has its pipe",
    "reconcile": "prints a sentence",
    "migrate": "prints a sentence",
    **dict.fromkeys(("deliveries resend", "dead replay", "dead discard"), "changes, and prints a sentence"),
    **dict.fromkeys(
        (f"endpoints {each}" for each in ("add", "set", "remove", "pause", "resume", "test", "tokens", "recover")),
        "changes, and prints a sentence",
    ),
    **dict.fromkeys(("alerts test", "tokens add", "tokens revoke"), "changes, and prints a sentence"),
}


def names(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield each command that can be run, with its groups before it."""
    if hasattr(command, "commands"):
        for name in command.commands:
            yield from names(command.commands[name], (*path, name))
    else:
        yield " ".join(path)


@pytest.fixture
async def environment(harness: DispatcherHarness) -> dict[str, str]:
    """Of a command on stores that hold something of everything; the names of two things beside it."""
    endpoint = await harness.endpoint(description="Billing")
    (letter, *_) = await add_dead_deliveries(harness, [endpoint], 3)
    await harness.take(*(an_event(number, received_at=utc_now(), job_id=300 * "j") for number in range(500, 1_700)))
    async with harness.pool.acquire() as connection:
        await create_token(connection, NewToken(name="reports", rights=(Right.READ,)), "Ada")
    return {**harness.environment, "PATH": os.environ["PATH"], "endpoint": str(endpoint.id), "letter": str(letter)}


async def run(arguments: Sequence[str], environment: dict[str, str], turns: asyncio.Semaphore) -> tuple[int, str]:
    """Run a command whose reader has ended before it writes; return its exit code and what it complains of."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        async with turns:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "dispatcher.ops", *(each.format_map(environment) for each in arguments)),
                env=environment,
                stdout=writer,
                stderr=asyncio.subprocess.PIPE,
            )
            _, complained = await process.communicate()
    finally:
        os.close(writer)
    assert process.returncode is not None
    return process.returncode, complained.decode()


def test_no_command_is_left_out() -> None:
    commands = set(names(get_command(app)))
    lists = {each for each in commands if each.endswith(" list")}
    assert lists
    assert commands == lists | LISTS.keys() | NO_LISTS.keys()


async def test_every_list_ends_quietly_when_its_reader_has_ended(environment: dict[str, str]) -> None:
    runs: list[Sequence[str]] = []
    for command in get_lists():
        takes_json = "--json" in help_of(command)
        for rest in LISTS.get(command, [[]]):
            runs += [(*command.split(), *rest, *how) for how in ([], ["--json"])[: 1 + takes_json]]
    turns = asyncio.Semaphore(2)
    ends = await asyncio.gather(*(run(arguments, environment, turns) for arguments in runs))
    found = dict(zip(map(" ".join, runs), ends, strict=True))
    assert {name: end for name, end in found.items() if end != (141, "")} == {}
    assert len(found) > 20


def get_lists() -> list[str]:
    return [each for each in names(get_command(app)) if each.endswith(" list") or each in LISTS]


def help_of(name: str) -> list[str]:
    """Return the options of a command."""
    command: Any = get_command(app)
    for part in name.split():
        command = command.commands[part]
    return [option for parameter in command.params for option in parameter.opts]


@pytest.mark.parametrize("command", ["faxes list --limit 1500", "faxes list --limit 1500 --json", "export faxes"])
async def test_the_first_line_is_read_and_the_rest_is_not_wanted(environment: dict[str, str], command: str) -> None:
    script = f"'{sys.executable}' -m dispatcher.ops {command} | head -1; echo ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        env=environment,
        cwd=Path.cwd(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    line, code = said.decode().splitlines()
    assert re.match(r"fax +direction|\{", line), "the first line came"
    assert (code, complained.decode()) == ("141", "")
