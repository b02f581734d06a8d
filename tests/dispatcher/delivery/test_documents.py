"""Documents that a provider only names by URL: fetched once, kept, and sent with the webhook."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from dispatchers import DispatcherHarness
from documents import PDF, QUERY, document_url, received
from raw import port_of, raw_server
from receiver import Receiver
from waiting import until

from dispatcher.delivery import documents as fetch
from shared.broker import FAX_WORK
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def test_a_fax_that_telnyx_names_by_url_goes_out_with_its_file_byte_for_byte(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    await harness.endpoint()
    url = document_url(storage)
    await harness.publish(received(url.replace("http://", "http://user:pw@")))
    async with dispatching():
        await harness.settled(1)
        media = json.loads(await harness.pool.fetchval("SELECT media FROM events"))
    (webhook,) = harness.receiver.received
    (part,) = webhook.form.files
    assert (part.name, part.filename, part.content_type, part.content) == ("file", "1.pdf", "application/pdf", PDF)
    assert webhook.phaxio_signature_matches(harness.receiver.url, "token")
    (asked,) = storage.received
    assert asked.target == f"/bucket/a%2Fb.pdf?{QUERY}", "byte for byte, or the signature in it is wrong"
    assert {"Authorization", "Cookie", "Proxy-Authorization"} & set(asked.headers) == set()
    assert (media["bytes"], media["content_type"]) == (len(PDF), "application/pdf")
    assert (Path(urlsplit(harness.environment["MEDIA_URL"]).path) / media["key"]).read_bytes() == PDF
    logged = capsys.readouterr().out
    assert "media.fetched" in logged
    assert not [word for word in ("AKIASECRET", "c0ffee", "/bucket", "pw@") if word in logged]


async def test_a_retry_uses_the_kept_copy_though_the_url_is_dead_by_then(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver
) -> None:
    await harness.endpoint()
    harness.receiver.answer = lambda _received: 500 if len(harness.receiver.received) == 1 else 200
    await harness.publish(received(document_url(storage)))
    async with dispatching():
        await harness.receiver.got(1)
        storage.answer = lambda _received: 403
        await until(lambda: _state_is(harness, "retrying"), "recorded")
        await attempt_now(harness)
        await harness.settled(1)
    assert [[part.content for part in each.form.files] for each in harness.receiver.received] == [[PDF], [PDF]]
    assert len(storage.received) == 1


async def test_a_retry_fetches_from_the_newest_url_that_a_repetition_brought(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver
) -> None:
    await harness.endpoint()
    harness.receiver.answer = lambda _received: 500 if len(harness.receiver.received) == 1 else 200
    storage.answer = lambda asked: web.Response(body=PDF) if asked.target.endswith("fresh") else 403
    await harness.publish(received(document_url(storage), seconds_ago=3000))
    async with dispatching():
        await harness.receiver.got(1)
        await until(lambda: _state_is(harness, "retrying"), "recorded")
        await harness.publish(received(f"{document_url(storage)}&fresh"))
        await until(lambda: harness.pool.fetchval("SELECT media IS NOT NULL FROM events"), "noted")
        await attempt_now(harness)
        await harness.settled(1)
    assert [[part.content for part in each.form.files] for each in harness.receiver.received] == [[], [PDF]]
    assert [each.target.endswith("fresh") for each in storage.received] == [False, True]


async def test_a_document_that_cannot_be_fetched_any_more_is_taken_from_another_event_of_the_fax(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver
) -> None:
    await harness.endpoint()
    harness.receiver.answer = lambda _received: 500 if len(harness.receiver.received) == 1 else 200
    storage.answer = lambda asked: web.Response(body=PDF) if asked.target.endswith("fresh") else 403
    await harness.publish(received(document_url(storage), seconds_ago=3000))
    async with dispatching():
        await harness.receiver.got(1)
        await until(lambda: _state_is(harness, "retrying"), "recorded")
        await harness.publish(received(f"{document_url(storage)}&fresh", id="telnyx:later"))
        await harness.receiver.got(2)
        await attempt_now(harness)
        await harness.settled(2)
        kept = await harness.pool.fetch("SELECT DISTINCT media ->> 'key' AS key FROM events")
    assert [[part.content for part in each.form.files] for each in harness.receiver.received] == [[], [PDF], [PDF]]
    assert len(storage.received) == 2
    assert [row["key"] is not None for row in kept] == [True]


async def test_a_copy_of_another_event_that_the_store_no_longer_has_holds_up_no_webhook(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver
) -> None:
    await harness.endpoint()
    storage.answer = lambda asked: web.Response(body=PDF) if asked.target.endswith("fresh") else 403
    await harness.publish(received(f"{document_url(storage)}&fresh", id="telnyx:earlier"))
    async with dispatching():
        await harness.settled(1)
        key = await harness.pool.fetchval("SELECT media ->> 'key' FROM events")
        (Path(urlsplit(harness.environment["MEDIA_URL"]).path) / key).unlink()
        await harness.publish(received(document_url(storage)))
        await harness.settled(2)
    assert [[part.content for part in each.form.files] for each in harness.receiver.received] == [[PDF], []]


@pytest.mark.parametrize("still_there", [True, False], ids=["its URL lives", "its URL is dead, for a day"])
async def test_a_kept_copy_that_the_store_no_longer_has_is_fetched_again_and_holds_up_no_webhook_for_ever(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver, still_there: bool
) -> None:
    await harness.endpoint()
    harness.receiver.answer = lambda _received: 500 if len(harness.receiver.received) == 1 else 200
    await harness.publish(received(document_url(storage), seconds_ago=0 if still_there else 86_500))
    async with dispatching():
        copy = await _kept_and_retrying(harness)
        copy.unlink()
        if not still_there:
            storage.answer = lambda _received: 403
        await attempt_now(harness)
        await harness.settled(1)
    sent = [[part.content for part in each.form.files] for each in harness.receiver.received]
    assert sent == [[PDF], [PDF] if still_there else []]
    assert copy.exists() == still_there


async def test_a_webhook_waits_uncounted_for_a_kept_copy_that_is_away_as_if_its_folder_was_not_mounted(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    await harness.endpoint()
    harness.receiver.answer = lambda _received: 500 if len(harness.receiver.received) == 1 else 200
    await harness.publish(received(document_url(storage)))
    async with dispatching():
        copy = await _kept_and_retrying(harness)
        elsewhere = copy.rename(copy.with_suffix(".away"))
        storage.answer = lambda _received: 403
        await attempt_now(harness)
        logged = ""

        async def waited() -> bool:
            nonlocal logged
            logged += capsys.readouterr().out
            return '"media_unavailable"' in logged and "delivery.deferred" in logged

        await until(waited, "it waits")
        elsewhere.rename(copy)
        await harness.settled(1)
    assert [[part.content for part in each.form.files] for each in harness.receiver.received] == [[PDF], [PDF]]
    assert [each["attempts"] for each in await harness.deliveries()] == [2]


async def _kept_and_retrying(harness: DispatcherHarness) -> Path:
    """Return where the copy is kept, once the first attempt is recorded."""
    await harness.receiver.got(1)
    await until(lambda: _state_is(harness, "retrying"), "recorded")
    key = await harness.pool.fetchval("SELECT media ->> 'key' FROM events")
    return Path(urlsplit(harness.environment["MEDIA_URL"]).path) / str(key)


async def test_several_endpoints_of_an_event_share_one_fetch_and_those_that_carry_no_file_make_none(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver
) -> None:
    go = asyncio.Event()

    async def when_all_wait(_received: object) -> web.Response:
        await go.wait()
        return web.Response(body=PDF)

    storage.answer = when_all_wait
    for _ in range(5):
        await harness.endpoint()
    await harness.endpoint(format="telnyx-v2", tokens=())
    await harness.publish(received(document_url(storage)))
    async with dispatching():
        (told_at_once,) = await harness.receiver.got(1)  # it needs no document, and waits for none
        assert json.loads(told_at_once.body)["data"]["payload"]["media_url"] == document_url(storage)
        go.set()
        await harness.settled(6)
    with_file = [each for each in harness.receiver.received if each is not told_at_once]
    assert [[part.content for part in each.form.files] for each in with_file] == [[PDF]] * 5
    assert len(storage.received) == 1


async def test_for_an_endpoint_that_takes_no_file_nothing_is_fetched(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver
) -> None:
    await harness.endpoint(format="telnyx-v2", tokens=())
    await harness.endpoint(format="standard-v1", tokens=())
    await harness.publish(received(document_url(storage)))
    async with dispatching():
        await harness.settled(2)
    assert storage.received == []


async def test_a_document_that_cannot_be_fetched_is_gone_without_and_the_endpoint_is_told_on_attempt_1(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    storage.answer = lambda _received: 403
    await harness.endpoint()
    await harness.endpoint()
    await harness.publish(received(document_url(storage)))
    async with dispatching():
        deliveries = await harness.settled(2)
    assert [(each["state"], each["attempts"]) for each in deliveries] == [("told", 1)] * 2
    assert not [part for each in harness.receiver.received for part in each.form.files]
    assert len(storage.received) == 1, "the second endpoint does not wait for the same failure"
    logged = capsys.readouterr().out
    assert "http_403" in logged
    assert "c0ffee" not in logged


async def test_a_document_on_an_inner_address_is_not_fetched_and_the_event_goes_out_without(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver
) -> None:
    bodies = []

    async def application(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.readuntil(b"--\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with raw_server(application, "127.0.0.2") as server:  # stands for a public address
        await harness.endpoint(url=f"http://127.0.0.2:{port_of(server)}/hook")
        await harness.publish(received(document_url(storage)))
        async with dispatching(EGRESS_ALLOW_NETWORKS="127.0.0.2/32"):
            (delivery,) = await harness.settled(1)
    assert (delivery["state"], delivery["attempts"], storage.received) == ("told", 1, [])
    (body,) = bodies
    assert b'name="fax"' in body
    assert b'name="file"' not in body


async def test_the_lease_covers_a_slow_fetch(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver
) -> None:
    endpoint = await harness.endpoint(timeout_seconds=1.0)
    go = asyncio.Event()

    async def later(_received: object) -> web.Response:
        await go.wait()
        return web.Response(body=PDF)

    storage.answer = later
    await harness.publish(received(document_url(storage)))
    async with dispatching():
        await storage.got(1)
        left = await harness.pool.fetchval("SELECT extract(epoch FROM lease_until - now())::float8 FROM deliveries")
        go.set()
        await harness.settled(1)
    assert left > endpoint.lease_seconds + fetch.FETCH_SECONDS


async def test_a_proxy_that_is_away_when_a_document_is_to_be_fetched_does_not_count_as_an_attempt(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port_factory: Callable[[], int]
) -> None:
    await harness.endpoint()
    await harness.publish(received("http://storage.example/a.pdf"))

    async def put_back() -> Any:
        return await harness.pool.fetchval("SELECT attempts = 0 FROM deliveries WHERE lease_until IS NULL")

    async with dispatching(EGRESS_PROXY=f"http://127.0.0.1:{unused_tcp_port_factory()}"):
        await until(put_back, "put back")
    assert await _state_is(harness, "pending")
    assert await harness.pool.fetchval("SELECT count(*) FROM attempts") == 0


async def attempt_now(harness: DispatcherHarness) -> None:
    """Do what the delay queue does when the wait is over."""
    delivery = (await harness.deliveries())[0]
    body = json.dumps({"delivery_id": str(delivery["id"]), "attempt": delivery["attempts"] + 1}).encode()
    await harness.publisher.publish(FAX_WORK, "delivery", body, {})


async def _state_is(harness: DispatcherHarness, state: str) -> bool:
    return [each["state"] for each in await harness.deliveries()] == [state]
