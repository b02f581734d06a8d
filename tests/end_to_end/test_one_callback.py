"""The main job: a provider's callback becomes a delivered webhook, through real processes, broker and ledger."""

import asyncio

import callbacks
from processes import running
from running_stack import TOKEN, World
from stores import count
from waiting import until

from shared.broker import WORK_EVENTS


async def test_a_signed_callback_is_answered_200_and_told_once_signed_for_the_endpoint(world: World) -> None:
    await world.endpoint()
    async with running("ingress", world.ingress) as ingress, running("dispatcher", world.dispatcher):
        status, answer = await callbacks.phaxio(77).send(world.http, ingress.url)
        assert status == 200
        assert answer["status"] == "accepted"
        (webhook,) = await world.receiver.got(1)
        await until(lambda: world.count_of("told"), "told in the ledger")
    assert webhook.event_id == answer["event_id"]
    assert webhook.attempt == 1
    assert webhook.phaxio_signature_matches(world.receiver.url, TOKEN)
    fields = dict(webhook.form.fields)
    assert fields["event_type"] == "fax_completed"
    assert fields["success"] == "true"
    assert len(world.receiver.received) == 1


async def test_fifty_copies_at_once_over_two_ingresses_and_two_dispatchers_are_one_delivery(world: World) -> None:
    await world.endpoint()
    async with (
        running("ingress", world.ingress) as one,
        running("ingress", world.ingress) as other,
        running("dispatcher", world.dispatcher) as first,
        running("dispatcher", world.dispatcher) as second,
    ):
        copies = [callbacks.phaxio(78).send(world.http, (one, other)[n % 2].url) for n in range(50)]
        answers = await asyncio.gather(*copies)
        assert {status for status, _ in answers} == {200}
        assert len({answer["event_id"] for _, answer in answers}) == 1
        await until(
            lambda: len(first.logged("event.repeated")) + len(second.logged("event.repeated")) == 49,
            "49 repetitions noticed",
        )
        await until(lambda: world.count_of("told"), "told in the ledger")
    # Both dispatchers have drained: nothing more can come.
    assert len(world.receiver.received) == 1
    assert await count(world.amqp_url, WORK_EVENTS) == 0
