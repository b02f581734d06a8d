"""`python -m dispatcher`: the composition root of the dispatcher."""

import asyncio
import sys
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

from dispatcher.backlog import Backlog
from dispatcher.channels import Channel
from dispatcher.channels.mail import MailChannel, NoMailChannel
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.consume import DeliveryHandler, EventHandler, delivery_consumer, event_consumer
from dispatcher.deliver import Deliverer
from dispatcher.endpoint_store import EndpointStore
from dispatcher.endpoints import EndpointBook
from dispatcher.fetch import Documents
from dispatcher.intake import Intake
from dispatcher.metrics import Metrics
from dispatcher.ops.endpoint_api import EndpointApi
from dispatcher.ops.http import ops_app, serving
from dispatcher.pool import open_pool
from dispatcher.recorder import Recorder
from dispatcher.retention import Retention, nothing_waits
from dispatcher.settings import DispatcherSettings
from dispatcher.settle import Settler
from dispatcher.sweeper import Sweeper
from dispatcher.way_out import WayOut
from shared.broker import FAX_DEAD, FAX_IN, FAX_RETRY, FAX_WORK, topology
from shared.log import get_logger
from shared.media import MediaStore
from shared.publisher import Publisher
from shared.service import Stop, run, running, verified_topology

CONFIRM_TIMEOUT_SECONDS: Final = 10.0
"""Nobody waits for the dispatcher's publishes; they are repeated until they are kept."""

BATCH_TIMEOUT_SECONDS: Final = 10.0
"""For the batch in hand at SIGTERM. A ledger that is away then does not hold us up: nothing of it was acked."""


FAILED_DRAIN_SECONDS: Final = 20.0
"""For the same after a part died, which may be the very one that is waited for."""


async def serve(settings: DispatcherSettings, stop: Stop) -> None:
    """Open what the dispatcher needs, consume until *stop*, drain, close in reverse."""
    log = get_logger()
    amqp_url = settings.amqp_url.reveal()
    backoff_seconds = settings.backoff_seconds()
    wanted = topology(backoff_seconds)
    exchanges = (FAX_IN, FAX_WORK, FAX_RETRY, FAX_DEAD)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        pool = await open_pool(settings.database_url.reveal())
        stack.push_async_callback(pool.close)
        await stack.enter_async_context(
            running(verified_topology(amqp_url, exchanges, [queue.name for queue in wanted.queues]), stop, "topology")
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
        deliverer = Deliverer(
            pool,
            _channels(stack, settings, way_out),
            Documents(pool, media, way_out),
            partial(Settler, pool, store, publisher, recorder, metrics),
            metrics,
            backoff_seconds,
        )
        await stack.enter_async_context(running(deliverer.keep_leases(), stop, "leases"))
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

        def problems() -> list[str]:
            found = [] if publisher.is_ready else ["the broker is away or takes no messages"]
            found += [] if endpoints.is_fresh else ["the ledger is away"]
            found += [] if all(consumer.is_consuming for consumer in consumers) else ["a queue is not consumed"]
            found += ["the service is stopping"] if stop.is_set else []
            return found

        api = EndpointApi(
            pool, store, intake, settings.seal(), settings.allowed_networks(), proxied=settings.proxy() is not None
        )
        token, read_token = settings.ops_tokens()
        app = ops_app(metrics, problems, [api], token, read_token)
        port = await stack.enter_async_context(serving(app, settings.ops_host, settings.ops_port))
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


def _channels(stack: AsyncExitStack, settings: DispatcherSettings, way_out: WayOut) -> dict[str, Channel]:
    """Return the channel for each scheme of an endpoint's URL."""
    log = get_logger()
    webhooks = WebhookChannel(way_out)
    channels: dict[str, Channel] = {"http": webhooks, "https": webhooks, "mailto": NoMailChannel()}
    if mail := settings.mail():
        relay, mail_from = mail
        channels["mailto"] = mails = MailChannel(relay, mail_from)
        stack.push_async_callback(mails.close)
        if relay.password and relay.starttls is None:
            log.warning("setting.insecure", reason="SMTP_URL: a relay without STARTTLS gets the password in clear")
    else:
        log.warning("setting.missing", reason="SMTP_URL is not set: what is owed to mailto endpoints waits")
    return channels


def main() -> int:
    """Run the dispatcher; return its exit code."""
    return run("dispatcher", DispatcherSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
