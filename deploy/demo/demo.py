"""The demo: the samples of every provider, each twice, in random order; every event once, in order, verified.

On a ledger, a vhost and ports of its own, so that it neither needs nor disturbs `make run`. AMQP_URL and DATABASE_URL
of the environment are used as they are; what the demo wrote there stays, its endpoint is removed.
"""

import asyncio
import os
import random
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import msgspec

from deploy.demo.children import Family, Terminal, supervised
from deploy.demo.provider_storage import document_url, serving_document
from deploy.demo.report import COPIES, Recorded, Seen, judge, print_report
from deploy.demo.samples import Expected, expected_samples
from deploy.demo.settings import make_secrets, secrets_key, store_variables
from deploy.demo.stack import POLL_SECONDS, remove_endpoint, running_stack
from deploy.services import control
from deploy.services.processes import LOOPBACK, Interrupted, free_port
from dispatcher.ops.simulator.sending import OK, send
from ingress.settings import IngressSettings

AT_ONCE: Final = 4
"""Callbacks under way at the same time."""

SETTLE_SECONDS: Final = 20.0
"""For everything to come to its end; it takes about one second."""

EXIT_MISSING: Final = 1


DELIVERIES: Final = "SELECT event_id, state, reason, attempts FROM deliveries WHERE endpoint_id = $1"


def demo(data: Path, environ: Mapping[str, str], seed: int | None) -> int:
    """Run the demo; return the exit code."""
    terminal = Terminal()
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    seen = Seen()
    with _own_stores(data, environ, terminal.say) as stores:
        variables = {**_variables(stores, environ), "SECRETS_KEY": secrets_key(data, environ)}
        media_port = free_port([int(variables[name]) for name in ("INGRESS_PORT", "OPS_PORT")])
        expected = expected_samples(variables, variables["PUBLIC_URL"], document_url(media_port))
        terminal.say(f"sending {len(expected)} samples {COPIES} times each, shuffled with --seed {seed} …")
        seconds = 0.0

        async def work(family: Family) -> None:
            nonlocal seconds
            on_line = partial(_take_line, seen, terminal)
            # One at a time: requests under way at once may cross, and their order could not be judged from outside.
            async with (
                serving_document(media_port),
                running_stack(family, variables, on_line, seen.heard.append, max_concurrent=1) as stack,
            ):
                try:
                    began = time.monotonic()
                    await _send_all(stack.ingress_url, _shuffled(expected, seed), seen)
                    await _settled(variables["DATABASE_URL"], stack.endpoint.id, expected, seen)
                    seconds = time.monotonic() - began
                finally:
                    await remove_endpoint(variables["DATABASE_URL"], stack.endpoint.id)

        if not supervised(terminal, work):
            return Interrupted.exit_code
    # Judged after everything has ended: a webhook too many has come by now.
    return 0 if print_report(judge(expected, seen), seen, seconds) else EXIT_MISSING


def _variables(stores: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the demo's services: no setting of another ingress decides what they accept."""
    others = {field.encode_name for field in msgspec.structs.fields(IngressSettings)}
    kept = {name: value for name, value in environ.items() if name.removesuffix("_FILE") not in others}
    ingress_port = free_port()
    return {
        **kept,
        **make_secrets(),
        **stores,
        "INGRESS_PORT": str(ingress_port),
        "OPS_PORT": str(free_port([ingress_port])),
        "OPS_HOST": LOOPBACK,
        "PUBLIC_URL": f"http://{LOOPBACK}:{ingress_port}",
        "EGRESS_ALLOW_NETWORKS": "127.0.0.0/8",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
    }


def _take_line(seen: Seen, terminal: Terminal, name: str, line: str) -> None:
    """Count the repetitions that the dispatcher drops; show what is a warning or no log line at all."""
    try:
        entry = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError:
        terminal.line(name, line)
        return
    if entry.get("event") == "event.repeated":
        seen.removed[str(entry.get("event_id"))] += 1
    if entry.get("level") not in {"info", "debug"}:
        terminal.line(name, line)


def _shuffled(expected: Sequence[Expected], seed: int) -> list[Expected]:
    deck = [each for each in expected for _ in range(COPIES)]
    random.Random(seed).shuffle(deck)  # noqa: S311 - an order, not a secret
    return deck


async def _send_all(ingress_url: str, deck: Sequence[Expected], seen: Seen) -> None:
    waiting = iter(deck)

    async def worker() -> None:
        for each in waiting:
            seen.sent += 1
            answer = await send(session, ingress_url, each.sample)
            if answer.http_status == OK:
                seen.answered[answer.event_id] += 1

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())


async def _settled(database_url: str, endpoint_id: object, expected: Sequence[Expected], seen: Seen) -> None:
    """Wait until everything has come to its end, or the time is up: what is missing then is said by the report."""
    connection = await asyncpg.connect(database_url)
    deadline = time.monotonic() + SETTLE_SECONDS
    try:
        while not seen.is_settled(expected) and time.monotonic() < deadline:
            rows = await connection.fetch(DELIVERIES, endpoint_id)
            seen.recorded = {row["event_id"]: Recorded(row["state"], row["reason"], row["attempts"]) for row in rows}
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await connection.close()


# ---- Stores ---------------------------------------------------------------------------------------------------------


@contextmanager
def _own_stores(data: Path, environ: Mapping[str, str], say: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Yield the variables of stores that are the demo's own, unless they are given; afterwards they are as before."""
    were_up = any(row.condition == "running" for row in control.status(data, environ=environ))
    with ExitStack() as stack:
        services = control.up(data, environ=environ, say=say)
        if not were_up:
            stack.callback(control.down, data, say=say)
        given = {row.name for row in control.status(data, environ=environ) if row.condition == "given"}
        variables = store_variables(services)
        name = f"faxhook_demo_{os.getpid()}"
        if "RabbitMQ" not in given:
            stack.callback(services.delete_vhost, name)
            variables["AMQP_URL"] = services.add_vhost(name)
        if "PostgreSQL" not in given:
            stack.callback(_administer, services.database_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            _administer(services.database_url, f'CREATE DATABASE "{name}"')
            variables["DATABASE_URL"] = urlsplit(services.database_url)._replace(path=f"/{name}").geturl()
        folder = Path(tempfile.mkdtemp(prefix="demo-", dir=data))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        variables["MEDIA_URL"] = folder.resolve().as_uri()
        yield variables


def _administer(database_url: str, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())
