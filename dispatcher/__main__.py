"""`python -m dispatcher`: the composition root of the dispatcher."""

import sys

from shared.programs import faxhook_dispatcher

if __name__ == "__main__":  # before the imports below: a library that is missing is one sentence
    sys.exit(faxhook_dispatcher())

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, Protocol

from dispatcher.alerts.opening import open_alerter
from dispatcher.channels.by_scheme import open_channels
from dispatcher.consumers.consumer import Consumer
from dispatcher.consumers.deferrer import Deferrer
from dispatcher.consumers.deliveries import DELIVERIES_PER_BATCH, DELIVERIES_PREFETCH, DeliveryHandler, was_deferred
from dispatcher.consumers.events import EVENTS_PER_BATCH, EVENTS_PREFETCH, EventHandler
from dispatcher.consumers.lag import ConsumerLag
from dispatcher.delivery.deliverer import Deliverer
from dispatcher.delivery.documents import Documents
from dispatcher.delivery.held import HeldDeliveries
from dispatcher.delivery.lanes import Lanes
from dispatcher.delivery.leases import LeaseKeeper, Releaser
from dispatcher.delivery.recorder import Recorder
from dispatcher.delivery.settler import Settler
from dispatcher.egress.client import EgressClient
from dispatcher.ledger.deliveries import claim
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.health import LedgerHealth, check_sessions_often
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import POOL_SIZE, Pool, close_pool, open_pool
from dispatcher.ledger.retry import LedgerRetry
from dispatcher.lists.reconciler import open_reconciler
from dispatcher.lists.stalled.watch import StallWatch
from dispatcher.maintenance.catch_up import CatchUp
from dispatcher.maintenance.retention import Retention, nothing_waits
from dispatcher.maintenance.sampler import Sampler
from dispatcher.maintenance.sweeper import Sweeper
from dispatcher.measures import OPEN_CIRCUITS, UNRECORDED
from dispatcher.messages import BackgroundPublisher
from dispatcher.metrics import Metrics
from dispatcher.ops.endpoints.reading.health import EndpointHealthReader
from dispatcher.ops.server import serving_ops
from dispatcher.policy.endpoint import LEASE_MARGIN_SECONDS
from dispatcher.readiness import Readiness
from dispatcher.settings import DispatcherSettings
from dispatcher.tracing import TracedIntake, make_attempts
from shared.amqp.publisher import Publisher
from shared.broker import (
    FAX_DEAD,
    FAX_RETRY,
    FAX_WORK,
    WORK_DELIVERIES,
    WORK_EVENTS,
    topology,
    verified_topology,
)
from shared.log import get_logger
from shared.media import MediaStore
from shared.metrics import BROKER_CONNECTED, READY, UNCONFIRMED
from shared.runtime.service import Stop, announce_listening, announce_stopping, run, running
from shared.runtime.watchdog import Watch, watch
from shared.tracing.spans import open_tracing

EXCHANGES: Final = (FAX_WORK, FAX_RETRY, FAX_DEAD)
"""To which the dispatcher publishes; what is replayed goes to `fax.in` by `OPS_AMQP_URL`."""

QUEUES: Final = (WORK_EVENTS, WORK_DELIVERIES)

BACKGROUND_POOL_SIZE: Final = 13
"""One for each of sampler, sweeper, retention, releaser, deferrer, lanes, catch-up, alerts, stalled faxes, the lists of
three providers and the accounts without a list: one at a time, some all the time."""

CONFIRM_TIMEOUT_SECONDS: Final = 10.0
"""No client waits for the dispatcher's publishes; they are repeated until they are kept."""

BATCH_TIMEOUT_SECONDS: Final = 10.0
"""For the batch in hand at SIGTERM. A ledger that is away delays the end no longer: nothing of it was acked."""

RELEASE_TIMEOUT_SECONDS: Final = 10.0
"""For what is requeued at SIGTERM. If a store is away for longer, leases run out by themselves; the sweeper of another
dispatcher finds them, and what has no message."""

APART_SECONDS: Final = 0.2
"""Between the first turns of what maintenance does every so often. Their periods are multiples of 5 s: begun together,
they would fall together twice a minute, and hold up what is told at that moment."""

FAILED_DRAIN_SECONDS: Final = 20.0
"""For the drain after a part died, which may be the very one that the drain waits for."""


async def serve(settings: DispatcherSettings, stop: Stop) -> None:
    """Open what the dispatcher needs, consume until *stop*, drain, close in reverse."""
    amqp_url, database_url = settings.amqp_url.reveal(), settings.database_url.reveal()
    backoff_seconds, metrics = settings.backoff_seconds(), Metrics()
    _warn_of_mail(settings)
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(open_tracing("dispatcher", *settings.otlp()))
        # the stores
        pool = await stack.enter_async_context(_pool(database_url, POOL_SIZE))
        health = LedgerHealth(pool, database_url)
        background = await stack.enter_async_context(
            _pool(database_url, BACKGROUND_POOL_SIZE, may_connect=lambda: health.is_answering)
        )
        await stack.enter_async_context(running(health.run(), stop, "ledger"))
        await stack.enter_async_context(running(check_sessions_often(background), stop, "sessions"))
        queues = [queue.name for queue in topology(backoff_seconds).queues]
        topology_check = await stack.enter_async_context(
            running(verified_topology(amqp_url, EXCHANGES, queues, reads=QUEUES), stop, "topology")
        )
        publisher = Publisher(amqp_url, "dispatcher", confirm_timeout_seconds=CONFIRM_TIMEOUT_SECONDS)
        await stack.enter_async_context(running(publisher.run(), stop, "publisher"))
        media = MediaStore(settings.media_url)
        store = EndpointStore(settings.seal())

        # the way of a delivery, from its last step to its first
        client = EgressClient(settings.allowed_networks(), settings.proxy())
        stack.push_async_callback(client.close)
        channels = open_channels(stack, client, settings.mail(), dict if tracing is None else tracing.carrier)
        held = HeldDeliveries(metrics.leased)
        recorder = Recorder(pool, held)
        messages = BackgroundPublisher(publisher)
        releaser = Releaser(background, messages, held, metrics)
        leases = LeaseKeeper(pool, held, store)
        for step in (recorder, messages, releaser, leases):
            await stack.enter_async_context(running(step.run(), stop, type(step).__name__.lower()))
        settler = Settler(pool, store, publisher, recorder, releaser, held, metrics)
        attempts = make_attempts(channels, Documents(pool, media, client), tracing)
        deliverer = Deliverer(attempts, settler, leases, metrics, backoff_seconds)
        lanes = Lanes(deliverer, settler, held, lambda wanted: claim(background, store, wanted, LEASE_MARGIN_SECONDS))
        intake = Intake(pool, store, deliverer.defer_seconds)
        deferrer, lag = Deferrer(background, deliverer, held, releaser, sum(backoff_seconds)), ConsumerLag()
        event_handler = EventHandler(intake, health, lanes, releaser, publisher, metrics)
        events = Consumer(
            amqp_url,
            WORK_EVENTS,
            event_handler if tracing is None else TracedIntake(event_handler, tracing),
            health,
            held,
            prefetch=EVENTS_PREFETCH,
            batch=EVENTS_PER_BATCH,
        )
        deliveries = Consumer(
            amqp_url,
            WORK_DELIVERIES,
            DeliveryHandler(pool, store, health, lanes, deferrer, publisher, lag),
            health,
            held,
            prefetch=DELIVERIES_PREFETCH,
            batch=DELIVERIES_PER_BATCH,
            can_wait=was_deferred,
        )
        # maintenance
        retention = Retention(
            background, media, partial(nothing_waits, settings.for_operations()), settings.retention_days
        )
        alerter = open_alerter(background, EndpointHealthReader(background), store, media, metrics, settings)
        parts = (
            Sampler(background, metrics),  # first: until its first turn there are no figures
            CatchUp(background, store, lanes),
            Sweeper(background, publisher, metrics, lambda: lag.grace_seconds(deliveries.idle_seconds)),
            await stack.enter_async_context(alerter),
            await stack.enter_async_context(open_reconciler(background, client, media, metrics, settings)),
            StallWatch(background, client, media, metrics, settings),
            retention,
        )
        await _maintain(parts, health, stack, stop)

        consumers = (events, deliveries)
        readiness = Readiness(publisher, topology_check, health, consumers, stop)
        is_store_away = readiness.is_store_away
        watches = [
            Watch("connection to publish", 60.0, publisher.connecting),
            *(Watch("connection to consume", 60.0, consumer.connecting) for consumer in consumers),
            *(Watch("messages of the work queues", 120.0, each.unhandled, is_store_away) for each in consumers),
            Watch("answers of the ledger", 60.0, health.progress),
            Watch("outcomes to be recorded", 120.0, recorder.progress),
            Watch("leases to be given back", 120.0, releaser.progress),
            Watch("attempts under way", 600.0, attempts.progress),
            Watch("deliveries held", 900.0, held.progress, is_store_away),
        ]
        await stack.enter_async_context(running(watch(watches), stop, "watchdog"))

        # what people and the platform see
        metrics.bind_gauges(
            {
                READY.name: lambda: not readiness.problems(),
                BROKER_CONNECTED.name: lambda: publisher.is_ready,
                UNCONFIRMED.name: lambda: publisher.unconfirmed,
                UNRECORDED.name: lambda: recorder.waiting,
                OPEN_CIRCUITS.name: deliverer.open_circuits,
            },
            consumers,
        )
        serving = serving_ops(
            settings,
            stop,
            pool=pool,
            store=store,
            intake=intake,
            channels=channels,
            media=media,
            circuit_is_open=deliverer.circuit_is_open,
            metrics=metrics,
            problems=readiness.problems,
            ledger=health,
        )
        port = await stack.enter_async_context(serving)
        announce_listening(stop, settings.ops_host, port)

        await _consume(consumers, partial(_verify_ledger, pool, store, health), stop)
        await _drain(deliverer, lanes, recorder, releaser, stop)


class _Part(Protocol):
    def run(self, begin: Callable[[], Awaitable[None]], /) -> Coroutine[Any, Any, None]:
        """Work for ever, once *begin* returns."""


async def _maintain(parts: Sequence[_Part], health: LedgerHealth, stack: AsyncExitStack, stop: Stop) -> None:
    """Run *parts* once the ledger has this version's schema, each begun a little later than the one before."""

    async def begin(number: int) -> None:
        await health.schema_verified()
        await asyncio.sleep(number * APART_SECONDS)

    for number, part in enumerate(parts):
        name = type(part).__name__.lower()
        await stack.enter_async_context(running(part.run(partial(begin, number)), stop, name))


async def _verify_ledger(pool: Pool, store: EndpointStore, health: LedgerHealth) -> None:
    """Wait until the ledger has this version's schema and its tokens can be read. Nothing may be taken in before."""
    await health.schema_verified()
    count = await LedgerRetry("endpoints.unchecked")(lambda: store.check_tokens(pool), 0)
    get_logger().info("endpoints.checked", count=count)


async def _consume(
    consumers: Sequence[Consumer], is_verified: Callable[[], Coroutine[Any, Any, None]], stop: Stop
) -> None:
    """Consume until *stop*, once the ledger *is_verified*; then give the batches in hand their time."""
    async with AsyncExitStack() as consuming:
        tasks = [
            await consuming.enter_async_context(running(consumer.run(is_verified), stop, "consumer"))
            for consumer in consumers
        ]
        await stop.wait()
        announce_stopping()
        for consumer in consumers:
            consumer.stop()
        await asyncio.wait(tasks, timeout=BATCH_TIMEOUT_SECONDS)


async def _drain(deliverer: Deliverer, lanes: Lanes, recorder: Recorder, releaser: Releaser, stop: Stop) -> None:
    """Finish the attempts under way, requeue what only waited, record all outcomes.

    Also after a failure: what was answered 2xx is to be recorded, whichever other part died.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(None if stop.failure is None else FAILED_DRAIN_SECONDS):
            deliverer.stop()
            lanes.stop()
            releaser.hurry()
            await lanes.idle()
            with suppress(TimeoutError):
                async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                    await releaser.drained()
            await recorder.drained()


@asynccontextmanager
async def _pool(database_url: str, size: int, may_connect: Callable[[], bool] = lambda: True) -> AsyncIterator[Pool]:
    pool = await open_pool(database_url, size, may_connect)
    try:
        yield pool
    finally:
        await close_pool(pool)


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
