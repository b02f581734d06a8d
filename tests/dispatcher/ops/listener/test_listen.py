"""`faxhook listen` takes what an application would take, refuses what it would refuse, and never loses its temper."""

import asyncio
import base64
import json
import signal
import socket
import sys
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import msgspec
import pytest
from yarl import URL

from dispatcher.formats import FORMATS, Facts
from dispatcher.ops.listener.listen import Listened, Listener, Started, Wrong, line_of, listening
from dispatcher.ops.listener.readers import READERS
from shared.domain import Direction, Event, EventType, Failure, Provider
from shared.ids import uuid7
from shared.signatures import basic_header, sign_body, sign_standard, sign_telnyx

TOKEN = "listen-token"
SEED = base64.b64encode(bytes(range(32))).decode()
PDF = b"%PDF-1.4 a page"


def event(event_type=EventType.DELIVERED, direction=Direction.SENT, **fields):
    return Event(
        id="telnyx:1",
        provider=Provider.TELNYX,
        type=event_type,
        phase=event_type.phase,
        direction=direction,
        fax_id="fax-1",
        received_at=datetime.now(UTC),
        from_number="+15550100101",
        to_number="+15550100102",
        pages=2,
        **fields,
    )


def rendered(url, told=None, document=None, delivery_id=None, attempt=1, format_name="phaxio-v2.1"):
    facts = Facts(url=url, tokens=(TOKEN,), delivery_id=delivery_id or uuid7(), attempt=attempt, now=datetime.now(UTC))
    webhook = FORMATS[format_name].render(told or event(), document, facts)
    headers = {"X-Faxhook-Delivery-Id": str(facts.delivery_id), "X-Faxhook-Attempt": str(attempt)}
    return {"data": webhook.body, "headers": {**webhook.headers, **headers}}


class Application:
    """A listener, what it reported, and a client."""

    def __init__(self, session, url, reported):
        self.session, self.url, self.reported = session, url, reported

    async def post(self, request, url=None):
        async with self.session.post(URL(url or self.url, encoded=True), **request) as response:
            return response.status


@asynccontextmanager
async def application(format_name="phaxio-v2.1", tokens=(TOKEN,), **options):
    reported: list[Listened] = []
    listener = Listener(format_name, tokens, reported.append, **options)
    async with listening(listener, "127.0.0.1", 0) as base, aiohttp.ClientSession() as session:
        yield Application(session, f"{base}hook?account=1&tag=a%2Bb", reported)


async def test_a_webhook_as_the_dispatcher_signs_it_is_verified_and_answered_200():
    async with application() as app:
        assert await app.post(rendered(app.url)) == 200
    (heard,) = app.reported
    assert heard.verified
    assert (heard.fax_id, heard.what, heard.pages, heard.attempt) == ("fax-1", "delivered", 2, 1)
    line = line_of(heard)
    assert line.startswith(
        "verified ✓    fax fax-1 delivered, 2 pages, +15550100101 → +15550100102, attempt 1, delivery …"
    )


async def test_a_received_fax_shows_the_size_of_its_file():
    async with application() as app:
        told = event(EventType.RECEIVED, Direction.RECEIVED)
        assert await app.post(rendered(app.url, told, PDF)) == 200
    assert (app.reported[0].what, app.reported[0].file_bytes) == ("received", len(PDF))


@pytest.mark.parametrize("part", [b"fax-1", b"15550100102", b"a page"])
async def test_one_changed_byte_is_not_verified_and_answered_401(part):
    async with application() as app:
        request = rendered(app.url, event(EventType.RECEIVED, Direction.RECEIVED), PDF)
        changed = bytes([part[0] ^ 1]) + part[1:]
        assert await app.post({**request, "data": request["data"].replace(part, changed)}) == 401
        assert await app.post(request) == 200
    refused, taken = app.reported
    assert not refused.verified
    assert "NOT VERIFIED" in line_of(refused)
    assert taken.verified


async def test_another_url_or_another_token_is_not_verified():
    async with application(tokens=("another",)) as app:
        assert await app.post(rendered(app.url)) == 401
    async with application() as app:
        assert await app.post(rendered(app.url), app.url.replace("account=1", "account=2")) == 401
        request = rendered(app.url)
        del request["headers"]["X-Phaxio-Signature"]
        assert await app.post(request) == 401


async def test_behind_a_proxy_the_endpoint_s_url_counts_and_during_a_rotation_either_token():
    public = "https://user:pass@app.example.com/hook?x=1"
    async with application(url=public, tokens=("new", TOKEN)) as app:
        assert await app.post(rendered("https://app.example.com/hook?x=1")) == 200


async def test_fail_counts_for_each_delivery():
    async with application(wrong=Wrong(), fail=2) as app:
        first, second = uuid7(), uuid7()
        requests = [rendered(app.url, delivery_id=each) for each in (first, second, first, second, first, second)]
        assert [await app.post(request) for request in requests] == [500, 500, 500, 500, 200, 200]
    assert all(heard.verified for heard in app.reported)
    assert line_of(app.reported[0]).endswith("answered 500")


async def test_hang_waits_before_the_answer():
    async with application(wrong=Wrong(hang_seconds=0.3)) as app:
        began = time.monotonic()
        assert await app.post(rendered(app.url)) == 200
    assert time.monotonic() - began >= 0.3
    assert line_of(app.reported[0]).endswith("hangs 0.3 s")


async def test_a_status_is_answered_to_all_or_to_the_first_attempts_only():
    async with application(wrong=Wrong(status=503, retry_after="120")) as app:
        async with app.session.post(URL(app.url, encoded=True), **rendered(app.url)) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "120")
        assert await app.post(rendered(app.url)) == 503
    async with application(wrong=Wrong(status=302), fail=1) as app:
        request = rendered(app.url)
        async with app.session.post(URL(app.url, encoded=True), allow_redirects=False, **request) as response:
            assert (response.status, response.headers["Location"]) == (302, "/elsewhere")
        assert await app.post(request) == 200


async def test_close_gives_no_answer_at_all():
    async with application(wrong=Wrong(closes=True), fail=1) as app:
        request = rendered(app.url)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await app.post(request)
        assert await app.post(request) == 200
    assert app.reported[0].answered == 0
    assert line_of(app.reported[0]).endswith("closes without an answer")


async def test_drip_begins_to_answer_at_once_and_never_ends():
    async with (
        application(wrong=Wrong(drips=True)) as app,
        app.session.post(URL(app.url, encoded=True), **rendered(app.url)) as response,
    ):
        assert response.status == 200
        assert await response.content.readexactly(2) == b".."
        assert not response.content.at_eof()
    assert line_of(app.reported[0]).endswith("drips its answer")


async def test_what_is_not_verified_never_goes_wrong_on_purpose():
    async with application(wrong=Wrong(closes=True), tokens=("another",)) as app:
        assert await app.post(rendered(app.url)) == 401


@pytest.mark.parametrize(
    ("told", "what"),
    [
        (event(EventType.FAILED, failure=Failure(message="Busy")), "failed (Busy)"),
        (event(EventType.PARTIALLY_DELIVERED), "partially delivered"),
        (event(EventType.RECEIVE_FAILED, Direction.RECEIVED), "not received"),
        (event(EventType.PAGE_SENT, fields={"page": 2}), "page 2 is being sent"),
        (event(EventType.RETRY_SCHEDULED), "will be tried again"),
    ],
)
async def test_what_happened_is_said_in_plain_words(told, what):
    async with application() as app:
        assert await app.post(rendered(app.url, told)) == 200
    assert app.reported[0].what == what


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"data": b"", "headers": {}}, 400),
        ({"data": b"\xff\xfe\0", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 401),
        ({"data": b"--x garbage", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"data": b"fax=[[[", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 401),
        ({"data": b"fax=7", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 401),
        ({"data": b"fax=%1b%5b2J", "headers": {"Content-Type": "a/b", "X-Faxhook-Attempt": "\u00b2"}}, 400),
    ],
)
async def test_odd_requests_are_answered_and_said_in_one_line_without_control_characters(request_, status):
    async with application() as app:
        assert await app.post(request_) == status
        async with app.session.get(app.url) as response:
            assert response.status == 405
    assert all(line_of(heard).isprintable() for heard in app.reported)


def test_every_format_that_can_be_sent_can_be_verified():
    assert set(FORMATS) <= set(READERS)


# ---- The other formats: signed here as their documents say --------------------------------------------------------


async def test_telnyx_v2_is_verified_with_the_public_key_of_the_endpoint_s_seed():
    payload = {"fax_id": "f", "direction": "outbound", "page_count": 3, "from": "+1", "failure_reason": "user_busy"}
    body = json.dumps({"data": {"event_type": "fax.failed", "payload": payload}}).encode()
    now = int(time.time())
    headers = {"telnyx-timestamp": str(now), "telnyx-signature-ed25519": sign_telnyx(bytes(range(32)), now, body)}
    async with application("telnyx-v2", (SEED,)) as app:
        assert await app.post({"data": body, "headers": headers}) == 200
        assert await app.post({"data": body + b" ", "headers": headers}) == 401
    assert (app.reported[0].what, app.reported[0].pages) == ("failed (user_busy)", 3)


async def test_standard_v1_is_verified_over_id_time_and_body():
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    body = json.dumps({"type": "fax.received", "data": {"fax_id": "f", "pages": 1}}).encode()
    now = int(time.time())
    headers = {
        "webhook-id": "m",
        "webhook-timestamp": str(now),
        "webhook-signature": sign_standard(secret, "m", now, body),
    }
    async with application("standard-v1", (secret,)) as app:
        assert await app.post({"data": body, "headers": headers}) == 200
        assert await app.post({"data": body, "headers": {**headers, "webhook-id": "n"}}) == 401
    assert app.reported[0].what == "received"


async def test_sinch_v3_wants_the_user_of_the_url_and_the_token_s_signature():
    body = json.dumps({"event": "INCOMING_FAX", "fax": {"id": "f", "status": "COMPLETED"}, "file": "AAAA"}).encode()
    headers = {"Authorization": basic_header("u", "p:w"), "X-Sinch-Signature": sign_body(TOKEN, body)}
    async with application("sinch-v3", url="https://u:p%3Aw@app.example.com/") as app:
        assert await app.post({"data": body, "headers": headers}) == 200
        assert await app.post({"data": body, "headers": {**headers, "Authorization": basic_header("u", "x")}}) == 401
        assert await app.post({"data": body, "headers": {**headers, "X-Sinch-Signature": "0"}}) == 401
    assert (app.reported[0].what, app.reported[0].file_bytes) == ("received", 3)


async def test_a_token_that_the_format_cannot_use_is_said_to_be_no_good():
    async with application("telnyx-v2", ("no seed",)) as app:
        assert await app.post({"data": b"{}", "headers": {}}) == 401
    assert "the token is no good" in app.reported[0].refused


# ---- The command ----------------------------------------------------------------------------------------------------


async def start(*arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "dispatcher.ops", "listen", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_prints_a_json_line_for_each_webhook_and_ends_well(how):
    process = await start("--token", TOKEN, "--json")
    url = msgspec.json.decode(await process.stdout.readline(), type=Started).listening
    async with aiohttp.ClientSession() as session:
        async with session.post(url, **rendered(url)) as response:
            assert response.status == 200
        heard = msgspec.json.decode(await process.stdout.readline(), type=Listened)
        host, port = URL(url).host, URL(url).port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GARBAGE\r\n\r\n")
        assert b"400" in await reader.readline()
        writer.close()
    assert heard.verified
    process.send_signal(how)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


async def test_it_ends_quietly_when_no_one_reads_its_lines_any_more():
    process = await start("--token", TOKEN)
    line = await process.stdout.readline()
    process._transport.get_pipe_transport(1).close()
    async with aiohttp.ClientSession() as session, session.get(line.split()[-3].decode()) as response:
        assert response.status == 405
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


async def test_a_port_that_is_taken_is_a_sentence_and_exit_69():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start("--token", TOKEN, "--port", str(taken.getsockname()[1]))
        _, errors = await process.communicate()
    assert process.returncode == 69
    assert errors.startswith(b"faxhook: cannot listen on 127.0.0.1 port")
    assert errors.count(b"\n") == 1


async def test_an_unknown_format_is_a_sentence_with_those_there_are_and_exit_65():
    process = await start("--token", TOKEN, "--format", "fax-v0")
    _, errors = await process.communicate()
    assert process.returncode == 65
    assert b"phaxio-v2.1" in errors


async def test_options_that_say_nothing_beside_each_other_are_a_sentence_and_exit_65():
    process = await start("--token", TOKEN, "--close", "--status", "500")
    _, errors = await process.communicate()
    assert process.returncode == 65
    assert errors.startswith(b"faxhook: --close and --status contradict each other")


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("--fail", "1"), 500),
        (("--fail", "1", "--status", "404"), 404),
        (("--status", "418"), 418),
        (("--hang", "0.01"), 200),
        (("--drip",), 200),
        (("--close",), None),
    ],
)
async def test_the_command_goes_wrong_as_it_is_told(options, status):
    process = await start("--token", TOKEN, "--json", *options)
    url = msgspec.json.decode(await process.stdout.readline(), type=Started).listening
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(url, **rendered(url)) as response:
                assert response.status == status
        except aiohttp.ServerDisconnectedError:
            assert status is None
    heard = msgspec.json.decode(await process.stdout.readline(), type=Listened)
    assert heard.answered == (status or 0)
    process.send_signal(signal.SIGTERM)
    await process.communicate()
