"""The bounds of a fetch: size, time, the egress rules, and what a later attempt or another process does."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog
from aiohttp import web
from documents import PDF, document_url, received
from raw import port_of, raw_server
from raw_hosts import reset_on_close
from receiver import Receiver
from resolving import Answers

from dispatcher.delivery import documents as fetch
from dispatcher.delivery.documents import Documents
from dispatcher.egress.client import EgressClient
from dispatcher.egress.errors import ProxyAway
from dispatcher.egress.guard import parse_networks
from shared.domain import Direction, Event, Media, encode_event
from shared.media import MediaStore


@asynccontextmanager
async def documents_of(
    pool: asyncpg.Pool, store: Any, *networks: str, resolver: Answers | None = None, proxy: str | None = None
) -> AsyncIterator[Documents]:
    way_out = EgressClient(parse_networks(networks or ["127.0.0.0/8"]), proxy, resolver)
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
        (lambda: web.Response(text=" <!DOCTYPE html><title>Sign in", content_type="text/html"), "not_a_document"),
        (lambda: web.Response(text="<html>Busy", content_type="application/pdf"), "not_a_document"),
        (lambda: web.Response(text="<?xml version='1.0'?><Error><Code>Expired", content_type="a/b"), "not_a_document"),
        (lambda: web.json_response({"error": "expired"}), "not_a_document"),
        (lambda: web.Response(body=b"packed", headers={"Content-Encoding": "br"}), "bad_answer"),
        (lambda: web.Response(body=gzip.compress(PDF)[:-9], headers={"Content-Encoding": "gzip"}), "bad_answer"),
        (
            lambda: web.Response(body=gzip.compress(bytes(40_000_000)), headers={"Content-Encoding": "gzip"}),
            "too_large",
        ),
    ],
    ids=[
        "redirects",
        "a part",
        "gone",
        "empty",
        "a page",
        "a page as PDF",
        "XML",
        "JSON",
        "packed",
        "broken",
        "a bomb",
    ],
)
async def test_what_is_not_the_whole_document_is_not_kept(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver, answer: Callable[[], web.Response], reason: str
) -> None:
    storage.answer = lambda asked: web.Response(body=PDF) if "elsewhere" in asked.target else answer()
    async with documents_of(pool, store) as documents:
        assert await reason_of(documents, received(document_url(storage))) == reason
    assert len(storage.received) == 1


async def test_a_document_whose_transfer_is_packed_arrives(pool: asyncpg.Pool, store: MediaStore) -> None:
    packed = gzip.compress(PDF)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n")
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed))

    async with raw_server(answer) as server, documents_of(pool, store) as documents:
        _, content = await documents.of(received(f"http://127.0.0.1:{port_of(server)}/fax.pdf"), 1)
    assert content == PDF


@pytest.mark.parametrize(("said", "kind"), [("application/octet-stream", "application/rtf"), ("text/rtf", "text/rtf")])
async def test_a_document_of_another_kind_arrives_as_what_it_is(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver, said: str, kind: str
) -> None:
    rtf = rb"{\rtf1\ansi A fax as a text.}"
    storage.answer = lambda _asked: web.Response(body=rtf, content_type=said)
    async with documents_of(pool, store) as documents:
        event, content = await documents.of(received(document_url(storage)), 1)
    assert event.media is not None
    assert (content, event.media.content_type) == (rtf, kind)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PDF, {"Content-Encoding": ""}),
        (PDF, {"Content-Encoding": "aws-chunked"}),
        (PDF, {"Content-Encoding": "Identity", "X": "a" * 8_191}),
        (gzip.compress(PDF), {"Content-Encoding": "gzip"}),
        (gzip.compress(PDF), {"Content-Type": "application/pdf"}),
        (PDF, {f"X-{number}": "a" for number in range(130)}),
    ],
    ids=["empty", "how it was stored", "a long header", "packed unasked", "packed without a word", "many headers"],
)
async def test_an_intact_document_arrives_whatever_its_storage_says_beside_it(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver, body: bytes, headers: dict[str, str]
) -> None:
    storage.answer = lambda _asked: web.Response(body=body, headers=headers)
    async with documents_of(pool, store) as documents:
        _, content = await documents.of(received(document_url(storage)), 1)
    assert content == PDF


@pytest.mark.parametrize(
    ("tail", "asked"),
    [
        ("/fax +1 5.pdf?a=b c", "/fax%20+1%205.pdf?a=b%20c"),
        ("/Übertragung.pdf", "/%C3%9Cbertragung.pdf"),
        ("/a#b", "/a"),
    ],
)
async def test_a_url_that_http_cannot_carry_is_encoded_and_any_other_asked_for_as_it_is(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver, tail: str, asked: str
) -> None:
    storage.answer = lambda _asked: web.Response(body=PDF)
    async with documents_of(pool, store) as documents:
        _, content = await documents.of(received(f"{storage.base_url}{tail}"), 1)
    assert (content, [each.target for each in storage.received]) == (PDF, [asked])


async def test_a_url_with_a_line_break_adds_nothing_to_the_request(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver
) -> None:
    storage.answer = lambda _asked: web.Response(body=PDF)
    async with documents_of(pool, store) as documents:
        await documents.of(received(f"{storage.base_url}/a HTTP/1.1\r\nX-Added: 1\r\nX-Rest: 1"), 1)
    assert not [each for each in storage.received if "X-Added" in each.headers]


async def test_a_document_without_a_length_whose_connection_is_reset_is_not_kept(
    pool: asyncpg.Pool, store: MediaStore
) -> None:
    """For an answer to a webhook that is an end; here it may be the middle of the fax."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Connection: close\r\n\r\n" + PDF)
        reset_on_close(writer)

    async with raw_server(answer) as server, documents_of(pool, store) as documents:
        assert await reason_of(documents, received(f"http://127.0.0.1:{port_of(server)}/")) == "reset"


async def test_a_document_that_breaks_off_is_not_kept(pool: asyncpg.Pool, store: MediaStore) -> None:
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


async def test_a_first_attempt_beside_a_retry_of_another_endpoint_tries_the_url_that_the_retry_leaves_alone(
    pool: asyncpg.Pool, store: MediaStore, storage: Receiver
) -> None:
    storage.answer = lambda _received: web.Response(body=PDF)
    event = await recorded(pool, received(document_url(storage), seconds_ago=601))
    async with documents_of(pool, store) as documents:
        retry, first = await asyncio.gather(documents.of(event, 2), documents.of(event, 1))
    assert (retry, first[1]) == ((event, None), PDF)


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


async def test_a_fetch_that_gives_up_waiting_takes_the_document_from_no_other(
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
