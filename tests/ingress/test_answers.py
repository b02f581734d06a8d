"""The ingress answers every bad request with its own code, never with a crash, and loses nothing."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable

import callbacks
import pytest
from callbacks import SAMPLES, Outgoing
from ingresses import RunningIngress
from stores import count, take_all
from waiting import until
from yarl import URL

from shared.broker import WORK_EVENTS
from shared.signatures import sign_body

GOOD = callbacks.phaxio(1)
JSON = {"Content-Type": "application/json"}


def without(outgoing: Outgoing, header: str) -> Outgoing:
    return dataclasses.replace(outgoing, headers={n: v for n, v in outgoing.headers.items() if n != header})


def having(outgoing: Outgoing, header: str, value: str) -> Outgoing:
    return dataclasses.replace(outgoing, headers={**outgoing.headers, header: value})


BAD = {
    "an unknown path": (Outgoing("/nowhere", {}, b""), 404, "not_found"),
    "a path with a trailing slash": (dataclasses.replace(GOOD, target="/phaxio-callback/"), 404, "not_found"),
    "no signature": (without(GOOD, "X-Phaxio-Signature"), 401, "signature_missing"),
    "a wrong signature": (having(GOOD, "X-Phaxio-Signature", "0" * 40), 401, "signature_invalid"),
    "a signature of no known length": (having(GOOD, "X-Phaxio-Signature", "abc"), 401, "signature_invalid"),
    "a signature that is not ASCII": (having(GOOD, "X-Phaxio-Signature", "é" * 40), 401, "signature_invalid"),
    "another query than the signed one": (
        dataclasses.replace(GOOD, target="/phaxio-callback?job_id=other"),
        401,
        "signature_invalid",
    ),
    "a changed body": (
        dataclasses.replace(GOOD, body=GOOD.body.replace(b"success", b"failure")),
        401,
        "signature_invalid",
    ),
    "a form without a boundary": (having(GOOD, "Content-Type", "multipart/form-data"), 400, "malformed"),
    "a form that breaks off": (dataclasses.replace(GOOD, body=GOOD.body[:-30]), 400, "malformed"),
    "a content type that is no form": (having(GOOD, "Content-Type", "text/html"), 415, "unsupported_media_type"),
    "JSON under the form's scheme": (
        Outgoing("/phaxio-callback", {**GOOD.headers, **JSON}, b'{"id": 1, "status": "success"}'),
        401,
        "signature_invalid",
    ),
    "Telnyx without a timestamp": (
        without(callbacks.telnyx("e", "f"), "telnyx-timestamp"),
        401,
        "signature_missing",
    ),
    "Telnyx, a timestamp from the past": (
        having(callbacks.telnyx("e", "f"), "telnyx-timestamp", "1600000000"),
        401,
        "signature_invalid",
    ),
    "Telnyx, garbage": (Outgoing("/telnyx-webhook", JSON, b"\xff\xfe{"), 401, "signature_missing"),
    "Sinch without credentials": (Outgoing("/sinch-inbound", JSON, b"{}"), 401, "credentials_invalid"),
    "Sinch with a wrong password": (
        Outgoing("/sinch-inbound", {**JSON, "Authorization": "Basic c2luY2g6bm9wZQ=="}, b"{}"),
        401,
        "credentials_invalid",
    ),
    "Asterisk without the secret": (Outgoing("/_internal/asterisk/inbound", JSON, b"{}"), 401, "credentials_invalid"),
    "Asterisk with a secret that is not ASCII": (
        Outgoing("/_internal/asterisk/inbound", {**JSON, "X-Internal-Secret": "sécret"}, b"{}"),
        401,
        "credentials_invalid",
    ),
    "a query that is not UTF-8": (
        dataclasses.replace(GOOD, target="/phaxio-callback?job_id=%ff%fe&%00=%00"),
        401,
        "signature_invalid",
    ),
}


async def test_every_bad_request_gets_its_code_and_a_sentence_and_leaves_nothing(
    ingress: RunningIngress, amqp_url: str
) -> None:
    for name, (outgoing, status, code) in BAD.items():
        found, answer = await outgoing.send(ingress.http, ingress.url)
        assert (found, answer["error"]) == (status, code), name
        assert answer["detail"], name
        assert set(answer) == {"error", "detail"}, name
    assert await count(amqp_url, WORK_EVENTS) == 0
    assert await count(amqp_url, "dead.callbacks") == 0


async def test_a_wrong_method_is_405_and_names_the_right_one(ingress: RunningIngress) -> None:
    async with ingress.http.get(f"{ingress.url}/phaxio-callback") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert (await response.json())["error"] == "method_not_allowed"
    async with ingress.http.post(f"{ingress.url}/livez") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


class TestAProviderWithoutSecrets:
    @pytest.fixture
    def settings(self) -> dict[str, str]:
        return {"ASTERISK_INBOUND_SECRET": "sekret"}

    async def test_is_off_and_answered_404(self, ingress: RunningIngress) -> None:
        for target in ("/phaxio-callback", "/phaxio-inbound", "/telnyx-webhook", "/sinch-inbound"):
            status, answer = await Outgoing(target, JSON, b"{}").send(ingress.http, ingress.url)
            assert (status, answer["error"]) == (404, "not_found"), target


class TestSizes:
    @pytest.fixture
    def settings(self) -> dict[str, str]:
        return {"PHAXIO_API_SECRET": "s", "MAX_BODY_BYTES": "10000", "MAX_ADMITTED_BYTES": "30000"}

    @pytest.mark.parametrize("size", [9_999, 10_000, 10_001, 20_000, 1_000_000])
    @pytest.mark.parametrize("chunked", [False, True])
    async def test_a_body_is_taken_whole_or_refused_as_too_large(
        self, ingress: RunningIngress, size: int, chunked: bool
    ) -> None:
        body = json.dumps({"id": 1, "status": "success", "pad": ""}).encode()
        body = body.replace(b'"pad": ""', b'"pad": "' + b"x" * (size - len(body)) + b'"')
        assert len(body) == size

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, size, 777):
                yield body[start : start + 777]

        headers = {**JSON, "X-Phaxio-Signature": sign_body("s", body)}
        async with ingress.http.post(
            f"{ingress.url}/phaxio-inbound", data=chunks() if chunked else body, headers=headers
        ) as response:
            if size <= 10_000:
                assert response.status == 200
            else:
                assert (response.status, (await response.json())["error"]) == (413, "too_large")

    async def test_past_the_bytes_admitted_a_callback_gets_503_at_once_and_room_comes_back(
        self, ingress: RunningIngress
    ) -> None:
        writers = []
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", int(ingress.url.rpartition(":")[2]))
            writer.write(b"POST /phaxio-inbound HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n{")
            await writer.drain()
            writers.append(writer)
        body = b'{"id": 1, "status": "success"}'
        outgoing = callbacks.phaxio_json(body, "s")

        async def refused() -> bool:
            status, answer = await outgoing.send(ingress.http, ingress.url)
            return status == 503 and answer["error"] == "unavailable"

        await until(refused, "no room")
        async with ingress.http.post(ingress.url + outgoing.target, data=body, headers=outgoing.headers) as response:
            assert int(response.headers["Retry-After"]) > 0
        for writer in writers:
            writer.close()

        async def accepted() -> bool:
            return (await outgoing.send(ingress.http, ingress.url))[0] == 200

        await until(accepted, "room again")


async def test_a_broken_chunk_is_malformed(ingress: RunningIngress) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(ingress.url.rpartition(":")[2]))
    writer.write(b"POST /telnyx-webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnothing\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert b" 400 " in answer.splitlines()[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "malformed"
    assert b"zz" not in answer


async def test_a_signed_callback_that_cannot_be_read_is_quarantined_whole(
    ingress: RunningIngress, amqp_url: str
) -> None:
    body = b'{"fax": {"status": "success", "note": "no id"}}'
    outgoing = callbacks.phaxio_json(body, path="/phaxio-inbound?job_id=7")
    outgoing = having(outgoing, "Authorization", "Basic c2VjcmV0OnNlY3JldA==")
    status, answer = await outgoing.send(ingress.http, ingress.url)
    assert (status, answer["status"]) == (200, "quarantined")
    (message,) = await take_all(amqp_url, "dead.callbacks")
    kept = json.loads(message.body)
    assert kept["callback_id"] == answer["callback_id"]
    assert kept["provider"] == "phaxio"
    assert kept["target"] == "/phaxio-inbound?job_id=7"
    assert kept["verified_by"] == "phaxio-sha256"
    assert kept["reason"]
    assert (ingress.media / kept["body"]["key"]).read_bytes() == body
    names = {name.lower() for name in kept["headers"]}
    assert "content-type" in names
    assert not names & {"authorization", "x-phaxio-signature"}


async def test_every_genuine_sample_is_accepted_and_its_document_kept_by_its_digest(
    ingress: RunningIngress, amqp_url: str
) -> None:
    meta = json.loads((SAMPLES / "sinch/incoming_fax.multipart.meta.json").read_text())
    outgoing = Outgoing(
        "/sinch-inbound",
        {"Content-Type": meta["content_type"], "Authorization": meta["basic_auth"]["header"]},
        (SAMPLES / "sinch/incoming_fax.multipart.bin").read_bytes(),
    )
    status, answer = await outgoing.send(ingress.http, ingress.url)
    assert (status, answer["status"]) == (200, "accepted")
    (message,) = await take_all(amqp_url, WORK_EVENTS)
    event = json.loads(message.body)
    assert message.routing_key == "sinch.fax.received"
    assert event["media"]["sha256"] == meta["pdf_sha256"]
    assert event["media"]["bytes"] == meta["pdf_len"] == len((ingress.media / event["media"]["key"]).read_bytes())
    assert meta["pdf_sha256"] not in event["fields"]


def _request_of(target: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: hooks.example.com", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "prefix",
    ["http://fax.example.com", "http://fax.example.com:8080", "HTTPS://user@hooks.example.com", "http://127.0.0.1"],
)
@pytest.mark.parametrize("make", [lambda: GOOD, lambda: callbacks.telnyx("e", "f")], ids=["phaxio", "telnyx"])
async def test_a_target_in_absolute_form_is_the_path_that_it_names(
    ingress: RunningIngress, prefix: str, make: Callable[[], Outgoing]
) -> None:
    outgoing = make()  # Telnyx's signature is good for five minutes
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(ingress.url).port)
    writer.write(_request_of(prefix + outgoing.target, {**outgoing.headers, "Connection": "close"}, outgoing.body))
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
    assert b'"status":"accepted"' in answer


@pytest.mark.parametrize(
    "target", ["http://fax.example.com/nowhere", "http://fax.example.com", "ftp://x/phaxio-callback"]
)
async def test_a_target_in_absolute_form_that_names_no_path_of_ours_is_not_found(
    ingress: RunningIngress, target: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(ingress.url).port)
    writer.write(_request_of(target, {**GOOD.headers, "Connection": "close"}, GOOD.body))
    answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), answer
