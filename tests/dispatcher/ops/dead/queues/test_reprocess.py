"""Letters of the queues: every client sees them, none is lost; they are reprocessed, or discarded with a record."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aio_pika
import msgspec
import pytest
from dead_letters import add_dead_deliveries, park_event, quarantine_callback
from dispatchers import DispatcherHarness, an_event
from stores import count, take_all
from waiting import until

from dispatcher.messages import DeliveryMessage
from dispatcher.ops.dead.errors import TakenByAnother, UnknownLetter
from dispatcher.ops.dead.jobs.bodies import Job, Selection
from dispatcher.ops.dead.letters import DeadFilter
from dispatcher.ops.dead.queues import held_queue as queues
from dispatcher.ops.dead.queues.held_queue import DeadQueues
from dispatcher.ops.dead.service import DeadLetterService
from shared.broker import FAX_DEAD, WORK_DELIVERIES, WORK_EVENTS
from shared.domain import decode_event, encode_event
from shared.ids import uuid7

Opening = Callable[..., AbstractAsyncContextManager[DeadLetterService]]

TELNYX = msgspec.json.encode(
    {
        "data": {
            "id": "e-1",
            "event_type": "fax.delivered",
            "payload": {"fax_id": "f-1", "direction": "outbound", "status": "delivered"},
        }
    }
)


def media_of(harness: DispatcherHarness) -> Path:
    return Path(unquote(urlsplit(harness.environment["MEDIA_URL"]).path))


async def done(dead: DeadLetterService, what: str, *ids: str, reason: str | None = None) -> Job:
    job = await dead.jobs.begin(what, Selection(ids=ids), who="test", reason=reason)
    job = await dead.jobs.wait(job.id, 30.0)
    assert job.state == "done"
    return job


async def listed(dead: DeadLetterService, **wanted: object) -> list[str]:
    return [letter.id for letter in (await dead.page(DeadFilter(**wanted), None, 100)).items]


async def test_a_quarantined_callback_goes_through_the_parser_again_and_out_of_its_queue(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    callback_id = await quarantine_callback(harness, media_of(harness), TELNYX)
    assert await listed(dead) == [callback_id]
    job = await done(dead, "dead.replay", callback_id)
    assert (job.total, job.done, job.failed) == (1, 1, 0)
    (message,) = await take_all(harness.amqp_url, WORK_EVENTS)
    event = decode_event(message.body)
    assert (event.id, event.job_id) == ("telnyx:e-1", "7"), "its URL's query is read as well"
    assert message.routing_key == "telnyx.fax.delivered"
    assert await count(harness.amqp_url, "dead.callbacks") == 0
    assert await listed(dead) == []


async def test_a_callback_that_still_cannot_be_read_stays_and_is_counted_with_the_reason(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    bad = await quarantine_callback(harness, media_of(harness), b'{"data": 7}')
    good = await quarantine_callback(harness, media_of(harness), TELNYX)
    job = await done(dead, "dead.replay", bad, good)
    assert (job.total, job.done, job.failed) == (2, 1, 1)
    assert [failure.id for failure in job.failures] == [bad]
    assert "payload" in job.failures[0].reason
    assert await listed(dead) == [bad]


async def test_a_form_of_phaxios_is_read_without_its_signature_unless_names_are_repeated(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    form = b"success=true&is_test=false&direction=sent&fax=%7B%22id%22%3A+7%2C%22status%22%3A+%22success%22%7D"
    ids = [
        await quarantine_callback(
            harness,
            media_of(harness),
            body,
            provider="phaxio",
            route="/phaxio-callback",
            verified_by="phaxio-sha1",
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        for body in (form, form + b"&success=true")
    ]
    job = await done(dead, "dead.replay", *ids)
    assert (job.done, [failure.id for failure in job.failures]) == (1, [ids[1]])


async def test_an_event_that_can_be_read_now_is_published_again_and_one_that_cannot_stays(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    await park_event(harness, encode_event(an_event(1)))
    await park_event(harness, b"{}")
    events = await dead.page(DeadFilter(kind="event"), None, 10)
    assert {letter.event_id for letter in events.items} == {an_event(1).id, None}
    job = await done(dead, "dead.replay", *(letter.id for letter in events.items))
    assert (job.done, job.failed) == (1, 1)
    assert [decode_event(message.body).id for message in await take_all(harness.amqp_url, WORK_EVENTS)] == [
        an_event(1).id
    ]
    assert await count(harness.amqp_url, "dead.events") == 1


async def test_the_same_event_dead_twice_is_one_letter_and_both_copies_go(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    for _ in range(2):
        await park_event(harness, encode_event(an_event(1)))
    (letter_id,) = await listed(dead)
    assert (await done(dead, "dead.replay", letter_id)).done == 1
    assert await count(harness.amqp_url, "dead.events") == 0
    assert len(await take_all(harness.amqp_url, WORK_EVENTS)) == 1


async def rejected(harness: DispatcherHarness, body: bytes) -> None:
    """Have the broker itself dead-letter a message of `work.deliveries`."""
    async with await aio_pika.connect(harness.amqp_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("fax.work", ensure=False)
        await exchange.publish(aio_pika.Message(body), "delivery")
        queue = await channel.get_queue(WORK_DELIVERIES)

        async def taken() -> aio_pika.abc.AbstractIncomingMessage | None:
            return await queue.get(fail=False)

        message = await until(taken, "the message is there")
        await message.reject(requeue=False)

        async def is_dead() -> bool:
            return await count(harness.amqp_url, "dead.deliveries") > 0

        await until(is_dead, "the broker moved it")


async def test_what_the_broker_gave_up_while_the_ledger_has_it_owed_is_shown_and_put_back_to_work(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    await harness.endpoint()
    (owed,) = (await harness.take(an_event(1))).deliveries
    await rejected(harness, msgspec.json.encode(DeliveryMessage(owed.delivery_id, 1)))
    (letter,) = (await dead.page(DeadFilter(), None, 10)).items
    assert letter.is_message
    assert (letter.cause, letter.group, letter.event_id) == ("rejected", "crashed", an_event(1).id)
    assert letter.died_at is not None
    assert (await dead.groups(DeadFilter())).items[0].count == 1
    assert (await dead.show(letter.id)).message == {"delivery_id": str(owed.delivery_id), "attempt": 1}
    assert (await done(dead, "dead.replay", letter.id)).done == 1
    (message,) = await take_all(harness.amqp_url, WORK_DELIVERIES)
    assert msgspec.json.decode(message.body) == {"delivery_id": str(owed.delivery_id), "attempt": 1}
    assert await count(harness.amqp_url, "dead.deliveries") == 0


async def test_what_the_broker_gave_up_is_discarded_with_its_delivery_but_not_while_it_is_being_attempted(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    await harness.endpoint()
    (owed,) = (await harness.take(an_event(1))).deliveries
    await rejected(harness, msgspec.json.encode(DeliveryMessage(owed.delivery_id, 1)))
    (letter_id,) = await listed(dead)
    leased = await done(dead, "dead.discard", letter_id, reason="no more")
    assert (leased.failed, leased.failures[0].reason) == (1, "it is being attempted at this moment")
    await harness.pool.execute("UPDATE deliveries SET lease_until = NULL")
    assert (await done(dead, "dead.discard", letter_id, reason="no more")).done == 1
    (row,) = await harness.deliveries()
    assert (row["state"], row["reason"]) == ("skipped", "discarded")
    assert await count(harness.amqp_url, "dead.deliveries") == 0


async def test_a_message_that_is_not_ours_is_shown_stays_when_replayed_and_goes_when_discarded(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    await harness.publisher.publish(FAX_DEAD, "delivery", b"\xff not ours", {"cause": "unreadable"})
    (letter_id,) = await listed(dead, cause="unreadable")
    assert (await done(dead, "dead.replay", letter_id)).failed == 1
    assert (await done(dead, "dead.discard", letter_id, reason="rubbish")).done == 1
    assert await listed(dead) == []


async def test_a_stale_copy_is_not_a_letter_and_goes_with_the_next_replay(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    told, waiting = await add_dead_deliveries(harness, [await harness.endpoint()], 2)
    await harness.pool.execute("UPDATE deliveries SET state = 'told' WHERE id = $1", told)
    assert await listed(dead) == [str(waiting)]
    assert (await done(dead, "dead.replay", str(waiting))).done == 1
    assert await count(harness.amqp_url, "dead.deliveries") == 0


async def test_a_discard_is_recorded_and_its_letters_are_gone(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    (delivery_id,) = await add_dead_deliveries(harness, [await harness.endpoint()], 1)
    callback_id = await quarantine_callback(harness, media_of(harness), b"{}")
    job = await done(dead, "dead.discard", str(delivery_id), callback_id, reason="a test of ours")
    assert job.done == 2
    (row,) = await harness.deliveries()
    assert (row["state"], row["reason"]) == ("skipped", "discarded")
    assert await listed(dead) == []
    assert [await count(harness.amqp_url, queue) for queue in ("dead.deliveries", "dead.callbacks")] == [0, 0]
    audit = await harness.pool.fetch("SELECT who, what, subject, details FROM audit ORDER BY id")
    assert [(each["who"], each["what"], each["subject"]) for each in audit] == [
        ("test", "dead.discard", str(job.id)),
        ("test", "dead.discarded", callback_id),
    ]
    details = msgspec.json.decode(audit[1]["details"])
    assert (details["reason"], details["cause"], len(details["sha256"])) == ("a test of ours", "unreadable", 64)
    with pytest.raises(UnknownLetter, match="any more"):
        await dead.show(callback_id)
    assert (await done(dead, "dead.replay", callback_id)).skipped_gone == 1


async def test_clients_that_browse_at_once_all_see_everything_and_nothing_is_lost(
    harness: DispatcherHarness, opening: Opening
) -> None:
    for number in range(300):
        await park_event(harness, encode_event(an_event(number)))
    async with opening() as one, opening() as two, opening() as three:
        for _ in range(5):
            seen = await asyncio.gather(
                *(each.page(DeadFilter(kind="event"), None, 1_000) for each in (one, two, three))
            )
            assert [len(page.items) for page in seen] == [300] * 3
    assert await count(harness.amqp_url, "dead.events") == 300


async def test_a_look_that_is_killed_puts_everything_back(harness: DispatcherHarness, dead: DeadLetterService) -> None:
    for number in range(50):
        await park_event(harness, encode_event(an_event(number)))
    held = DeadQueues(harness.pool, harness.amqp_url)

    async def look() -> None:
        async with held.hold("event") as queue:
            async for _ in queue.messages():
                await asyncio.Event().wait()

    looking = asyncio.create_task(look())

    async def is_held() -> bool:
        return await count(harness.amqp_url, "dead.events") == 0

    await until(is_held, "the messages are out")
    looking.cancel()
    await asyncio.wait({looking})
    assert len(await listed(dead)) == 50


async def test_a_queue_that_another_process_holds_is_refused(
    harness: DispatcherHarness, dead: DeadLetterService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "LOCK_SECONDS", 0.2)
    await park_event(harness, encode_event(an_event(1)))
    async with DeadQueues(harness.pool, harness.amqp_url).hold("event"):
        with pytest.raises(TakenByAnother, match="try again"):
            await dead.page(DeadFilter(), None, 10)
    assert len(await listed(dead)) == 1


async def test_pages_of_all_kinds_follow_each_other_without_a_gap_or_a_repetition(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 25)
    callbacks = [await quarantine_callback(harness, media_of(harness), b"{}") for _ in range(3)]
    for number in range(3):
        await park_event(harness, encode_event(an_event(number)))
    seen: list[str] = []
    after = None
    while True:
        page = await dead.page(DeadFilter(), after, 4)
        seen += [letter.id for letter in page.items]
        if page.next is None:
            break
        after = page.next
    assert len(seen) == len(set(seen)) == 31
    assert set(callbacks) <= set(seen)


async def test_a_killed_dispatcher_between_publishing_and_recording_repeats_an_event_and_loses_none(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    callback_id = await quarantine_callback(harness, media_of(harness), TELNYX)
    job = await done(dead, "dead.replay", callback_id)
    # As if it had died before the acknowledgement: the item is done, the message is there again.
    again = await quarantine_callback(harness, media_of(harness), TELNYX)
    await harness.pool.execute("UPDATE job_items SET letter_id = $1 WHERE job_id = $2", again, job.id)
    await harness.pool.execute("UPDATE jobs SET finished_at = NULL, lease_until = now() - interval '1 min'")
    await dead.jobs.go_on(job.id)
    await dead.jobs.wait(job.id, 10.0)
    assert await count(harness.amqp_url, "dead.callbacks") == 0
    assert len(await take_all(harness.amqp_url, WORK_EVENTS)) == 1


async def test_an_unknown_letter_is_refused(dead: DeadLetterService) -> None:
    for letter_id in ("nonsense", str(uuid7()), "event-00"):
        with pytest.raises(UnknownLetter, match="no dead letter"):
            await dead.show(letter_id)


async def test_a_stray_letter_that_a_lost_copy_hides_from_the_list_is_found_by_a_preview(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 3)
    async with await aio_pika.connect(harness.amqp_url) as connection:
        queue = await (await connection.channel()).get_queue("dead.deliveries")
        await (await queue.get()).ack()
    await harness.publisher.publish(FAX_DEAD, "delivery", b"not ours", {"cause": "unreadable"})
    assert await count(harness.amqp_url, "dead.deliveries") == 3
    assert len(await listed(dead)) == 3, "as many messages as dead deliveries: no queue was looked at"
    assert (await dead.planner.preview("dead.discard", Selection(filter=DeadFilter()))).count == 4
    assert len(await listed(dead)) == 4
