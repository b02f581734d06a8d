"""`python -m dispatcher`: the composition root of the dispatcher."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

from dispatcher.backlog import Backlog
from dispatcher.channels.opened import open_channels
from dispatcher.consume import DeliveryHandler, EventHandler, delivery_consumer, event_consumer
from dispatcher.consumer import Consumer
from dispatcher.deliver import Deliverer
from dispatcher.endpoint_store import EndpointStore
from dispatcher.endpoints import EndpointBook
from dispatcher.fetch import Documents
from dispatcher.intake import Intake
from dispatcher.metrics import OPEN_CIRCUITS, UNRECORDED, Metrics
from dispatcher.ops.console.console import Console
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.dead.api import DeadLetterApi
from dispatcher.ops.dead.opened import serving_dead
from dispatcher.ops.endpoint_api import EndpointApi
from dispatcher.ops.endpoint_changes import EndpointChanges
from dispatcher.ops.endpoint_health import EndpointHealthReader
from dispatcher.ops.faxes.api import FaxApi
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.http import Routes, ops_app, serving
from dispatcher.ops.queues.api import QueueApi
from dispatcher.ops.queues.history import QueueHistory
from dispatcher.ops.queues.reader import QueueReader
from dispatcher.pool import open_pool
from dispatcher.recorder import Recorder
from dispatcher.retention import Retention, nothing_waits
from dispatcher.sampler import Sampler
from dispatcher.settings import DispatcherSettings
from dispatcher.settle import Settler
from dispatcher.sweeper import Sweeper
from dispatcher.way_out import WayOut
from shared.broker import FAX_DEAD, FAX_IN, FAX_RETRY, FAX_WORK, topology
from shared.log import get_logger
from shared.media import MediaStore
from shared.metrics import BROKER_CONNECTED, READY, UNCONFIRMED
from shared.publisher import Publisher
from shared.service import Stop, run, running, verified_topology
from shared.watchdog import Watch, watch

EXCHANGES: Final = (FAX_IN, FAX_WORK, FAX_RETRY, FAX_DEAD)

CONFIRM_TIMEOUT_SECONDS: Final = 10.0
"""Nobody waits for the dispatcher's publishes; they are repeated until they are kept."""

BATCH_TIMEOUT_SECONDS: Final = 10.0
"""For the batch in hand at SIGTERM. A ledger that is away then does not hold us up: nothing of it was acked."""


FAILED_DRAIN_SECONDS: Final = 20.0
"""For the same after a part died, which may be the very one that is waited for."""


async def serve(settings: DispatcherSettings, stop: Stop) -> None:  # noqa: PLR0915
    """Open what the dispatcher needs, consume until *stop*, drain, close in reverse."""
    log = get_logger()
    amqp_url = settings.amqp_url.reveal()
    backoff_seconds = settings.backoff_seconds()
    wanted = topology(backoff_seconds)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        pool = await open_pool(settings.database_url.reveal())
        stack.push_async_callback(pool.close)
        await stack.enter_async_context(
            running(verified_topology(amqp_url, EXCHANGES, [queue.name for queue in wanted.queues]), stop, "topology")
        )
        publisher = Publisher(amqp_url, "dispatcher", confirm_timeout_seconds=CONFIRM_TIMEOUT_SECONDS)
        await stack.enter_async_context(running(publisher.run(), stop, "publisher"))
        store = EndpointStore(settings.seal())
        endpoints = EndpointBook(pool, store)
        intake = Intake(pool, store, endpoints)
        await stack.enter_async_context(running(endpoints.run(), stop, "endpoints"))
        recorder = Recorder(pool)
        await stack.enter_async_context(running(recorder.run(), stop, "recorder"))
        way_out = WayOut(settings.allowed_networks(), settings.proxy())
        stack.push_async_callback(way_out.close)
        media = MediaStore(settings.media_url)
        channels = open_channels(stack, settings, way_out)
        _warn_of_mail(settings)
        deliverer = Deliverer(
            pool,
            channels,
            Documents(pool, media, way_out),
            partial(Settler, pool, store, publisher, recorder, metrics),
            metrics,
            backoff_seconds,
        )
        await stack.enter_async_context(running(deliverer.keep_leases(), stop, "leases"))
        sampling = await open_pool(settings.database_url.reveal(), size=1)
        stack.push_async_callback(sampling.close)
        await stack.enter_async_context(running(Sampler(sampling, metrics).run(endpoints.known), stop, "sampler"))
        backlog = Backlog()
        consumers = (
            event_consumer(amqp_url, EventHandler(intake, publisher, endpoints, deliverer, metrics), deliverer),
            delivery_consumer(
                amqp_url, DeliveryHandler(pool, store, publisher, deliverer, endpoints, backlog), deliverer
            ),
        )
        sweeper = Sweeper(pool, publisher, metrics, lambda: backlog.grace_seconds(consumers[1].idle_seconds))
        retention = Retention(pool, media, partial(nothing_waits, amqp_url), settings.retention_days)
        for part, name in ((sweeper, "sweeper"), (retention, "retention")):
            await stack.enter_async_context(running(part.run(endpoints.known), stop, name))

        watching = watch(_watches(publisher, endpoints, recorder, deliverer, consumers))
        await stack.enter_async_context(running(watching, stop, "watchdog"))

        def problems() -> list[str]:
            found = [] if publisher.is_ready else ["the broker is away or takes no messages"]
            found += [] if endpoints.is_fresh else ["the ledger is away"]
            found += [] if all(consumer.is_consuming for consumer in consumers) else ["a queue is not consumed"]
            found += ["the service is stopping"] if stop.is_set else []
            return found

        metrics.watch(
            {
                READY.name: lambda: not problems(),
                BROKER_CONNECTED.name: lambda: publisher.is_ready,
                UNCONFIRMED.name: lambda: publisher.unconfirmed,
                UNRECORDED.name: lambda: recorder.waiting,
                OPEN_CIRCUITS.name: deliverer.open_circuits,
            },
            consumers,
        )
        dead = await stack.enter_async_context(serving_dead(settings, stop))
        queues = QueueHistory(QueueReader(settings.for_operations(), settings.rabbitmq_api(), pool, backoff_seconds))
        await stack.enter_async_context(running(queues.run(), stop, "queues"))
        health = EndpointHealthReader(pool, deliverer.circuit_is_open)
        faxes = FaxReader(pool)
        changes = EndpointChanges(pool, store, intake, settings)
        parts: list[Routes] = [
            EndpointApi(pool, store, changes, health, channels),
            DeadLetterApi(pool, dead, settings.seal()),
            FaxApi(faxes),
            QueueApi(queues),
            Console(
                Sources(pool, store, dead, faxes, queues, health),
                changes,
                channels,
                problems,
                settings.ops_tokens(),
            ),
        ]
        port = await stack.enter_async_context(
            serving(ops_app(metrics, problems, parts, *settings.ops_tokens()), settings.ops_host, settings.ops_port)
        )
        log.info("service.listening", host=settings.ops_host, port=port)
        async with AsyncExitStack() as consuming:
            tasks = [
                await consuming.enter_async_context(running(consumer.run(), stop, "consumer")) for consumer in consumers
            ]
            await stop.wait()
            log.info("service.stopping")
            for consumer in consumers:
                consumer.stop()
            await asyncio.wait(tasks, timeout=BATCH_TIMEOUT_SECONDS)
        # After a failure too: what was answered 2xx shall be recorded, whichever other part died.
        with suppress(TimeoutError):
            async with asyncio.timeout(None if stop.failure is None else FAILED_DRAIN_SECONDS):
                await deliverer.drain()


def _watches(
    publisher: Publisher,
    endpoints: EndpointBook,
    recorder: Recorder,
    deliverer: Deliverer,
    consumers: Sequence[Consumer],
) -> list[Watch]:
    """Return what must not stand still, each for longer than it can take when all is well."""

    def is_store_away() -> bool:
        return not (publisher.is_ready and endpoints.is_fresh)

    return [
        Watch("connection to publish", 60.0, publisher.connecting),
        *(Watch("connection to consume", 60.0, consumer.connecting) for consumer in consumers),
        *(Watch("messages of the work queues", 120.0, each.unhandled, is_store_away) for each in consumers),
        Watch("endpoints to be read", 60.0, endpoints.looks),
        Watch("outcomes to be recorded", 120.0, recorder.unwritten),
        Watch("attempts under way", 600.0, deliverer.under_way),
        Watch("deliveries held", 900.0, deliverer.held, is_store_away),
    ]


def _warn_of_mail(settings: DispatcherSettings) -> None:
    log = get_logger()
    if mail := settings.mail():
        relay, _ = mail
        if relay.password and relay.starttls is None:
            log.warning("setting.insecure", reason="SMTP_URL: a relay without STARTTLS gets the password in clear")
    else:
        log.warning("setting.missing", reason="SMTP_URL is not set: what is owed to mailto endpoints waits")


def main() -> int:
    """Run the dispatcher; return its exit code."""
    return run("dispatcher", DispatcherSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
