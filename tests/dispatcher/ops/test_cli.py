"""The command line as a program: what is the same for every command."""

import asyncio
import os
import sys
from collections.abc import Sequence

import pytest
from dispatchers import SECRETS_KEY
from processes import SECRETS, start

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
