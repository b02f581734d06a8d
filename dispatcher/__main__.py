"""`python -m dispatcher`: the composition root of the dispatcher."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

import msgspec

from dispatcher.channels import Channel
from dispatcher.channels.by_scheme import open_channels
from dispatcher.consumers.consumer import Consumer
from dispatcher.consumers.events import DeliveryHandler, EventHandler, delivery_consumer, event_consumer
from dispatcher.consumers.lag import ConsumerLag
from dispatcher.delivery.attempts import Attempts
from dispatcher.delivery.deliverer import Deliverer
from dispatcher.delivery.documents import Documents
from dispatcher.delivery.recorder import Recorder
from dispatcher.delivery.settler import Settler
from dispatcher.egress.client import EgressClient
from dispatcher.ledger.endpoint_cache import EndpointCache
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import Pool, close_pool, open_pool
from dispatcher.maintenance.retention import Retention, nothing_waits
from dispatcher.maintenance.sampler import Sampler
from dispatcher.maintenance.sweeper import Sweeper
from dispatcher.metrics import OPEN_CIRCUITS, UNRECORDED, Metrics
from dispatcher.ops.api.platform import Problems
from dispatcher.ops.server import Surface, serving_ops
from dispatcher.settings import DispatcherSettings
from shared.amqp.publisher import Publisher
from shared.broker import FAX_DEAD, FAX_IN, FAX_RETRY, FAX_WORK, topology
from shared.log import get_logger
from shared.media import MediaStore
from shared.metrics import BROKER_CONNECTED, READY, UNCONFIRMED
from shared.runtime.service import Stop, run, running, verified_topology
from shared.runtime.watchdog import Watch, watch

EXCHANGES: Final = (FAX_IN, FAX_WORK, FAX_RETRY, FAX_DEAD)

CONFIRM_TIMEOUT_SECONDS: Final = 10.0
"""Nobody waits for the dispatcher's publishes; they are repeated until they are kept."""

BATCH_TIMEOUT_SECONDS: Final = 10.0
"""For the batch in hand at SIGTERM. A ledger that is away then does not hold us up: nothing of it was acked."""

FAILED_DRAIN_SECONDS: Final = 20.0
"""For the same after a part died, which may be the very one that is waited for."""


class Parts(msgspec.Struct, frozen=True):
    """What takes events in and tells applications."""

    pool: Pool
    topology_check: "asyncio.Task[None]"
    store: EndpointStore
    publisher: Publisher
    endpoints: EndpointCache
    intake: Intake
    recorder: Recorder
    media: MediaStore
    channels: Mapping[str, Channel]
    attempts: Attempts
    deliverer: Deliverer
    metrics: Metrics
    backlog: ConsumerLag


async def serve(settings: DispatcherSettings, stop: Stop) -> None:
    """Open what the dispatcher needs, consume until *stop*, drain, close in reverse."""
    log = get_logger()
    async with AsyncExitStack() as stack:
        parts = await _opened(settings, stop, stack)
        consumers = _consumers(settings, parts)
        await _keep_house(settings, stop, stack, parts, consumers)
        problems = partial(_problems, parts, consumers, stop)
        _watch_by_metrics(parts, consumers, problems)
        surface = _surface(parts, problems)
        port = await stack.enter_async_context(serving_ops(settings, stop, surface))
        log.info("service.listening", host=settings.ops_host, port=port)
        await _consume(consumers, stop)
        # After a failure too: what was answered 2xx shall be recorded, whichever other part died.
        with suppress(TimeoutError):
            async with asyncio.timeout(None if stop.failure is None else FAILED_DRAIN_SECONDS):
                await parts.deliverer.drain()


async def _opened(settings: DispatcherSettings, stop: Stop, stack: AsyncExitStack) -> Parts:
    """Open the stores and what works on them; whatever was opened closes with *stack*, in reverse."""
    amqp_url, backoff_seconds, metrics = settings.amqp_url.reveal(), settings.backoff_seconds(), Metrics()
    pool = await open_pool(settings.database_url.reveal())
    stack.push_async_callback(close_pool, pool)
    queues = [queue.name for queue in topology(backoff_seconds).queues]
    topology_check = await stack.enter_async_context(
        running(verified_topology(amqp_url, EXCHANGES, queues), stop, "topology")
    )
    publisher = Publisher(amqp_url, "dispatcher", confirm_timeout_seconds=CONFIRM_TIMEOUT_SECONDS)
    await stack.enter_async_context(running(publisher.run(), stop, "publisher"))
    store = EndpointStore(settings.seal())
    endpoints = EndpointCache(pool, store)
    intake = Intake(pool, store, endpoints)
    await stack.enter_async_context(running(endpoints.run(), stop, "endpoints"))
    recorder = Recorder(pool)
    await stack.enter_async_context(running(recorder.run(), stop, "recorder"))
    way_out = EgressClient(settings.allowed_networks(), settings.proxy())
    stack.push_async_callback(way_out.close)
    media = MediaStore(settings.media_url)
    channels = open_channels(stack, settings, way_out)
    _warn_of_mail(settings)
    settler = partial(Settler, pool, store, publisher, recorder, metrics)
    attempts = Attempts(channels, Documents(pool, media, way_out))
    deliverer = Deliverer(pool, attempts, settler, metrics, backoff_seconds)
    await stack.enter_async_context(running(deliverer.keep_leases(), stop, "leases"))
    return Parts(
        pool,
        topology_check,
        store,
        publisher,
        endpoints,
        intake,
        recorder,
        media,
        channels,
        attempts,
        deliverer,
        metrics,
        ConsumerLag(),
    )


def _surface(parts: Parts, problems: Problems) -> Surface:
    return Surface(
        parts.pool,
        parts.store,
        parts.intake,
        parts.channels,
        parts.deliverer.circuit_is_open,
        parts.metrics,
        problems,
        parts.endpoints.known,
    )


def _consumers(settings: DispatcherSettings, parts: Parts) -> tuple[Consumer, Consumer]:
    """Return what consumes events, and what consumes deliveries."""
    amqp_url, deliverer, endpoints = settings.amqp_url.reveal(), parts.deliverer, parts.endpoints
    events = EventHandler(parts.intake, parts.publisher, endpoints, deliverer, parts.metrics)
    deliveries = DeliveryHandler(parts.pool, parts.store, parts.publisher, deliverer, endpoints, parts.backlog)
    return event_consumer(amqp_url, events, deliverer), delivery_consumer(amqp_url, deliveries, deliverer)


async def _keep_house(
    settings: DispatcherSettings,
    stop: Stop,
    stack: AsyncExitStack,
    parts: Parts,
    consumers: tuple[Consumer, Consumer],
) -> None:
    """Begin what samples, sweeps, prunes, and watches that nothing stands still."""
    _, deliveries = consumers
    sampling = await open_pool(settings.database_url.reveal(), size=1)
    stack.push_async_callback(close_pool, sampling)
    grace = partial(_grace_seconds, parts.backlog, deliveries)
    sweeper = Sweeper(parts.pool, parts.publisher, parts.metrics, grace)
    waits = partial(nothing_waits, settings.amqp_url.reveal())
    retention = Retention(parts.pool, parts.media, waits, settings.retention_days)
    for part, name in ((Sampler(sampling, parts.metrics), "sampler"), (sweeper, "sweeper"), (retention, "retention")):
        await stack.enter_async_context(running(part.run(parts.endpoints.known), stop, name))
    await stack.enter_async_context(running(watch(_watches(parts, consumers)), stop, "watchdog"))


def _grace_seconds(backlog: ConsumerLag, deliveries: Consumer) -> float | None:
    return backlog.grace_seconds(deliveries.idle_seconds)


def _problems(parts: Parts, consumers: Sequence[Consumer], stop: Stop) -> list[str]:
    """Return in sentences why the dispatcher cannot work now."""
    found = [] if parts.publisher.is_ready else ["the broker is away or takes no messages"]
    found += [] if parts.topology_check.done() else ["the broker's queues are not checked yet"]
    found += [] if parts.endpoints.is_fresh else ["the ledger is away"]
    found += [] if all(consumer.is_consuming for consumer in consumers) else ["a queue is not consumed"]
    found += ["the service is stopping"] if stop.is_set else []
    return found


def _watch_by_metrics(parts: Parts, consumers: Sequence[Consumer], problems: Problems) -> None:
    parts.metrics.bind_gauges(
        {
            READY.name: lambda: not problems(),
            BROKER_CONNECTED.name: lambda: parts.publisher.is_ready,
            UNCONFIRMED.name: lambda: parts.publisher.unconfirmed,
            UNRECORDED.name: lambda: parts.recorder.waiting,
            OPEN_CIRCUITS.name: parts.deliverer.open_circuits,
        },
        consumers,
    )


async def _consume(consumers: Sequence[Consumer], stop: Stop) -> None:
    """Consume until *stop*; then give the batches in hand their time."""
    async with AsyncExitStack() as consuming:
        tasks = [
            await consuming.enter_async_context(running(consumer.run(), stop, "consumer")) for consumer in consumers
        ]
        await stop.wait()
        get_logger().info("service.stopping")
        for consumer in consumers:
            consumer.stop()
        await asyncio.wait(tasks, timeout=BATCH_TIMEOUT_SECONDS)


def _watches(parts: Parts, consumers: Sequence[Consumer]) -> list[Watch]:
    """Return what must not stand still, each for longer than it can take when all is well."""

    def is_store_away() -> bool:
        return not (parts.publisher.is_ready and parts.endpoints.is_fresh)

    return [
        Watch("connection to publish", 60.0, parts.publisher.connecting),
        *(Watch("connection to consume", 60.0, consumer.connecting) for consumer in consumers),
        *(Watch("messages of the work queues", 120.0, each.unhandled, is_store_away) for each in consumers),
        Watch("endpoints to be read", 60.0, parts.endpoints.looks),
        Watch("outcomes to be recorded", 120.0, parts.recorder.unwritten),
        Watch("attempts under way", 600.0, parts.attempts.under_way),
        Watch("deliveries held", 900.0, parts.deliverer.held, is_store_away),
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
