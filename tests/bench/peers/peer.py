"""The peers that `PEERS=1` puts beside faxhook, each on a vhost of its own, with the durability of ours and no ledger."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aio_pika
from contestants import Contestant
from run import Run
from stack import Service, serving, start
from waiting import until
from wire import applying

from deploy.services.broker import create_vhost, delete_vhost, vhost_url
from deploy.services.processes import free_port

HERE = Path(__file__).parent
PEERS = {"FastAPI + FastStream": "fastapi_faststream.py", "aiohttp + aio-pika": "aiohttp_aio_pika.py"}
QUEUE = "peer.events"
SECRET = "phaxio-api-secret"


@asynccontextmanager
async def peer_ingress(run: Run, name: str) -> AsyncIterator[Service]:
    """Run the half of a peer that takes callbacks in."""
    with _vhost(run, name) as amqp_url:
        async with _ingress(run, name, amqp_url) as service:
            yield service


@asynccontextmanager
async def peer_way(run: Run, name: str) -> AsyncIterator[Contestant]:
    """Run both halves of a peer, and an application."""
    with _vhost(run, name) as amqp_url:
        async with applying() as application, _ingress(run, name, amqp_url) as ingress:
            environment = {"AMQP_URL": amqp_url, "SECRET": SECRET, "APPLICATION_URL": application.url}
            worker = await start(_command(run, name, "worker"), HERE, environment, port=0, cores=run.cores)
            async with await aio_pika.connect(amqp_url) as connection:
                channel = await connection.channel()

                async def is_consumed() -> bool:
                    return bool((await channel.declare_queue(QUEUE, passive=True)).declaration_result.consumer_count)

                async def settled() -> None:
                    async def is_empty() -> bool:
                        return not (await channel.declare_queue(QUEUE, passive=True)).declaration_result.message_count

                    await until(is_empty, "the peer's queue empty")

                try:
                    await until(is_consumed, f"{name} consumes")
                    pids = {"ingress": ingress.pid, "dispatcher": worker.pid}
                    yield Contestant(name, application, ingress.port, pids, settled)
                finally:
                    await worker.end()


@asynccontextmanager
async def _ingress(run: Run, name: str, amqp_url: str) -> AsyncIterator[Service]:
    port = free_port()
    environment = {"AMQP_URL": amqp_url, "SECRET": SECRET, "PORT": str(port)}
    async with serving(_command(run, name, "ingress"), HERE, environment, port=port, cores=run.cores) as service:
        yield service


def _command(run: Run, name: str, half: str) -> tuple[str, ...]:
    return (run.peer_python, str(HERE / PEERS[name]), half)


@contextmanager
def _vhost(run: Run, name: str) -> Iterator[str]:
    """Yield the URL of a vhost for a peer; its queue is deleted with it."""
    if run.stores.api_url is None:
        raise SystemExit("peers need a broker on which vhosts can be added: leave out --amqp-url")
    vhost = f"faxhook-bench-{os.getpid()}-{PEERS[name]}"
    create_vhost(run.stores.api_url, vhost)
    try:
        yield vhost_url(run.stores.amqp_url, vhost)
    finally:
        delete_vhost(run.stores.api_url, vhost)
