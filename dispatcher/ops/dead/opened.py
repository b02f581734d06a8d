"""Dead letters with everything that they need opened: for the command line and the dispatcher alike."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from dispatcher.ledger.pool import close_pool, open_pool
from dispatcher.ops.dead.jobs.pace import RATE
from dispatcher.ops.dead.jobs.worker import Gentle, Worker
from dispatcher.ops.dead.queues.held_queue import DeadQueues
from dispatcher.ops.dead.queues.reprocess import Reprocessor
from dispatcher.ops.dead.service import DeadLetterService, new_holder
from dispatcher.settings import DeadSettings, DispatcherSettings
from shared.amqp.publisher import Publisher
from shared.media import MediaStore
from shared.runtime.service import Stop, end, running

CONFIRM_TIMEOUT_SECONDS: Final = 10.0
POOL_SIZE: Final = 5
"""Of its own: somebody who looks through three queues must not take the hot path's connections."""

IN_A_DISPATCHER: Final = Gentle(chunk=100, pause_seconds=0.01)


@asynccontextmanager
async def opened(
    settings: DeadSettings | DispatcherSettings, name: str, *, rate: float = RATE, gentle: Gentle | None = None
) -> AsyncIterator[DeadLetterService]:
    """Yield the service; jobs that it is at when the body ends are left to others."""
    pool = await open_pool(settings.database_url.reveal(), size=POOL_SIZE)
    amqp_url = settings.for_operations()
    publisher = Publisher(amqp_url, name, confirm_timeout_seconds=CONFIRM_TIMEOUT_SECONDS)
    publishing = asyncio.create_task(publisher.run())
    try:
        media = None if settings.media_url is None else MediaStore(settings.media_url)
        mender = Reprocessor(publisher, media, settings.asterisk_spool_dir, settings.max_body_bytes)
        queues, holder = DeadQueues(pool, amqp_url), new_holder()
        worker = Worker(pool, queues, publisher, mender, holder, rate=rate, gentle=gentle)
        service = DeadLetterService(pool, queues, worker, holder)
        try:
            yield service
        finally:
            await service.close()
    finally:
        await end({publishing})
        await close_pool(pool)


@asynccontextmanager
async def serving_dead(
    settings: DispatcherSettings, stop: Stop, ledger_known: Callable[[], Awaitable[None]]
) -> AsyncIterator[DeadLetterService]:
    """Yield the service of a dispatcher, which goes on with jobs that others left."""
    async with (
        opened(settings, "dispatcher ops", gentle=IN_A_DISPATCHER) as service,
        running(service.run(ledger_known), stop, "jobs"),
    ):
        yield service
