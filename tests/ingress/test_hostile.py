"""Hostile and outdated callbacks leave nothing behind and cost no more than their own reading."""

import asyncio
import contextlib
import dataclasses
import gzip
import json
import time

import callbacks
import pytest
from callbacks import SAMPLES, TELNYX_SEED, Outgoing
from ingresses import RunningIngress
from stores import count, take_all

from shared.broker import WORK_EVENTS
from shared.domain import decode_event
from shared.signatures import basic_header, sign_body, sign_phaxio, sign_telnyx

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def settings(settings: dict[str, str]) -> dict[str, str]:
    return {**settings, "SINCH_INBOUND_HMAC_SECRET": "sinch-hmac-secret"}


def genuine(settings: dict[str, str]) -> dict[str, Outgoing]:
    """Return one callback of each provider and scheme, rightly signed."""
    sinch = (SAMPLES / "sinch/incoming_fax.json").read_bytes()
    basic = basic_header(settings["SINCH_INBOUND_BASIC_USER"], settings["SINCH_INBOUND_BASIC_PASS"])
    asterisk = json.dumps(json.loads((SAMPLES / "asterisk/inbound_bodies.json").read_text())[1]["body"]).encode()
    return {
        "phaxio-sha1": callbacks.phaxio(1),
        "phaxio-sha256": callbacks.phaxio_json(b'{"id": 2, "status": "success"}', settings["PHAXIO_API_SECRET"]),
        "telnyx": callbacks.telnyx("e", "f"),
        "sinch": Outgoing(
            "/sinch-inbound",
            {**JSON, "Authorization": basic, "X-Sinch-Signature": sign_body("sinch-hmac-secret", sinch)},
            sinch,
        ),
        "asterisk": Outgoing(
            "/_internal/asterisk/inbound", {**JSON, "X-Internal-Secret": settings["ASTERISK_INBOUND_SECRET"]}, asterisk
        ),
    }


async def test_a_genuine_callback_passes_and_a_forged_one_of_any_provider_leaves_nothing(
    ingress: RunningIngress, settings: dict[str, str], amqp_url: str
) -> None:
    for name, outgoing in genuine(settings).items():
        headers = {key: value for key, value in outgoing.headers.items() if key == "Content-Type"}
        forged = [headers, *({**outgoing.headers, key: "0" * len(value)} for key, value in outgoing.headers.items())]
        for each in forged:
            if each.get("Content-Type", "").startswith("0"):
                continue
            status, _ = await dataclasses.replace(outgoing, headers=each).send(ingress.http, ingress.url)
            assert status == 401, (name, each)
    assert await count(amqp_url, WORK_EVENTS) == 0
    for name, outgoing in genuine(settings).items():
        status, answer = await outgoing.send(ingress.http, ingress.url)
        assert (status, answer["status"]) == (200, "accepted"), name
    assert await count(amqp_url, WORK_EVENTS) == 5


async def test_another_body_or_url_than_the_signed_one_is_refused_wherever_a_signature_covers_it(
    ingress: RunningIngress, settings: dict[str, str], amqp_url: str
) -> None:
    for name, outgoing in genuine(settings).items():
        if name == "asterisk":  # a shared secret covers nothing but itself
            continue
        changed = dataclasses.replace(outgoing, body=outgoing.body.replace(b"su", b"SU", 1).replace(b"to", b"TO", 1))
        assert changed.body != outgoing.body
        assert (await changed.send(ingress.http, ingress.url))[0] in {400, 401}, name
    elsewhere = dataclasses.replace(genuine(settings)["phaxio-sha1"], target="/phaxio-inbound")
    assert (await elsewhere.send(ingress.http, ingress.url))[0] == 401
    assert await count(amqp_url, WORK_EVENTS) == 0


async def test_what_telnyx_signed_a_while_ago_is_refused_and_elsewhere_a_replay_is_the_same_event(
    ingress: RunningIngress, settings: dict[str, str], amqp_url: str
) -> None:
    telnyx = genuine(settings)["telnyx"]
    then = int(time.time()) - 301
    stale = {"telnyx-timestamp": str(then), "telnyx-signature-ed25519": sign_telnyx(TELNYX_SEED, then, telnyx.body)}
    status, answer = await dataclasses.replace(telnyx, headers={**JSON, **stale}).send(ingress.http, ingress.url)
    assert (status, answer["error"]) == (401, "timestamp_expired")
    moved = {**telnyx.headers, "telnyx-timestamp": str(int(telnyx.headers["telnyx-timestamp"]) + 1)}
    status, answer = await dataclasses.replace(telnyx, headers=moved).send(ingress.http, ingress.url)
    assert (status, answer["error"]) == (401, "signature_invalid")
    for outgoing in genuine(settings).values():
        answers = [await outgoing.send(ingress.http, ingress.url) for _ in range(2)]
        assert answers[0] == answers[1]
    ids = [decode_event(message.body).id for message in await take_all(amqp_url, WORK_EVENTS)]
    assert (len(ids), len(set(ids))) == (10, 5)


async def test_the_host_header_and_a_forwarded_one_change_nothing(
    ingress: RunningIngress, settings: dict[str, str]
) -> None:
    lies = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Original-URL": "/livez"}
    honest = genuine(settings)["phaxio-sha1"]
    told = dataclasses.replace(honest, headers={**honest.headers, "Host": "evil.example", **lies})
    assert (await told.send(ingress.http, ingress.url))[0] == 200
    fields = [("id", "9"), ("status", "success")]
    signature = sign_phaxio(callbacks.PHAXIO_TOKEN, "https://evil.example/phaxio-callback", fields)
    forged = Outgoing(
        "/phaxio-callback",
        {"Host": "evil.example", "Content-Type": "application/x-www-form-urlencoded", "X-Phaxio-Signature": signature},
        b"id=9&status=success",
    )
    assert (await forged.send(ingress.http, ingress.url))[0] == 401


async def test_a_body_that_would_unpack_to_a_gigabyte_stays_packed(
    ingress: RunningIngress, settings: dict[str, str]
) -> None:
    bomb = gzip.compress(b"[" * (64 * 1024 * 1024))
    outgoing = callbacks.phaxio_json(bomb, settings["PHAXIO_API_SECRET"])
    packed = dataclasses.replace(outgoing, headers={**outgoing.headers, "Content-Encoding": "gzip"})
    started = time.monotonic()
    status, answer = await packed.send(ingress.http, ingress.url)
    assert (status, answer["status"]) == (200, "quarantined")
    assert time.monotonic() - started < 2.0
    (kept,) = [path for path in ingress.media.rglob("*") if path.is_file()]
    assert kept.read_bytes() == bomb


@pytest.mark.alone  # it asserts seconds
@pytest.mark.parametrize(
    "body",
    [
        b"{" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"id":1,"status":"success","x":[' + b"[]," * 300_000 + b"1]}",
        b'{"id":' + b"9" * 1_000_000 + b"}",
        b"&" * 1_000_000,
        b"a=1&" * 250_000,
        b"%" * 1_000_000,
        b"--b\r\n" * 200_000,
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 20_000,
        b"--b\r\nX: " + b"x" * 1_000_000,
        b"${" * 500_000,
    ],
    ids=lambda body: body[:12].decode(),
)
async def test_a_megabyte_made_to_be_slow_is_answered_in_time_and_holds_no_one_up(
    ingress: RunningIngress, settings: dict[str, str], body: bytes
) -> None:
    secret = {"X-Internal-Secret": settings["ASTERISK_INBOUND_SECRET"]}
    kinds = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b")
    slow = [
        Outgoing("/_internal/asterisk/inbound", {**secret, "Content-Type": kinds[0]}, body),
        *(
            Outgoing("/phaxio-callback", {"X-Phaxio-Signature": scheme, "Content-Type": kind}, body)
            for kind in kinds
            for scheme in ("0" * 40, sign_body(settings["PHAXIO_API_SECRET"], body))
        ),
    ]

    async def timed(outgoing: Outgoing) -> tuple[int, float]:
        started = time.monotonic()
        status, _ = await outgoing.send(ingress.http, ingress.url)
        return status, time.monotonic() - started

    hostile = asyncio.gather(*map(timed, slow))
    others = await asyncio.gather(*(timed(callbacks.phaxio(number)) for number in range(5)))
    answers = await hostile
    assert {status for status, _ in others} == {200}
    assert {status for status, _ in answers} <= {200, 400, 401, 415}
    assert max(seconds for _, seconds in [*answers, *others]) < 2.0


@pytest.mark.parametrize("size", [9_000, 60_000])
async def test_a_genuine_callback_with_a_header_that_a_mesh_added_is_taken(
    ingress: RunningIngress, settings: dict[str, str], size: int
) -> None:
    for name, outgoing in genuine(settings).items():
        mesh = {"X-Forwarded-Client-Cert": "x" * size, **{f"X-Hop-{number}": "y" for number in range(150)}}
        told = dataclasses.replace(outgoing, headers={**outgoing.headers, **mesh})
        status, answer = await told.send(ingress.http, ingress.url)
        assert (status, answer["status"]) == (200, "accepted"), name


@pytest.mark.parametrize("before", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "after another"])
@pytest.mark.parametrize("piece", [b"X-A: b\r\n" * 1_000, b"x" * 65_536], ids=["many", "one"])
async def test_a_head_without_end_is_refused_at_its_bound(ingress: RunningIngress, before: bytes, piece: bytes) -> None:
    reader, writer = await asyncio.open_connection(*ingress.url.removeprefix("http://").split(":"))
    writer.write(before + b"POST /phaxio-callback HTTP/1.1\r\nHost: x\r\nX-B: ")
    answer = b""
    async with asyncio.timeout(10):
        for _ in range(64):
            if b" 400 " in answer:
                break
            writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.05):
                    answer += await reader.read(65_536)
    writer.close()
    assert b" 400 " in answer
    assert b"malformed" in answer
