"""The table of waits is kept to the end: 17 attempts, then a dead letter, never silence."""

from itertools import pairwise

import callbacks
import msgspec
import pytest
from processes import running
from running_stack import RunningStack
from stores import count, take_all
from waiting import until

from dispatcher.messages import DeadDelivery
from shared.backoff import parse_backoff

SCALED = "0.2s,0.4s,0.6s,0.8s,0.5s*12"
"""The fax table's 5 distinct waits and 16 retries, shortened; 8 s in all."""

LATE_SECONDS = 0.5
"""A busy machine may be late by so much; never early."""


@pytest.fixture
def backoff() -> str:
    return SCALED


async def test_a_failing_receiver_gets_seventeen_attempts_at_the_tables_times_then_a_dead_letter(
    running_stack: RunningStack,
) -> None:
    waits = parse_backoff(SCALED)
    endpoint = await running_stack.endpoint()
    running_stack.receiver.answer = lambda _received: 500
    async with running("ingress", running_stack.ingress) as ingress, running("dispatcher", running_stack.dispatcher):
        _, answer = await callbacks.phaxio(1).send(running_stack.http, ingress.url)
        received = await running_stack.receiver.got(17, seconds=40)
        await until(lambda: running_stack.count_of("dead"), "dead in the ledger")
    assert [each.attempt for each in received] == list(range(1, 18))
    assert len({each.delivery_id for each in received}) == 1
    gaps = [after.at - before.at for before, after in pairwise(received)]
    for gap, wait in zip(gaps, waits, strict=True):
        assert wait - 0.01 <= gap < wait + LATE_SECONDS, (gap, wait)
    assert len(running_stack.receiver.received) == 17

    (message,) = await take_all(running_stack.amqp_url, "dead.deliveries")
    dead = msgspec.json.decode(message.body, type=DeadDelivery)
    assert (dead.event_id, dead.endpoint_id, dead.cause, dead.attempt) == (
        answer["event_id"],
        endpoint.id,
        "http_500",
        17,
    )
    attempts = await running_stack.pool.fetch("SELECT number, outcome, http_status FROM attempts ORDER BY number")
    assert [tuple(row) for row in attempts] == [(number, "not_told", 500) for number in range(1, 18)]
    assert await count(running_stack.amqp_url, "work.deliveries") == 0


async def test_a_receiver_that_recovers_is_told_and_gets_no_more(running_stack: RunningStack) -> None:
    await running_stack.endpoint()
    running_stack.receiver.answer = lambda received: 200 if received.attempt == 3 else 503
    async with running("ingress", running_stack.ingress) as ingress, running("dispatcher", running_stack.dispatcher):
        await callbacks.phaxio(2).send(running_stack.http, ingress.url)
        await running_stack.receiver.got(3)
        await until(lambda: running_stack.count_of("told"), "told in the ledger")
    assert [each.attempt for each in running_stack.receiver.received] == [1, 2, 3]
    for queue in ("work.deliveries", "dead.deliveries", "retry.0.6s"):
        assert await count(running_stack.amqp_url, queue) == 0
