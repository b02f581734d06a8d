"""Both services' metrics after real traffic: what is counted is what happened, under no label that is not listed."""

import aiohttp
import callbacks
from processes import running
from prometheus_client.parser import text_string_to_metric_families
from running_stack import RunningStack
from waiting import until

from docs.generate.metrics import measures
from shared.metrics import BUILD_INFO


async def scraped(http: aiohttp.ClientSession, url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    async with http.get(f"{url}/metrics") as response:
        text = await response.text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: dict, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


async def test_what_happened_is_what_is_counted(running_stack: RunningStack) -> None:
    await running_stack.endpoint()
    running_stack.receiver.answer = lambda received: 404 if "phaxio" in received.event_id else 200
    async with (
        running("ingress", running_stack.ingress) as ingress,
        running("dispatcher", running_stack.dispatcher) as dispatcher,
    ):
        for sent in (callbacks.phaxio(1), callbacks.phaxio(1), callbacks.telnyx("e1", "f1")):
            assert (await sent.send(running_stack.http, ingress.url))[0] == 200
        assert (await callbacks.phaxio_json(b"[1]").send(running_stack.http, ingress.url))[1]["status"] == "quarantined"
        unsigned = callbacks.Outgoing("/phaxio-callback", {"Content-Type": "application/json"}, b"{}")
        assert (await unsigned.send(running_stack.http, ingress.url))[0] == 401
        async with running_stack.http.get(f"{ingress.url}/nowhere") as response:
            assert response.status == 404
        await until(lambda: len(dispatcher.logged("attempt.made")) == 2, "attempts")
        await until(lambda: len(dispatcher.logged("event.repeated")) == 1, "the repetition")

        front = await scraped(running_stack.http, ingress.url)
        back = await scraped(running_stack.http, dispatcher.url)

    def answers(provider: str, code: str, http_status: str) -> float:
        return value(front, "faxhook_callbacks_total", provider=provider, code=code, http_status=http_status)

    assert answers("phaxio", "accepted", "200") == 2
    assert answers("telnyx", "accepted", "200") == 1
    assert answers("phaxio", "quarantined", "200") == 1
    assert answers("phaxio", "signature_missing", "401") == 1
    assert answers("none", "not_found", "404") == 1
    assert value(front, "faxhook_kept_seconds_count", store="broker") == 3
    assert value(front, "faxhook_callback_bytes_total", provider="telnyx") > 100
    for name in ("faxhook_ready", "faxhook_broker_connected"):
        assert value(front, name) == value(back, name) == 1
    assert value(front, "faxhook_requests_under_way") == 1  # this one
    assert value(back, "faxhook_events_total", fate="accepted") == 2
    assert value(back, "faxhook_events_total", fate="repeated") == 1
    assert value(back, "faxhook_taken_seconds_count") == 2
    assert value(back, "faxhook_attempts_total", outcome="told", code="none") == 1
    assert value(back, "faxhook_attempts_total", outcome="not_told", code="http_404") == 1
    assert value(back, "faxhook_told_seconds_count") == 1
    assert value(back, "faxhook_consuming", queue="work.events") == 1
    assert value(back, "faxhook_consuming", queue="work.deliveries") == 1
    assert value(back, "faxhook_owed_deliveries") >= 0
    assert value(back, "faxhook_open_circuits") == 0

    listed = {each.name: each.labels for found in measures().values() for each in found}
    for (name, labels), _ in [*front.items(), *back.items()]:
        family = next((each for each in sorted(listed, key=len, reverse=True) if name.startswith(each)), None)
        for label, found in labels:
            assert family is None or family == BUILD_INFO.name or label == "le" or found in listed[family][label]

    (line,) = [line for line in ingress.logged("callback.accepted") if line["provider"] == "telnyx"]
    assert {
        "route": "/telnyx-webhook",
        "fax_id": "f1",
        "type": "fax.delivered",
        "http_status": 200,
    }.items() <= line.items()
    (line,) = ingress.logged("callback.quarantined")
    assert {"http_status": 200, "bytes": 3, "route": "/phaxio-inbound"}.items() <= line.items()
    (line,) = [line for line in dispatcher.logged("attempt.made") if line["outcome"] == "not_told"]
    assert {
        "code": "http_404",
        "http_status": 404,
        "wait_seconds": 300.0,
        "format": "phaxio-v2.1",
    }.items() <= line.items()
