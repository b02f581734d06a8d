"""The main job: a provider's callback becomes a delivered webhook, through real processes, broker and ledger."""

import asyncio

import callbacks
from processes import running
from running_stack import TOKEN, RunningStack
from stores import count
from waiting import until

from shared.broker import WORK_EVENTS


async def test_a_signed_callback_is_answered_200_and_told_once_signed_for_the_endpoint(
    running_stack: RunningStack,
) -> None:
    await running_stack.endpoint()
    async with running("ingress", running_stack.ingress) as ingress, running("dispatcher", running_stack.dispatcher):
        status, answer = await callbacks.phaxio(77).send(running_stack.http, ingress.url)
        assert status == 200
        assert answer["status"] == "accepted"
        (webhook,) = await running_stack.receiver.got(1)
        await until(lambda: running_stack.count_of("told"), "told in the ledger")
    assert webhook.event_id == answer["event_id"]
    assert webhook.attempt == 1
    assert webhook.phaxio_signature_matches(running_stack.receiver.url, TOKEN)
    fields = dict(webhook.form.fields)
    assert fields["event_type"] == "fax_completed"
    assert fields["success"] == "true"
    assert len(running_stack.receiver.received) == 1


async def test_fifty_copies_at_once_over_two_ingresses_and_two_dispatchers_are_one_delivery(
    running_stack: RunningStack,
) -> None:
    await running_stack.endpoint()
    async with (
        running("ingress", running_stack.ingress) as one,
        running("ingress", running_stack.ingress) as other,
        running("dispatcher", running_stack.dispatcher) as first,
        running("dispatcher", running_stack.dispatcher) as second,
    ):
        copies = [callbacks.phaxio(78).send(running_stack.http, (one, other)[n % 2].url) for n in range(50)]
        answers = await asyncio.gather(*copies)
        assert {status for status, _ in answers} == {200}
        assert len({answer["event_id"] for _, answer in answers}) == 1
        await until(
            lambda: len(first.logged("event.repeated")) + len(second.logged("event.repeated")) == 49,
            "49 repetitions noticed",
        )
        await until(lambda: running_stack.count_of("told"), "told in the ledger")
    # Both dispatchers have drained: nothing more can come.
    assert len(running_stack.receiver.received) == 1
    assert await count(running_stack.amqp_url, WORK_EVENTS) == 0
