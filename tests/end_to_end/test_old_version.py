"""The version before this one runs on this version's schema: what it took in is told by it, or by its successor, once.

It is taken from the repository's history, at the last commit of the schema's revision before this one's.
"""

import asyncio
import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import asyncpg
import callbacks
import pytest
from processes import ServiceProcess, running
from receiver import Received
from running_stack import RunningStack
from stores import Stores, with_database
from waiting import until

from shared.sql.migrate import migrate

pytestmark = pytest.mark.alone

LAST_VERSION = "c84e586c66d1526afd069f10bd5f1ffce9fc3d30"
"""Its schema is at revision 0008."""

ROOT = Path(__file__).parents[2]
EACH = 20
OPS_TOKEN = {"OPS_TOKEN": "ops-token"}


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old version's files."""
    archive = subprocess.run(["git", "archive", LAST_VERSION], cwd=ROOT, capture_output=True, check=True)
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture
async def database_url(service_stores: Stores) -> AsyncIterator[str]:
    """An empty database."""
    name = f"faxhook_old_{os.getpid()}"
    admin = await asyncpg.connect(service_stores.database_url)
    await admin.execute(f'CREATE DATABASE "{name}"')
    yield with_database(service_stores.database_url, name)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture
def backoff() -> str:
    return "1s,1s,1s"


async def old_service(tree: Path, module: str, environment: dict[str, str]) -> ServiceProcess:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module), cwd=tree, env=inherited | environment, limit=16 * 1024 * 1024, **pipes
    )
    return await ServiceProcess(process, module).ready()


def old_migrate(tree: Path, database_url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": database_url, "AMQP_URL": "amqp://127.0.0.1/"}
    subprocess.run([sys.executable, "-m", "dispatcher.ops", "migrate"], cwd=tree, env=environment, check=True)


async def test_the_version_before_runs_on_the_new_schema_and_hands_over_to_this_one(
    old_tree: Path, running_stack: RunningStack
) -> None:
    stack = running_stack
    stack.dispatcher["DATABASE_URL"] = stack.database_url  # the old version's migrations grant nothing: one role
    await asyncio.to_thread(old_migrate, old_tree, stack.database_url)
    posted: list[str] = []

    async def post(ingress: ServiceProcess) -> None:
        """Post callbacks, of which the application refuses every fifth once."""
        for _ in range(EACH):
            status, answer = await callbacks.phaxio(80_000 + len(posted)).send(stack.http, ingress.url)
            assert status == 200
            posted.append(answer["event_id"])

    refused: set[str] = set()

    def answer(received: Received) -> int:
        event_id = received.event_id
        if posted.index(event_id) % 5 == 0 and event_id not in refused:
            refused.add(event_id)
            return 503
        return 200

    async def all_told() -> bool:
        return await stack.count_of("told") == len(posted)

    stack.receiver.answer = answer
    old_dispatcher = await old_service(old_tree, "dispatcher", stack.dispatcher | OPS_TOKEN)
    old_ingress = await old_service(old_tree, "ingress", stack.ingress)
    try:
        # 1. The old version on its own schema, with an endpoint of its making.
        headers = {"Authorization": "Bearer ops-token", "Content-Type": "application/json"}
        body = json.dumps({"url": stack.receiver.url, "tokens": ["endpoint-token"]})
        async with stack.http.post(f"{old_dispatcher.url}/v1/endpoints", data=body, headers=headers) as made:
            assert made.status == 201, await made.text()
        await until(lambda: 1 in {each["count"] for each in old_dispatcher.logged("endpoints.refreshed")}, "in force")
        await post(old_ingress)
        await until(all_told, "told by the old version", 60)
        # 2. The schema is brought up to date under it.
        before, after = await migrate(stack.database_url)
        assert before == "0008" < after
        await post(old_ingress)
        await until(all_told, "told by the old version on the new schema", 60)
        # 3. The new one beside it, then alone: retries of what the old one began are its own.
        async with running("dispatcher", stack.dispatcher), running("ingress", stack.ingress) as ingress:
            await post(old_ingress)
            await post(ingress)
            for each in (old_ingress, old_dispatcher):
                each.terminate()
                assert await each.ended(60) == 0
            await post(ingress)
            await until(all_told, "told by both", 60)
    finally:
        for each in (old_ingress, old_dispatcher):
            if each.process.returncode is None:
                each.kill()
                await each.ended()
    told = Counter(each.event_id for each in stack.receiver.received)
    assert told == Counter(posted) + Counter(refused)
