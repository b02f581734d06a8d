"""Mail, from the event to the relay: what arrives, what is counted, and what happens while the relay is away."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from dispatchers import DispatcherHarness, an_event
from mailserver import relaying
from stores import count
from waiting import until

from shared.broker import FAX_WORK, defer_queue, retry_queue
from shared.domain import EventType, Failure
from shared.media import MediaStore
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

URL = "mailto:in@example.com"
MAIL_FROM = "Faxes <fax@example.net>"
DEFERRED = defer_queue(15.0)


async def test_a_received_fax_becomes_a_mail_with_its_document_and_is_told(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    document = b"%PDF-1.4\r\n" + bytes(range(256)) * 40
    media = await MediaStore(harness.environment["MEDIA_URL"]).put(document, "application/pdf")
    await harness.endpoint(url=URL)
    async with relaying() as relay:
        await harness.publish(an_event(1, EventType.RECEIVED, media=media, pages=1, from_number="+15551230000"))
        async with dispatching(SMTP_URL=f"smtp://127.0.0.1:{relay.port}", MAIL_FROM=MAIL_FROM):
            (delivery,) = await harness.settled(1)
    (mail,) = relay.mails
    assert (mail.sender, mail.recipients) == ("fax@example.net", ["in@example.com"])
    assert mail.message["Subject"] == "Fax received from +1 555 123 0000 (1 page)"
    assert mail.message["Message-ID"] == f"<{delivery['id']}@example.net>"
    assert mail.message["X-Faxhook-Delivery-Id"] == str(delivery["id"])
    assert [part.get_content() for part in mail.message.iter_attachments()] == [document]
    assert (delivery["state"], delivery["attempts"]) == ("told", 1)
    made = await harness.pool.fetchrow("SELECT outcome, url, answer FROM attempts")
    assert (made["outcome"], made["url"], made["answer"]) == ("told", URL, b"250 2.0.0 fine")


async def test_a_relay_that_is_away_costs_no_attempt_and_the_mail_goes_out_when_it_is_back(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port_factory: Callable[[], int]
) -> None:
    await harness.endpoint(url=URL)
    port = unused_tcp_port_factory()
    await harness.publish(an_event(1))
    async with dispatching(SMTP_URL=f"smtp://127.0.0.1:{port}", MAIL_FROM=MAIL_FROM):
        await until(lambda: count(harness.amqp_url, DEFERRED), "put back")
        (delivery,) = await harness.deliveries()
        assert (delivery["state"], delivery["attempts"]) == ("pending", 0)
        async with relaying(port=port) as relay:
            await _look_again(harness, delivery)
            (delivery,) = await harness.settled(1)
    assert len(relay.mails) == 1
    assert (delivery["state"], delivery["attempts"]) == ("told", 1)
    assert relay.mails[0].message["X-Faxhook-Attempt"] == "1"


async def test_without_a_relay_mails_wait_uncounted_and_webhooks_go_on(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint(url=URL)
    await harness.endpoint()
    await harness.publish(an_event(1))
    async with dispatching():
        await harness.settled(1)
        await until(lambda: count(harness.amqp_url, DEFERRED), "put back")
    assert sorted((each["state"], each["attempts"]) for each in await harness.deliveries()) == [
        ("pending", 0),
        ("told", 1),
    ]


async def test_a_refused_recipient_is_tried_again_by_the_table_with_the_same_message_id(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint(url=URL)
    await harness.publish(an_event(1, EventType.FAILED, failure=Failure(code="user_busy")))
    async with relaying() as relay:
        relay.on_rcpt = lambda _relay, _server: "450 4.2.0 greylisted"
        async with dispatching(SMTP_URL=f"smtp://127.0.0.1:{relay.port}", MAIL_FROM=MAIL_FROM):
            await until(lambda: count(harness.amqp_url, retry_queue(300.0)), "waiting for its retry")
            await until(lambda: _state_is(harness, "retrying"), "recorded")
            (delivery,) = await harness.deliveries()
            relay.on_rcpt = None
            await _look_again(harness, delivery)
            (delivery,) = await harness.settled(1)
    (mail,) = relay.mails
    assert (delivery["state"], delivery["attempts"]) == ("told", 2)
    assert (mail.message["X-Faxhook-Attempt"], mail.message["Message-ID"]) == ("2", f"<{delivery['id']}@example.net>")
    errors = await harness.pool.fetch("SELECT error FROM attempts ORDER BY number")
    assert [each["error"] for each in errors] == ["smtp_450", None]


async def test_a_mail_endpoint_has_words_for_inflight_events_but_not_for_unknown_ones(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint(url=URL, inflight=True)
    await harness.publish(an_event(1, EventType.QUEUED), an_event(2, EventType.UNKNOWN))
    async with relaying() as relay, dispatching(SMTP_URL=f"smtp://127.0.0.1:{relay.port}", MAIL_FROM=MAIL_FROM):
        deliveries = await harness.settled(2)
    assert [(each["event_id"], each["state"], each["reason"]) for each in deliveries] == [
        ("phaxio:1-fax.queued", "told", None),
        ("phaxio:2-fax.unknown", "skipped", "no_equivalent"),
    ]
    assert len(relay.mails) == 1


# ---- Failover -------------------------------------------------------------------------------------------------------


async def test_a_webhook_that_fails_is_told_by_its_failover_mail_in_the_same_attempt(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint(failover_url=URL)
    harness.receiver.answer = lambda _received: 503
    await harness.publish(an_event(1))
    async with relaying() as relay, dispatching(SMTP_URL=f"smtp://127.0.0.1:{relay.port}", MAIL_FROM=MAIL_FROM):
        (delivery,) = await harness.settled(1)
    assert (delivery["state"], delivery["attempts"]) == ("told", 1)
    assert (len(harness.receiver.received), len(relay.mails)) == (1, 1)


async def test_a_mail_that_fails_is_told_by_its_failover_webhook(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint(url=URL, failover_url=harness.receiver.url)
    await harness.publish(an_event(1))
    async with relaying() as relay:
        relay.on_rcpt = lambda _relay, _server: "550 5.1.1 unknown"
        async with dispatching(SMTP_URL=f"smtp://127.0.0.1:{relay.port}", MAIL_FROM=MAIL_FROM):
            (delivery,) = await harness.settled(1)
    assert (delivery["state"], len(harness.receiver.received)) == ("told", 1)


async def test_a_failover_webhook_is_not_told_of_what_its_format_has_no_word_for(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint(url=URL, failover_url=harness.receiver.url, inflight=True)
    await harness.publish(an_event(1, EventType.QUEUED))
    async with relaying() as relay:
        relay.on_rcpt = lambda _relay, _server: "550 5.1.1 unknown"
        async with dispatching(SMTP_URL=f"smtp://127.0.0.1:{relay.port}", MAIL_FROM=MAIL_FROM):
            await until(lambda: _state_is(harness, "retrying"), "not told")
    assert harness.receiver.received == []


async def test_a_failing_webhook_is_counted_though_the_relay_of_its_failover_is_away(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint(failover_url=URL)
    harness.receiver.answer = lambda _received: 503
    await harness.publish(an_event(1))
    async with dispatching():
        await until(lambda: _state_is(harness, "retrying"), "counted")
    assert await harness.pool.fetchval("SELECT error FROM attempts") == "http_503"


async def _look_again(harness: DispatcherHarness, delivery: Any) -> None:
    """Do what comes out of the queue of the wait, without the wait."""
    await harness.pool.execute("UPDATE deliveries SET due_at = now()")
    body = json.dumps({"delivery_id": str(delivery["id"]), "attempt": delivery["attempts"] + 1}).encode()
    await harness.publisher.publish(FAX_WORK, "delivery", body, {})


async def _state_is(harness: DispatcherHarness, state: str) -> bool:
    return [each["state"] for each in await harness.deliveries()] == [state]
