"""The command line as a program: what is the same for every command."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from dispatchers import SECRETS_KEY
from processes import SECRETS, start
from stores import with_database
from typer.main import get_command

from dispatcher.ops.cli import COMMANDS as COMMANDS_BY_HEADING
from dispatcher.ops.cli import app
from shared.programs import version

COMMANDS: Sequence[Sequence[str]] = [
    ["--help"],
    ["simulate", "--list"],
    ["simulate", "phaxio", "received", "--life", "--count", "3"],
    ["faxes", "list"],
    ["dead", "list", "--json"],
    ["endpoints", "list"],
    ["queues"],
    ["topology"],
    ["migrate"],
    ["reconcile", "--dry-run"],
]


@pytest.fixture
def environment(amqp_url: str, database_url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        **SECRETS,
        "AMQP_URL": amqp_url,
        "DATABASE_URL": database_url,
        "SECRETS_KEY": SECRETS_KEY,
    }


async def faxhook(arguments: Sequence[str], environment: dict[str, str], stdout: int) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dispatcher.ops", *arguments),
        env=environment,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (out or b"").decode(), err.decode()


async def test_a_reader_that_has_ended_is_not_taken_for_a_failure_of_the_network(
    environment: dict[str, str], tmp_path: os.PathLike[str]
) -> None:
    media = {"MEDIA_URL": f"file://{tmp_path}", "INGRESS_PORT": "0"}
    ingress = await (await start("ingress", {**SECRETS, **media, "AMQP_URL": environment["AMQP_URL"]})).ready()
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**environment, "INGRESS_PORT": str(ingress.port)}
    try:
        for arguments in COMMANDS:
            code, _, err = await faxhook(arguments, environment, writer)
            assert (code, err) == (141, ""), arguments
    finally:
        os.close(writer)
        ingress.terminate()
        await ingress.ended()


async def test_the_version_is_one_line_of_every_program() -> None:
    for module, line in (("dispatcher.ops", "faxhook "), ("ingress", "faxhook-ingress "), ("dispatcher", "faxhook-d")):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, "--version"), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert out.decode().startswith(line)
        assert out.decode().split()[1:] == [version()]


LEDGER_ONLY = [
    ["faxes", "list"],
    ["faxes", "show", "phaxio:1"],
    ["endpoints", "list"],
    ["endpoints", "add", "http://192.0.2.1/hook"],
    ["alerts", "list"],
    ["audit"],
    ["account"],
    ["migrate"],
]


async def test_a_command_that_needs_one_store_does_not_want_the_other(environment: dict[str, str]) -> None:
    for arguments in LEDGER_ONLY:
        code, _, err = await faxhook(arguments, {**environment, "AMQP_URL": ""}, asyncio.subprocess.PIPE)
        assert "AMQP_URL" not in err, arguments
        assert code in {0, 65}, err
    code, _, err = await faxhook(["topology"], {**environment, "DATABASE_URL": ""}, asyncio.subprocess.PIPE)
    assert (code, err) == (0, "")


async def test_a_store_that_refuses_the_password_is_not_said_to_be_away(environment: dict[str, str]) -> None:
    password = urlsplit(environment["AMQP_URL"]).password or ""
    wrong = {"AMQP_URL": environment["AMQP_URL"].replace(f":{password}@", ":wrong@")}
    for command in ("topology", "queues", "reconcile"):
        code, _, err = await faxhook([command], {**environment, **wrong}, asyncio.subprocess.PIPE)
        assert (code, "does not answer" in err) == (78, False), err
        assert "AMQP_URL" in err
        assert "user or password are refused" in err
    wrong = {"DATABASE_URL": with_database(environment["DATABASE_URL"], "no_such_ledger")}
    for command in (["faxes", "list"], ["migrate"]):
        code, _, err = await faxhook(command, {**environment, **wrong}, asyncio.subprocess.PIPE)
        assert (code, err.count("\n")) == (78, 1), err
        assert 'DATABASE_URL): the server answers: database "no_such_ledger" does not exist' in err


def test_help_names_the_default_of_what_is_not_a_filter() -> None:
    command = get_command(app)
    for words in ("endpoints add", "simulate", "listen", "dead replay", "reconcile"):
        each: Any = command
        for word in words.split():
            each = each.commands[word]
        for option in each.params:
            is_filter = words == "dead replay" or option.name in SCOPES
            if option.param_type_name != "option" or option.is_flag or option.required or option.multiple or is_filter:
                continue
            says = "default" in (option.help or "").lower()
            assert says or (option.show_default and option.default is not None), f"{words} {option.opts}"


SCOPES = {"number", "job_id", "fax", "retry_after", "env", "description"}
"""Options whose absence means: no restriction, none sent, none kept, no file."""


def test_the_list_of_commands_imports_none_of_them_and_says_of_each_what_it_says_itself() -> None:
    """Help takes a tenth of a second, not one: what a command imports is imported when it is run."""
    group = get_command(app)
    for heading, places in COMMANDS_BY_HEADING.items():
        for name, place in places.items():
            command = group.commands[name]  # type: ignore[attr-defined] - a group
            own = " ".join((command.help or "").split())
            assert own.startswith(place.help), name
            assert command.rich_help_panel == heading, name
    looked_at = """
import sys
from dispatcher.ops.cli import main
sys.argv = ["faxhook", "--help"]
try:
    main()
finally:
    sys.stderr.write(repr(sorted({"asyncpg", "aiohttp", "aiormq", "structlog", "alembic"} & set(sys.modules))))
"""
    ran = subprocess.run([sys.executable, "-c", looked_at], capture_output=True, check=True, text=True)
    assert ran.stderr == "[]"
    for name in group.commands:  # type: ignore[attr-defined]
        assert name in ran.stdout


async def test_a_pipe_gets_each_row_in_a_line_and_help_as_on_a_terminal(environment: dict[str, str]) -> None:
    code, _, said = await faxhook(["migrate"], environment, asyncio.subprocess.PIPE)
    assert code == 0, said
    url = "http://127.0.0.1:1/hooks/of/the/accounting/department/for/faxes?account=1234567890"
    allowed = {**environment, "EGRESS_ALLOW_NETWORKS": "127.0.0.0/8"}
    code, _, said = await faxhook(["endpoints", "add", url], allowed, asyncio.subprocess.PIPE)
    assert code == 0, said
    _, said, _ = await faxhook(["audit"], environment, asyncio.subprocess.PIPE)
    assert "endpoint.added" in said.splitlines()[1]
    _, said, _ = await faxhook(["--help"], environment, asyncio.subprocess.PIPE)
    assert max(map(len, said.splitlines())) <= 80
