"""`python -m ingress`: the composition root of the ingress."""

import sys

from shared.programs import faxhook_ingress

if __name__ == "__main__":  # before the imports below: a library that is missing is one sentence
    sys.exit(faxhook_ingress())

from contextlib import AsyncExitStack
from typing import Final

from ingress.admission import Admission
from ingress.app import IngressApp, listening
from ingress.metrics import Metrics
from ingress.receive import Receiver
from ingress.refusal_notes import RefusalNotes
from ingress.settings import IngressSettings
from ingress.tracing import TracedPublisher, traced
from shared.amqp.publisher import Publisher
from shared.broker import FAX_DEAD, FAX_IN, WORK_EVENTS, verified_topology
from shared.callback import Adapter
from shared.log import get_logger
from shared.media import MediaStore
from shared.providers import make_adapters
from shared.runtime.allocator import give_back_blocks
from shared.runtime.service import Stop, announce_listening, announce_stopping, run, running
from shared.runtime.watchdog import Watch, watch
from shared.settings import BadSetting
from shared.tracing.spans import open_tracing

BLOCK_BYTES: Final = 64 * 1024
"""Large bodies, and what the event loop reads of them at once."""


async def serve(settings: IngressSettings, stop: Stop) -> None:
    """Open what the ingress needs, serve until *stop*, close in reverse."""
    adapters = _adapters(settings)
    amqp_url = settings.amqp_url.reveal()
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(open_tracing("ingress", *settings.otlp()))
        # The stores, and what watches over the connection to them.
        media = MediaStore(settings.media_url)
        publisher = Publisher(amqp_url, "ingress")
        await stack.enter_async_context(running(publisher.run(), stop, "publisher"))
        topology = verified_topology(amqp_url, (FAX_IN, FAX_DEAD), (WORK_EVENTS,))
        await stack.enter_async_context(running(topology, stop, "topology"))
        watches = [Watch("connection to publish", 60.0, publisher.connecting)]
        await stack.enter_async_context(running(watch(watches), stop, "watchdog"))

        # What handles a callback.
        metrics = Metrics()
        receiver = Receiver(
            publisher if tracing is None else TracedPublisher(publisher, tracing),
            media,
            metrics,
            spool_dir=settings.asterisk_spool_dir,
            spool_limit_bytes=settings.max_body_bytes,
        )
        app = IngressApp(
            adapters,
            receiver,
            publisher,
            Admission(settings.max_admitted_bytes),
            metrics,
            body_limit_bytes=settings.max_body_bytes,
            media_is_ready=lambda: media.is_ready,
        )

        notes = RefusalNotes(metrics, media, {adapter.provider for adapter in adapters.values()})
        await stack.enter_async_context(running(notes.run(), stop, "refusal notes"))

        # The port is opened last and closed first.
        handle = app.handle if tracing is None else traced(app.handle, tracing, adapters)
        port = await stack.enter_async_context(listening(app, settings.ingress_host, settings.ingress_port, handle))
        announce_listening(stop, settings.ingress_host, port)
        await stop.wait()
        announce_stopping()


def _adapters(settings: IngressSettings) -> dict[str, Adapter]:
    """Return the adapter of each route, and warn of what is open on purpose."""
    log = get_logger()
    providers = settings.providers()
    try:
        adapters = make_adapters(providers)
    except ValueError as error:
        raise BadSetting(str(error)) from None
    if not adapters:
        log.warning("setting.insecure", reason="no provider has a secret: every callback is answered 404")
    if providers.sinch_allow_unverified:
        log.warning("setting.insecure", reason="SINCH_INBOUND_ALLOW_UNVERIFIED: anyone can send Sinch callbacks")
    return adapters


def main() -> int:
    """Run the ingress; return its exit code."""
    give_back_blocks(BLOCK_BYTES)
    return run("ingress", IngressSettings, serve)
