"""A trace leads from the callback through the AMQP headers to every webhook of it, if traces are on; else nothing does."""

import aio_pika
import callbacks
import pytest
from collector import Collector, collecting
from processes import running
from running_stack import RunningStack
from waiting import until

from shared.broker import WORK_EVENTS

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PROVIDERS_SPAN = "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{PROVIDERS_SPAN}-01", "tracestate": "vendor=value"}


@pytest.fixture
def backoff() -> str:
    return "0.2s"


def tracing_to(collector: Collector, environment: dict[str, str]) -> dict[str, str]:
    return {
        **environment,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}/",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=a%2Cb",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


async def queued(amqp_url: str) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """Return the messages in `work.events`, and leave them there."""
    async with await aio_pika.connect(amqp_url, timeout=10) as connection:
        queue = await (await connection.channel()).declare_queue(WORK_EVENTS, passive=True)
        messages = []
        while (message := await queue.get(fail=False)) is not None:
            messages.append(message)
        return messages


def with_headers(callback: callbacks.Outgoing, **headers: str) -> callbacks.Outgoing:
    return callbacks.Outgoing(callback.target, callback.headers | headers, callback.body)


async def test_each_attempt_belongs_to_the_callbacks_trace_a_retry_by_another_process_too(
    running_stack: RunningStack,
) -> None:
    receiver = running_stack.receiver
    await running_stack.endpoint()
    receiver.answer = lambda received: 500 if received.attempt == 1 else 200
    async with collecting() as collector:
        async with running("ingress", tracing_to(collector, running_stack.ingress)) as ingress:
            # 1. The broker holds the context; the callback that was refused left no span.
            callback = callbacks.phaxio(4711471147)
            refused = with_headers(callback, **{"X-Phaxio-Signature": "0" * 40, **TRACED})
            assert (await refused.send(running_stack.http, ingress.url))[0] == 401
            _, answer = await with_headers(callback, **TRACED).send(running_stack.http, ingress.url)
            (message,) = await queued(running_stack.amqp_url)
            # 2. The first attempt fails; another process makes the second.
            traced = tracing_to(collector, running_stack.dispatcher)
            async with running("dispatcher", traced):
                await until(lambda: running_stack.count_of("retrying"), "retrying in the ledger")
            async with running("dispatcher", traced):
                await until(lambda: running_stack.count_of("told"), "told in the ledger")
        await until(lambda: len(collector.spans) == 4, "four spans")
    by_name = {(span.name, span.attributes.get("faxhook.attempt")): span for span in collector.spans}
    server = by_name["POST /phaxio-callback", None]
    assert (server.trace_id, server.parent, server.kind) == (TRACE, PROVIDERS_SPAN, "SERVER")
    assert message.headers["traceparent"] == f"00-{TRACE}-{server.span_id}-01"
    assert message.headers["tracestate"] == server.state == "vendor=value"
    intake = by_name["process work.events", None]
    first, second = by_name["attempt", 1], by_name["attempt", 2]
    for span, kind in ((intake, "CONSUMER"), (first, "CLIENT"), (second, "CLIENT")):
        assert (span.trace_id, span.parent, span.kind) == (TRACE, server.span_id, kind)
    assert [span.is_error for span in (server, intake, first, second)] == [False, False, True, False]
    assert first.attributes["error.type"] == "http_500"
    # 3. Each webhook names its own attempt's span.
    for webhook, span in zip(receiver.received, (first, second), strict=True):
        assert webhook.headers["traceparent"] == f"00-{TRACE}-{span.span_id}-01"
        assert webhook.headers["tracestate"] == "vendor=value"
        assert webhook.delivery_id == span.attributes["faxhook.delivery_id"]
    assert server.attributes["faxhook.event_id"] == answer["event_id"]
    # 4. Nothing of the fax went to the collector, and no URL.
    sent = b"".join(collector.bodies)
    for secret in (b"4711471147", b"5551230000", b"/hook", b"hooks.example.com"):
        assert secret not in sent
    assert {headers["x-api-key"] for headers in collector.headers} == {"a,b"}


async def test_without_the_setting_no_context_is_read_kept_or_sent(running_stack: RunningStack) -> None:
    await running_stack.endpoint()
    async with running("ingress", running_stack.ingress) as ingress:
        await with_headers(callbacks.phaxio(1), **TRACED).send(running_stack.http, ingress.url)
        (message,) = await queued(running_stack.amqp_url)
        assert not {"traceparent", "tracestate"} & set(message.headers)
        async with running("dispatcher", running_stack.dispatcher):
            (webhook,) = await running_stack.receiver.got(1)
    assert not {"traceparent", "tracestate"} & {name.lower() for name in webhook.headers}
    assert await running_stack.pool.fetchval("SELECT trace FROM events") is None
