"""The request of an attempt is shown as it was sent, byte for byte, whatever its endpoint is set to by now."""

import base64
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import pytest
from apis import OPERATOR, READER, TOKENS, Api, faxhook
from browser_sessions import BrowserSession
from dispatchers import DispatcherHarness, an_event
from documents import PDF, document_url, received
from mailserver import relaying
from receiver import Receiver

from dispatcher.channels.rebuild import MASK
from dispatcher.channels.sent import SIGNATURES
from dispatcher.formats import FORMATS
from dispatcher.formats.tokens import new_token
from shared.domain import EventType, Failure
from shared.media import MediaStore
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

EVENT = an_event(
    1,
    EventType.FAILED,
    pages=3,
    to_number="+15550100102",
    failure=Failure(type="lineError", code="17", message="Busy — 💥"),
    fields={"tags": {"a": "1"}},
)


@pytest.fixture
def backoff() -> str:
    return "1s"


def body_of(request: dict[str, Any]) -> bytes:
    if request["body"] is not None:
        return str(request["body"]).encode()
    return base64.b64decode(request["body_base64"])


def check_same(request: dict[str, Any], received: Any) -> None:
    """Compare a request as it is shown with what the application received."""
    shown, came = request["headers"], list(received.headers.items())
    assert [name for name, _ in shown] == [name for name, _ in came]
    for (name, value), (_, sent) in zip(shown, came, strict=True):
        assert value == {"Authorization": f"Basic {MASK}"}.get(name, MASK if name in SIGNATURES else sent), name
    assert body_of(request) == received.body
    assert request["size_bytes"] == len(received.body)


async def test_a_request_in_every_format_is_shown_as_it_was_sent_after_every_field_of_the_endpoint_was_changed(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    document = b"%PDF-1.4\r\n" + bytes(range(256)) * 40
    media = await MediaStore(harness.environment["MEDIA_URL"]).put(document, "application/pdf")
    url = harness.receiver.url.replace("http://", "http://erp:geheim@")
    for name in FORMATS:
        await harness.endpoint(format=name, tokens=(new_token(name),), url=url)
        await harness.endpoint(format=name, tokens=())
    both = EVENT, an_event(2, EventType.RECEIVED, media=media, pages=1, from_number="+15550100101")
    await harness.publish(*both)
    async with dispatching(**TOKENS), aiohttp.ClientSession() as http:
        await harness.settled(4 * len(FORMATS))
        await harness.pool.execute(
            "UPDATE endpoints SET url = 'https://elsewhere.example/', format = 'standard-v1', sealed_tokens = '{}'"
        )
        api = Api(http, f"http://127.0.0.1:{unused_tcp_port}")
        for webhook in harness.receiver.received:
            path = f"/v1/deliveries/{webhook.delivery_id}/attempts/{webhook.attempt}"
            status, made = await api.ask("GET", path)
            assert (status, made["why_no_request"]) == (200, None)
            assert (made["request"]["method"], made["request"]["url"]) == ("POST", harness.receiver.url)
            check_same(made["request"], webhook)
            assert "geheim" not in str(made)
            _, to_reader = await api.ask("GET", path, headers=READER)
            carried = made["request"]["document"]
            assert (to_reader["request"]["body"] is None) == (carried is not None or made["request"]["body"] is None)
            assert to_reader["request"]["body_base64"] is None
            assert to_reader["request"]["document"] == carried
        with_document = [made for made in harness.receiver.received if document in made.body]
        assert len(with_document) == 6, "the forms of received faxes"
        some = with_document[0]
        _, made = await api.ask("GET", f"/v1/deliveries/{some.delivery_id}/attempts/1", headers=OPERATOR)
        *_, file = made["request"]["form"]
        assert (file["content_type"], file["size_bytes"], "value" in file) == ("application/pdf", len(document), False)
        assert made["request"]["document"]["key"] == media.key
        _, audit = await api.ask("GET", "/v1/audit?what=request.read")
        assert {each["who"] for each in audit["items"]} == {"operator"}, "a look at a document is in the audit"
        for number, wanted in (("2", 404), ("0", 404), ("x", 404), ("99999999999", 404)):
            assert (await api.ask("GET", f"/v1/deliveries/{some.delivery_id}/attempts/{number}"))[0] == wanted
        assert await harness.pool.fetchval("SELECT max(length(sent)) FROM attempts") < 100, "per attempt"


async def test_a_document_that_was_fetched_is_shown_and_each_attempt_and_the_failover_have_their_own_request(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver, unused_tcp_port: int
) -> None:
    await harness.endpoint(url="http://127.0.0.1:1/down", failover_url=harness.receiver.url)
    harness.receiver.answer = lambda _received: 500 if len(harness.receiver.received) == 1 else 200
    await harness.publish(received(document_url(storage)))
    async with dispatching(**TOKENS), aiohttp.ClientSession() as http:
        await harness.settled(1)
        api = Api(http, f"http://127.0.0.1:{unused_tcp_port}")
        for webhook in await harness.receiver.got(2):
            _, made = await api.ask("GET", f"/v1/deliveries/{webhook.delivery_id}/attempts/{webhook.attempt}")
            assert made["request"]["url"] == harness.receiver.url
            check_same(made["request"], webhook)
            assert PDF in body_of(made["request"])


async def test_a_mail_is_shown_as_the_relay_got_it_though_its_sender_was_changed(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    media = await MediaStore(harness.environment["MEDIA_URL"]).put(PDF, "application/pdf")
    await harness.endpoint(url="mailto:in@example.com")
    async with relaying() as relay:
        await harness.publish(EVENT, an_event(2, EventType.RECEIVED, media=media, pages=1))
        async with dispatching(SMTP_URL=f"smtp://127.0.0.1:{relay.port}", MAIL_FROM="Faxe Köln <fax@example.net>"):
            await harness.settled(2)
    async with dispatching(**TOKENS), aiohttp.ClientSession() as http:
        api = Api(http, f"http://127.0.0.1:{unused_tcp_port}")
        for mail in relay.mails:
            delivery_id = mail.message["X-Faxhook-Delivery-Id"]
            _, made = await api.ask("GET", f"/v1/deliveries/{delivery_id}/attempts/1")
            request = made["request"]
            assert (request["method"], request["url"]) == ("MAIL", "mailto:in@example.com")
            assert dict(request["headers"])["Message-ID"] == mail.message["Message-ID"]
            assert [name for name, _ in request["headers"]] == list(mail.message.keys())
            assert body_of(request) == mail.content.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE attempts SET sent = NULL", "or not at all"),
        ("UPDATE attempts SET sent = '[\"fax\",1]'", "in another way"),
        ("UPDATE attempts SET sent = replace(sent, '[\"webhook\",1,', '[\"webhook\",999,')", "another version"),
        ("UPDATE attempts SET sent = replace(sent, 'sinch-v3', 'sinch-v9')", "cannot write it"),
        (
            "UPDATE events SET body = convert_to(replace(convert_from(body, 'UTF8'), 'Busy', 'Bush'), 'UTF8')",
            "not what was sent",
        ),
        ("UPDATE attempts SET started_at = started_at", None),
    ],
)
async def test_what_cannot_be_shown_as_it_was_sent_is_not_shown_and_a_sentence_says_why(
    harness: DispatcherHarness, dispatching: Dispatching, change: str, why: str | None
) -> None:
    await harness.endpoint(format="sinch-v3", tokens=())
    await harness.publish(EVENT)
    async with dispatching():
        (delivery,) = await harness.settled(1)
    await harness.pool.execute(change)
    environment = {**harness.environment, "COLUMNS": "160"}
    code, said, _ = await faxhook(environment, "deliveries", "show", str(delivery["id"]), "--attempt", "1")
    assert code == 0
    assert (why or "X-Faxhook-Attempt: 1") in said
    assert ("POST http" in said) == (why is None)


async def test_command_and_page_show_fields_and_lead_to_the_document(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    media = await MediaStore(harness.environment["MEDIA_URL"]).put(PDF, "application/pdf")
    await harness.endpoint()
    await harness.publish(an_event(2, EventType.RECEIVED, media=media, pages=1))
    jar = aiohttp.CookieJar(unsafe=True)
    async with dispatching(**TOKENS), aiohttp.ClientSession(cookie_jar=jar) as http:
        (delivery,) = await harness.settled(1)
        session = BrowserSession(http, f"http://127.0.0.1:{unused_tcp_port}")
        await session.log_in("ops-token", "Ada")
        page = (await session.get(f"/deliveries/{delivery['id']}/attempts/1")).text
        link = f"/documents/{media.key}?event_id=phaxio%3A2-fax.received"
        assert f'href="{link}"' in page
        async with http.get(session.url + link) as answer:
            assert (answer.status, await answer.read()) == (200, PDF)
        http.cookie_jar.clear()
        await session.log_in("read-token")
        page = (await session.get(f"/deliveries/{delivery['id']}/attempts/1")).text
        assert (media.key in page.replace("<wbr>", ""), "/documents/" in page) == (True, False)
    environment = {**harness.environment, "COLUMNS": "160"}
    code, said, _ = await faxhook(environment, "deliveries", "show", str(delivery["id"]))
    assert (code, "attempt 1 at" in said, "--attempt 1 shows" in said) == (0, True, True)
    code, said, _ = await faxhook(environment, "deliveries", "show", str(delivery["id"]), "--attempt", "1")
    assert code == 0
    assert f"file = 2.pdf (application/pdf, {len(PDF)} bytes)" in said
    assert "event_type = fax_completed" in said
    assert f"`faxhook document {media.key}` saves it" in said
    code, _, complained = await faxhook(environment, "deliveries", "show", "nonsense")
    assert (code, "there is no delivery `nonsense`" in complained) == (65, True)
