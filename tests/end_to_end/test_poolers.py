"""Through a PgBouncer in session mode everything is told; in another mode nothing starts; what keeps us out is logged."""

import asyncio
import os
import sys

import callbacks
import pytest
from pgbouncers import pooled
from processes import ServiceProcess, running, start
from running_stack import RunningStack
from waiting import until

from shared.sql import REVISION

ALL_TOLD_SECONDS = 120.0
"""A batch whose commit was done and whose answer was cut off waits for its lease (50 s) and for the sweeper."""


async def command(stack: RunningStack, database_url: str, *arguments: str) -> tuple[int, str]:
    """Run `faxhook` on the ledger at *database_url*; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dispatcher.ops", *arguments),
        env={**os.environ, **stack.dispatcher, "DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def reasons(dispatcher: ServiceProcess, words: str) -> None:
    """Wait until the log says why there is no ledger, in *words*."""
    await until(lambda: any(words in line["reason"] for line in dispatcher.logged("ledger.away")), words)


async def test_through_a_pooler_with_default_settings_that_restarts_under_load_all_accepted_is_told_once(
    running_stack: RunningStack,
) -> None:
    await running_stack.endpoint()
    async with pooled(running_stack.database_url) as bouncer:
        through = {**running_stack.dispatcher, "DATABASE_URL": bouncer.url}
        async with (
            running("ingress", running_stack.ingress) as ingress,
            running("dispatcher", through) as one,
            running("dispatcher", through) as other,
        ):
            accepted = set()
            for number in range(60):
                status, answer = await callbacks.phaxio(1_000 + number).send(running_stack.http, ingress.url)
                assert status == 200
                accepted.add(answer["event_id"])
                if number in {20, 40}:
                    await bouncer.stop()
                    await asyncio.gather(*(reasons(each, "the connection is refused") for each in (one, other)))
                    await bouncer.start()

            async def all_told() -> bool:
                return await running_stack.count_of("told") == len(accepted)

            await until(all_told, "all told", ALL_TOLD_SECONDS)
            for arguments in (["faxes", "list"], ["endpoints", "list"], ["dead", "list"], ["reconcile"]):
                assert (await command(running_stack, bouncer.url, *arguments))[0] == 0
        assert {each.event_id for each in running_stack.receiver.received} == accepted


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_that_shares_sessions_ends_every_program_with_78_and_what_to_do(
    running_stack: RunningStack, mode: str
) -> None:
    async with pooled(running_stack.database_url, pool_mode=mode) as bouncer:
        dispatcher = await start("dispatcher", {**running_stack.dispatcher, "DATABASE_URL": bouncer.url})
        assert await dispatcher.ended() == 78
        assert "pool_mode=session" in dispatcher.stderr
        for arguments in (["migrate"], ["faxes", "list"], ["endpoints", "list"], ["dead", "list"], ["reconcile"]):
            code, printed = await command(running_stack, bouncer.url, *arguments)
            assert code == 78, arguments
            assert "pool_mode=session" in printed
            assert "Traceback" not in printed


async def test_migrating_through_a_pooler_works(running_stack: RunningStack) -> None:
    await running_stack.pool.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    async with pooled(running_stack.database_url) as bouncer:
        assert (await command(running_stack, bouncer.url, "migrate"))[0] == 0
    assert await running_stack.pool.fetchval("SELECT version_num FROM alembic_version") == REVISION


async def test_a_pooler_that_is_full_is_said_and_once_it_has_room_the_dispatcher_is_ready(
    running_stack: RunningStack,
) -> None:
    async with pooled(running_stack.database_url, max_client_conn="1") as bouncer:
        dispatcher = await start("dispatcher", {**running_stack.dispatcher, "DATABASE_URL": bouncer.url})
        try:
            await reasons(dispatcher, "no more connections allowed")
            bouncer.configure({"max_client_conn": "100"})
            bouncer.reload()
            await dispatcher.ready()
        finally:
            dispatcher.terminate()
            assert await dispatcher.ended() == 0, dispatcher.stderr


async def test_a_wrong_password_is_said_in_the_log_and_by_the_command_line(running_stack: RunningStack) -> None:
    wrong = running_stack.database_url.replace("@", "x@")
    dispatcher = await start("dispatcher", {**running_stack.dispatcher, "DATABASE_URL": wrong})
    try:
        await reasons(dispatcher, "password authentication failed")
    finally:
        dispatcher.terminate()
        await dispatcher.ended()
    for arguments in (["migrate"], ["faxes", "list"], ["reconcile"]):
        code, printed = await command(running_stack, wrong, *arguments)
        assert code == 78, "waiting does not help"
        assert "password authentication failed" in printed
