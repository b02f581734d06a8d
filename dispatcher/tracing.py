"""Spans of the dispatcher, around what it does without them: composed only if traces are on."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from dispatcher.channels import Channel
from dispatcher.channels.outcome import Outcome, Told
from dispatcher.consumers.consumer import Handler
from dispatcher.delivery.attempts import Attempts, Documents
from dispatcher.delivery.document_budget import Reservation
from dispatcher.policy.delivery import LeasedDelivery
from shared.amqp.frames import Message
from shared.broker import WORK_EVENTS
from shared.tracing.context import read_trace, trace_of
from shared.tracing.spans import Tracing


class TracedIntake:
    """Handles batches of events, with a span for each event that belongs to a trace."""

    def __init__(self, handler: Handler, tracing: Tracing) -> None:
        self._handler = handler
        self._tracing = tracing

    @property
    def tries(self) -> int:
        """As of the handler within."""
        return self._handler.tries

    async def __call__(self, batch: Sequence[Message]) -> None:
        """Handle *batch*. If that fails the messages come again, and their spans with them."""
        traces = [trace for message in batch if (trace := read_trace(message.headers)) is not None]
        attributes = {"messaging.system": "rabbitmq", "messaging.destination.name": WORK_EVENTS}
        spans = [
            self._tracing.begin(f"process {WORK_EVENTS}", "CONSUMER", trace_of(trace), attributes) for trace in traces
        ]
        await self._handler(batch)
        for span in spans:
            span.end()


class TracedAttempts(Attempts):
    """Makes attempts, each in a span below its event's callback, whenever it is made and by whichever process."""

    def __init__(self, channels: Mapping[str, Channel], documents: Documents, tracing: Tracing) -> None:
        super().__init__(channels, documents)
        self._tracing = tracing

    async def make(self, delivery: LeasedDelivery, now: datetime, reservation: Reservation) -> Outcome:
        """Make one at *now*, the document within *reservation*."""
        attributes: dict[str, str | int] = {
            "faxhook.delivery_id": str(delivery.delivery_id),
            "faxhook.endpoint_id": str(delivery.endpoint_id),
            "faxhook.attempt": delivery.attempt,
            "faxhook.format": delivery.endpoint.format,
        }
        span = self._tracing.begin("attempt", "CLIENT", trace_of(delivery.trace), attributes)
        try:
            with self._tracing.current(span):
                outcome = await super().make(delivery, now, reservation)
                self._tracing.note("faxhook.outcome", outcome.word)
                self._tracing.note("http.response.status_code", outcome.http_status)
            if not isinstance(outcome, Told):
                self._tracing.fail(span, outcome.error or outcome.word)
            return outcome
        finally:
            span.end()


def make_attempts(channels: Mapping[str, Channel], documents: Documents, tracing: Tracing | None) -> Attempts:
    """Return what makes attempts, traced if traces are on."""
    return Attempts(channels, documents) if tracing is None else TracedAttempts(channels, documents, tracing)
