"""The ingress as an HTTP server: whatever bytes come, every connection ends in time, and no answer but its own.

Its patience is made short here, so that what would hang is seen to end: 10 s for a body, 10 s to let who still sends it read the
answer, and 75 s for a head otherwise.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import callbacks
import pytest
from callbacks import TELNYX_SEED
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from ingresses import RunningIngress, serving_ingress
from mutations import Sent, changed_bytes, changed_callbacks
from processes import SECRETS

import ingress.admission
import ingress.app
from shared.providers import ALL_ROUTES
from shared.signatures import basic_header, sign_body, sign_telnyx

ALLOWED = {200, 400, 401, 404, 405, 413, 415, 503}
CODES = {
    *("malformed", "signature_missing", "signature_invalid", "timestamp_expired", "credentials_invalid", "not_found"),
    *("method_not_allowed", "too_large", "unsupported_media_type", "unavailable"),
}
PATIENCE_SECONDS = 0.3
ENDED_SECONDS = 5.0


@pytest.fixture
async def impatient(
    amqp_url: str, tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningIngress]:
    monkeypatch.setattr(ingress.admission, "READ_TIMEOUT_SECONDS", PATIENCE_SECONDS)
    for option in ("keepalive_timeout", "lingering_time"):
        monkeypatch.setitem(ingress.app._CONNECTION_OPTIONS, option, PATIENCE_SECONDS)
    async with serving_ingress(amqp_url, tmp_path / "media", unused_tcp_port, **SECRETS) as running:
        yield running


async def talk(url: str, sent: bytes) -> bytes:
    """Send bytes on a connection of their own and return all that comes until the server ends it; it must."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    answer = b""
    try:
        async with asyncio.timeout(ENDED_SECONDS):
            with suppress(ConnectionError):
                writer.write(sent)
                while chunk := await reader.read(65_536):
                    answer += chunk
    finally:
        writer.close()
    return answer


ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


def check_answers(answer: bytes, sent: bytes) -> list[int]:
    """Every answer is one of the contract's, whole, and quotes nothing."""
    statuses = []
    at = 0
    while at < len(answer):
        head = ANSWER.match(answer, at)
        assert head is not None, (answer, sent)
        status = int(head[1])
        length = re.search(rb"(?i)content-length: (\d+)", head[2])
        is_without_body = answer[head.end() : head.end() + 5] in {b"HTTP/", b""}  # a HEAD's
        at = head.end() + (int(length[1]) if length and not is_without_body else 0)
        if status == 100:
            continue
        statuses.append(status)
        assert status in ALLOWED, (status, sent)
        body = answer[head.end() : at]
        if status != 200 and body:
            said = json.loads(body)
            assert said["error"] in CODES
            assert set(said) == {"error", "detail"}
            assert (status == 503) == (b"Retry-After: " in head[2])
    return statuses


def signed_headers(sent: Sent) -> list[tuple[str, str]]:
    now = int(time.time())
    headers = {
        "X-Phaxio-Signature": sign_body(SECRETS["PHAXIO_API_SECRET"], sent.body),
        "telnyx-timestamp": str(now),
        "telnyx-signature-ed25519": sign_telnyx(TELNYX_SEED, now, sent.body),
        "Authorization": basic_header(SECRETS["SINCH_INBOUND_BASIC_USER"], SECRETS["SINCH_INBOUND_BASIC_PASS"]),
        "X-Internal-Secret": SECRETS["ASTERISK_INBOUND_SECRET"],
    }
    if sent.content_type is not None and sent.content_type.isprintable():
        headers["Content-Type"] = sent.content_type
    return list(headers.items())


def as_request(
    sent: Sent, target: str | None = None, method: str = "POST", more: list[tuple[str, str]] | None = None
) -> bytes:
    lines = [f"{method} {target or sent.route} HTTP/1.1", "Host: hooks.example.com"]
    named = [*signed_headers(sent), *(more or [("Content-Length", str(len(sent.body)))])]
    lines += [f"{name}: {value}" for name, value in named]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + sent.body


FRAMING = st.sampled_from(
    [
        [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked, identity")],
        [("Transfer-Encoding", "\x0bchunked")],
        [("Transfer-Encoding", "gzip")],
        [("Content-Length", "5"), ("Content-Length", "6")],
        [("Content-Length", "-1")],
        [("Content-Length", "+5")],
        [("Content-Length", "0x5")],
        [("Content-Length", "9" * 30)],
        [("Content-Length", "99999999999")],
        [("Content-Length", "")],
        [("Content-Length ", "5")],
        [("Expect", "100-continue"), ("Content-Length", "5")],
        [("Expect", "a-miracle"), ("Content-Length", "5")],
        [("Content-Encoding", "gzip"), ("Content-Length", "5")],
        [("Content-Encoding", "br"), ("Content-Length", "5")],
        [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Content-Length", "5")],
        [("Connection", "close, X-Internal-Secret"), ("Content-Length", "5")],
        [("X-A", "b\r\n c"), ("Content-Length", "5")],
        [("X-A", "x" * 9000)],
        [("X-A", "\x00"), ("Content-Length", "5")],
        [("X\xe9", "1"), ("Content-Length", "5")],
        [("", "1"), ("Content-Length", "5")],
        [("X-A", str(number)) for number in range(300)],
        [("Cookie", "a=b; " * 100), ("Content-Length", "5")],
    ]
)
TARGETS = st.one_of(
    st.sampled_from(sorted(ALL_ROUTES)),
    st.sampled_from(
        [
            *(
                "/",
                "*",
                "//phaxio-callback",
                "/phaxio-callback/../telnyx-webhook",
                "/%70haxio-callback",
                "/metrics",
                "/livez",
            ),
            *(
                "http://hooks.example.com/phaxio-callback",
                "/phaxio-callback?job_id=%00%ff%",
                "/phaxio-callback?" + "a=b&" * 900,
            ),
            *(
                "/phaxio-callback#x",
                "/phaxio-callback?job_id=" + "x" * 8000,
                "hooks:443",
                "",
                "/readyz?x",
                "/\x00",
                "/é",
            ),
        ]
    ),
)
METHODS = st.sampled_from(
    ["POST", "POST", "POST", "GET", "HEAD", "PUT", "OPTIONS", "CONNECT", "TRACE", "post", "P\x00", "", "PRI"]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draw a request: genuine, or changed in its body, its target, its framing, or in any of its bytes."""
    sent = draw(changed_callbacks())
    match draw(st.sampled_from(["body", "body", "target", "framing", "bytes", "chunked", "two"])):
        case "body":
            return as_request(sent)
        case "target":
            return as_request(sent, draw(TARGETS), draw(METHODS))
        case "framing":
            return as_request(sent, more=draw(FRAMING))
        case "bytes":
            return draw(changed_bytes(as_request(sent)))
        case "chunked":
            sizes = draw(st.lists(st.integers(1, 200), min_size=1, max_size=5))
            chunks, at = b"", 0
            for size in sizes:
                piece = sent.body[at : at + size]
                at += size
                chunks += f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if piece else b""
            head = as_request(Sent(sent.route, sent.content_type, b""), more=[("Transfer-Encoding", "chunked")])
            return head + draw(changed_bytes(chunks + b"0\r\n\r\n"))
        case _:
            return as_request(sent) + draw(changed_bytes(as_request(sent, draw(TARGETS))))


@examples(25, at_most=1_000, shrink=False)
@given(batch=st.lists(st.one_of(requests(), st.binary(max_size=80)), min_size=4, max_size=12))
async def test_whatever_bytes_come_every_connection_ends_in_time_with_answers_of_the_contract(
    impatient: RunningIngress, batch: list[bytes]
) -> None:
    answers = await asyncio.gather(*(talk(impatient.url, sent) for sent in batch))
    for sent, answer in zip(batch, answers, strict=True):
        check_answers(answer, sent)
    status, said = await callbacks.phaxio(1).send(impatient.http, impatient.url)
    assert (status, said["status"]) == (200, "accepted")


async def test_a_head_that_never_ends_and_a_body_that_drips_are_ended_and_hold_no_room(
    impatient: RunningIngress,
) -> None:
    """Both go on sending: it is the whole that has a deadline, not the pause between two bytes."""

    async def drip(start: bytes, piece: bytes) -> tuple[bytes, float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(impatient.url.rpartition(":")[2]))
        started = time.monotonic()
        writer.write(start)
        answer = b""
        with suppress(ConnectionError):
            while time.monotonic() - started < ENDED_SECONDS:
                writer.write(piece)
                await writer.drain()
                try:
                    async with asyncio.timeout(PATIENCE_SECONDS / 6):
                        chunk = await reader.read(1000)
                except TimeoutError:
                    continue
                if not chunk:
                    break
                answer += chunk
        writer.close()
        return answer, time.monotonic() - started

    head = b"POST /phaxio-callback HTTP/1.1\r\nHost: x\r\n"
    endless = await drip(head, b"X-A: b\r\n")
    nothing = await drip(b"", b"\r\n")
    body = await drip(head + b"Content-Length: 30000\r\n\r\n", b"x")
    chunks = await drip(head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")
    for name, (_, seconds) in {"head": endless, "nothing": nothing, "body": body, "chunks": chunks}.items():
        assert seconds < ENDED_SECONDS / 2, name
    assert b" 503 " in body[0].splitlines()[0]
    assert b" 503 " in chunks[0].splitlines()[0]
    async with impatient.http.get(f"{impatient.url}/metrics") as response:
        assert "admitted_bytes 0" in await response.text()
