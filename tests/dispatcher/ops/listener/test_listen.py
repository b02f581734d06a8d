"""`faxhook listen` takes what an application would take, refuses what it would refuse, and never loses its temper."""

import base64
import json
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
from listened_webhooks import TOKEN, event, rendered
from yarl import URL

from dispatcher.formats import FORMATS
from dispatcher.ops.listener.listen import Listened, Listener, Wrong, line_of, listening
from dispatcher.ops.listener.readers import READERS
from shared.domain import Direction, EventType, Failure
from shared.ids import uuid7
from shared.signatures import basic_header, sign_body, sign_standard, sign_telnyx

SEED = base64.b64encode(bytes(range(32))).decode()
PDF = b"%PDF-1.4 a page"


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
