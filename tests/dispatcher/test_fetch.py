"""Documents that a provider only names by URL: fetched once under the egress rules, kept, and never waited for long."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import structlog
from aiohttp import web
from dispatchers import Bench, an_event
from raw import port_of, raw_server
from receiver import Receiver, receiving
from resolving import Answers
from waiting import until

from dispatcher import fetch
from dispatcher.egress import parse_networks
from dispatcher.fetch import Documents
from dispatcher.way_out import ProxyAway, WayOut
from shared.broker import FAX_WORK
from shared.domain import Direction, Event, EventType, Media, Provider, encode_event
from shared.media import MediaStore
from shared.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 100
QUERY = "X-Amz-Credential=AKIASECRET&X-Amz-Signature=c0ffee%2F"


def received(url: str, number: int = 1, *, seconds_ago: float = 0.0, **fields: Any) -> Event:
    """Return a Telnyx event of a received fax whose document lies at *url*."""
    now = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return an_event(
        number, EventType.RECEIVED, provider=Provider.TELNYX, media=Media(url=url), received_at=now, **fields
    )


@pytest.fixture
async def storage() -> AsyncIterator[Receiver]:
    """The provider's storage: it gives `PDF` unless a test says otherwise."""
    async with receiving() as running:
        running.answer = lambda _received: web.Response(body=PDF, content_type="application/pdf")
        yield running


def document_url(storage: Receiver) -> str:
    return f"{storage.base_url}/bucket/a%2Fb.pdf?{QUERY}"


# ---- End to end -----------------------------------------------------------------------------------------------------


async def test_a_fax_that_telnyx_names_by_url_goes_out_with_its_file_byte_for_byte(
    bench: Bench, dispatching: Dispatching, storage: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    await bench.endpoint()
    url = document_url(storage)
    await bench.publish(received(url.replace("http://", "http://user:pw@")))
    async with dispatching():
        await bench.settled(1)
        media = json.loads(await bench.pool.fetchval("SELECT media FROM events"))
    (webhook,) = bench.receiver.received
    (part,) = webhook.form.files
    assert (part.name, part.filename, part.content_type, part.content) == ("file", "1.pdf", "application/pdf", PDF)
    assert webhook.phaxio_signature_matches(bench.receiver.url, "token")
    (asked,) = storage.received
    assert asked.target == f"/bucket/a%2Fb.pdf?{QUERY}", "byte for byte, or the signature in it is wrong"
    assert {"Authorization", "Cookie", "Proxy-Authorization"} & set(asked.headers) == set()
    assert (media["bytes"], media["content_type"]) == (len(PDF), "application/pdf")
    assert (Path(urlsplit(bench.environment["MEDIA_URL"]).path) / media["key"]).read_bytes() == PDF
    logged = capsys.readouterr().out
    assert "media.fetched" in logged
    assert not [word for word in ("AKIASECRET", "c0ffee", "/bucket", "pw@") if word in logged]


async def test_a_retry_uses_the_kept_copy_though_the_url_is_dead_by_then(
    bench: Bench, dispatching: Dispatching, storage: Receiver
) -> None:
    await bench.endpoint()
    bench.receiver.answer = lambda _received: 500 if len(bench.receiver.received) == 1 else 200
    await bench.publish(received(document_url(storage)))
    async with dispatching():
        await bench.receiver.got(1)
        storage.answer = lambda _received: 403
        await until(lambda: _state_is(bench, "retrying"), "recorded")
        await attempt_now(bench)
        await bench.settled(1)
    assert [[part.content for part in each.form.files] for each in bench.receiver.received] == [[PDF], [PDF]]
    assert len(storage.received) == 1


async def test_several_endpoints_of_an_event_share_one_fetch_and_those_that_carry_no_file_make_none(
    bench: Bench, dispatching: Dispatching, storage: Receiver
) -> None:
    go = asyncio.Event()

    async def when_all_wait(_received: object) -> web.Response:
        await go.wait()
        return web.Response(body=PDF)

    storage.answer = when_all_wait
    for _ in range(5):
        await bench.endpoint()
    await bench.endpoint(format="telnyx-v2", tokens=())
    await bench.publish(received(document_url(storage)))
    async with dispatching():
        (told_at_once,) = await bench.receiver.got(1)  # it needs no document, and waits for none
        assert json.loads(told_at_once.body)["data"]["payload"]["media_url"] == document_url(storage)
        go.set()
        await bench.settled(6)
    with_file = [each for each in bench.receiver.received if each is not told_at_once]
    assert [[part.content for part in each.form.files] for each in with_file] == [[PDF]] * 5
    assert len(storage.received) == 1


async def test_an_endpoint_that_takes_no_file_makes_nobody_fetch(
    bench: Bench, dispatching: Dispatching, storage: Receiver
) -> None:
    await bench.endpoint(format="telnyx-v2", tokens=())
    await bench.endpoint(format="standard-v1", tokens=())
    await bench.publish(received(document_url(storage)))
    async with dispatching():
        await bench.settled(2)
    assert storage.received == []


async def test_a_document_that_cannot_be_fetched_is_gone_without_and_the_endpoint_is_told_on_attempt_1(
    bench: Bench, dispatching: Dispatching, storage: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    storage.answer = lambda _received: 403
    await bench.endpoint()
    await bench.endpoint()
    await bench.publish(received(document_url(storage)))
    async with dispatching():
        deliveries = await bench.settled(2)
    assert [(each["state"], each["attempts"]) for each in deliveries] == [("told", 1)] * 2
    assert not [part for each in bench.receiver.received for part in each.form.files]
    assert len(storage.received) == 1, "the second endpoint does not wait for the same failure"
    logged = capsys.readouterr().out
    assert "http_403" in logged
    assert "c0ffee" not in logged


async def test_a_document_on_an_inner_address_is_not_fetched_and_the_event_goes_out_without(
    bench: Bench, dispatching: Dispatching, storage: Receiver
) -> None:
    bodies = []

    async def application(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.readuntil(b"--\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with raw_server(application, "127.0.0.2") as server:  # stands for a public address
        await bench.endpoint(url=f"http://127.0.0.2:{port_of(server)}/hook")
        await bench.publish(received(document_url(storage)))
        async with dispatching(EGRESS_ALLOW_NETWORKS="127.0.0.2/32"):
            (delivery,) = await bench.settled(1)
    assert (delivery["state"], delivery["attempts"], storage.received) == ("told", 1, [])
    (body,) = bodies
    assert b'name="fax"' in body
    assert b'name="file"' not in body


async def test_the_lease_covers_a_slow_fetch(bench: Bench, dispatching: Dispatching, storage: Receiver) -> None:
    endpoint = await bench.endpoint(timeout_seconds=1.0)
    go = asyncio.Event()

    async def later(_received: object) -> web.Response:
        await go.wait()
        return web.Response(body=PDF)

    storage.answer = later
    await bench.publish(received(document_url(storage)))
    async with dispatching():
        await storage.got(1)
        left = await bench.pool.fetchval("SELECT extract(epoch FROM lease_until - now())::float8 FROM deliveries")
        go.set()
        await bench.settled(1)
    assert left > endpoint.lease_seconds + fetch.FETCH_SECONDS


async def test_a_proxy_that_is_away_when_a_document_is_to_be_fetched_does_not_count_as_an_attempt(
    bench: Bench, dispatching: Dispatching, unused_tcp_port_factory: Callable[[], int]
) -> None:
    await bench.endpoint()
    await bench.publish(received("http://storage.example/a.pdf"))

    async def put_back() -> Any:
        return await bench.pool.fetchval("SELECT attempts = 0 FROM deliveries WHERE lease_until IS NULL")

    async with dispatching(EGRESS_PROXY=f"http://127.0.0.1:{unused_tcp_port_factory()}"):
        await until(put_back, "put back")
    assert await _state_is(bench, "pending")
    assert await bench.pool.fetchval("SELECT count(*) FROM attempts") == 0


async def attempt_now(bench: Bench) -> None:
    """Do what the delay queue does when the wait is over."""
    (delivery,) = await bench.deliveries()
    body = json.dumps({"delivery_id": str(delivery["id"]), "attempt": delivery["attempts"] + 1}).encode()
    await bench.publisher.publish(FAX_WORK, "delivery", body, {})


async def _state_is(bench: Bench, state: str) -> bool:
    return [each["state"] for each in await bench.deliveries()] == [state]


# ---- The bounds, one by one -----------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> MediaStore:
    return MediaStore((tmp_path / "media").as_uri())


@asynccontextmanager
async def documents_of(
    pool: asyncpg.Pool, store: Any, *networks: str, resolver: Answers | None = None, proxy: str | None = None
) -> AsyncIterator[Documents]:
    way_out = WayOut(parse_networks(networks or ["127.0.0.0/8"]), proxy, resolver)
    try:
        yield Documents(pool, store, way_out)
    finally:
        await way_out.close()


async def recorded(pool: asyncpg.Pool, event: Event) -> Event:
    await pool.execute(
        "INSERT INTO events (id, provider, fax_id, type, received_at, body) VALUES ($1, $2, $3, $4, $5, $6)",
        *(event.id, event.provider, event.fax_id, event.type, event.received_at, encode_event(event)),
    )
    return event


async def reason_of(documents: Documents, event: Event, attempt: int = 1) -> str:
    """Return why *event* goes out without its document; everything but that is a failure."""
    with structlog.testing.capture_logs() as lines:
        assert await documents.of(event, attempt) == (event, None)
    return ", ".join(line["reason"] for line in lines if line["event"] == "media.missing")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n"


@pytest.mark.parametrize(
    ("head", "chunk", "reason"),
    [
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", b"", "too_large"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"a" * 65536 + b"\r\n", "too_large"),
        (HEAD + b"Connection: close\r\n\r\n", b"a" * 65536, "too_large"),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"a", "timeout"),
        (b"HTTP/1.1 ", b"", "timeout"),
    ],
    ids=["says it is huge", "endless chunks", "endless", "drips", "never answers"],
)
async def test_a_storage_that_never_ends_costs_its_bound_and_no_more(
    pool: asyncpg.Pool, store: MediaStore, monkeypatch: pytest.MonkeyPatch, head: bytes, chunk: bytes, reason: str
) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", 1024 * 1024)
    monkeypatch.setattr(fetch, "FETCH_SECONDS", 0.5 if reason == "timeout" else 20.0)
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while True:
            writer.write(chunk)
            await writer.drain()
            sent += len(chunk)
            await asyncio.sleep(0.1 if len(chunk) < 2 else 0)  # one byte at a time: it drips

    async with raw_server(endless) as server, documents_of(pool, store) as documents, asyncio.timeout(10):
        event = received(f"http://127.0.0.1:{port_of(server)}/a.pdf")
        assert await reason_of(documents, event) == reason
    assert sent < 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda: web.Response(status=302, headers={"Location": "/elsewhere"}), "http_302"),
        (lambda: web.Response(status=206, body=PDF), "http_206"),
        (lambda: web.Response(status=404), "http_404"),
        (lambda: web.Response(body=b""), "empty"),
        (lambda: web.Response(body=gzip.compress(PDF), headers={"Content-Encoding": "gzip"}), "bad_answer"),
    ],
    ids=["redirects", "a part", "gone", "empty", "packed"],
)
async def test_what_is_not_the_whole_document_is_none(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver, answer: Callable[[], web.Response], reason: str
) -> None:
    storage.answer = lambda asked: web.Response(body=PDF) if "elsewhere" in asked.target else answer()
    async with documents_of(pool, store) as documents:
        assert await reason_of(documents, received(document_url(storage))) == reason
    assert len(storage.received) == 1


async def test_a_document_that_breaks_off_is_none(pool: asyncpg.Pool, store: MediaStore) -> None:
    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Content-Length: 1000\r\n\r\n%PDF-")

    async with raw_server(breaks_off) as server, documents_of(pool, store) as documents:
        assert await reason_of(documents, received(f"http://127.0.0.1:{port_of(server)}/a.pdf")) == "reset"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "inner.example"]
)
async def test_a_document_is_fetched_under_the_egress_rules(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver, host: str
) -> None:
    resolver = Answers(inner_example=[["127.0.0.1", "10.0.0.1"]])
    async with documents_of(pool, store, "192.0.2.0/24", resolver=resolver) as documents:
        event = received(document_url(storage).replace("127.0.0.1", host))
        assert await reason_of(documents, event) == "egress_refused"
    assert storage.received == []


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("application/pdf", "application/pdf"),
        ("Image/TIFF; x=y", "image/tiff"),
        ("binary/octet-stream", "application/pdf"),
        ("application/octet-stream", "application/pdf"),
        ("nonsense", "application/pdf"),
        ('a/b"\x7f', "application/pdf"),
    ],
)
async def test_the_content_type_is_kept_if_it_says_something(
    pool: asyncpg.Pool, store: MediaStore, header: str, kept: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {header}\r\nContent-Length: {len(PDF)}\r\n\r\n"
        writer.write(head.encode("latin-1") + PDF)

    async with raw_server(answer) as server, documents_of(pool, store) as documents:
        event, document = await documents.of(received(f"http://127.0.0.1:{port_of(server)}/"), 1)
    assert event.media is not None
    assert (document, event.media.content_type) == (PDF, kept)


async def test_a_later_attempt_tries_again_only_while_the_url_may_live(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver
) -> None:
    storage.answer = lambda _received: 503
    async with documents_of(pool, store) as documents:
        young, old = received(document_url(storage)), received(document_url(storage), 2, seconds_ago=601)
        for event, attempt, asked in ((young, 1, 1), (young, 1, 1), (young, 2, 2), (old, 1, 3), (old, 2, 3)):
            assert await documents.of(event, attempt) == (event, None)
            assert len(storage.received) == asked, (event.id, attempt)
        storage.answer = lambda _received: web.Response(body=PDF)
        assert (await documents.of(young, 3))[1] == PDF


async def test_another_process_finds_the_copy_in_the_ledger(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver
) -> None:
    event = await recorded(pool, received(document_url(storage)))
    for _ in range(2):
        async with documents_of(pool, store) as documents:
            told, document = await documents.of(event, 1)
            assert (document, told.media and told.media.key is not None) == (PDF, True)
    assert len(storage.received) == 1


async def test_a_store_that_does_not_keep_it_costs_no_application_its_file(
    pool: asyncpg.Pool, tmp_path: Path, storage: Receiver
) -> None:
    store = MediaStore((tmp_path / "media").as_uri())
    (tmp_path / "media").rmdir()
    (tmp_path / "media").write_text("no folder any more")
    event = await recorded(pool, received(document_url(storage)))
    async with documents_of(pool, store) as documents:
        told, document = await documents.of(event, 1)
    assert document == PDF
    assert told.media == Media(url=document_url(storage), bytes=len(PDF), content_type="application/pdf")
    assert await pool.fetchval("SELECT media FROM events") is None


async def test_a_proxy_that_is_away_is_our_own_trouble_and_no_failure_is_remembered(
    pool: asyncpg.Pool, store: MediaStore, unused_tcp_port: int
) -> None:
    async with documents_of(pool, store, proxy=f"http://127.0.0.1:{unused_tcp_port}") as documents:
        for _ in range(2):
            with pytest.raises(ProxyAway):
                await documents.of(received("http://storage.example/a.pdf"), 1)


async def test_who_gives_up_waiting_takes_the_document_from_nobody(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver
) -> None:
    go = asyncio.Event()

    async def later(_received: object) -> web.Response:
        await go.wait()
        return web.Response(body=PDF)

    storage.answer = later
    event = received(document_url(storage), direction=Direction.RECEIVED)
    async with documents_of(pool, store) as documents:
        first, second = (asyncio.create_task(documents.of(event, 1)) for _ in range(2))
        await storage.got(1)
        first.cancel()
        await asyncio.wait({first})
        go.set()
        assert (await second)[1] == PDF
    assert len(storage.received) == 1
