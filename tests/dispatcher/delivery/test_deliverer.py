"""The deliverer: one attempt for each call, if the delivery may be attempted, and one next step whatever happens."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from delivering import NotedSettler, a_delivery, new_held
from dispatchers import an_event

from dispatcher.channels.outcome import NotTold, NotTried, Outcome, Told
from dispatcher.delivery.circuit_breaker import TIMEOUTS_TO_OPEN
from dispatcher.delivery.deliverer import Deliverer
from dispatcher.metrics import Metrics
from dispatcher.policy.delivery import LeasedDelivery
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.verdict import GiveUp, Requeue, RetryAfter, Settle, Skip
from shared.backoff import DEFER_WAITS_SECONDS
from shared.domain import EventType
from shared.ids import uuid7

TABLE = (300.0, 600.0)


class Steps:
    """A deliverer whose attempts end as a test says, and what became of its deliveries."""

    def __init__(self) -> None:
        self.attempted: list[LeasedDelivery] = []
        self.outcome: Outcome | Callable[[], Outcome] = Told()
        self.is_ours = True
        self.rank = 0
        self.settler = NotedSettler(new_held())
        self.metrics = Metrics()
        self.deliverer = Deliverer(self, self.settler, self, self.metrics, TABLE)  # type: ignore[arg-type]

    # What the deliverer asks of attempts and leases.
    def document_bytes(self, _delivery: LeasedDelivery) -> int:
        return 0

    def lease_seconds(self, _delivery: LeasedDelivery) -> float:
        return 60.0

    async def note_rank(self, delivery: LeasedDelivery, _coming: Iterable[LeasedDelivery]) -> None:
        delivery.fax_rank = max(delivery.fax_rank, self.rank)

    async def ensure(self, _delivery: LeasedDelivery, _seconds: float) -> bool:
        return self.is_ours

    async def make(self, delivery: LeasedDelivery, _now: datetime, _reservation: Any) -> Outcome:
        self.attempted.append(delivery)
        return self.outcome() if callable(self.outcome) else self.outcome

    async def deliver(self, delivery: LeasedDelivery) -> Any:
        """Return the verdict that it was settled with; None if it was not settled."""
        before = len(self.settler.settled)
        await self.deliverer.deliver(delivery)
        return self.settler.settled[-1][1] if len(self.settler.settled) > before else None


def an_endpoint(**fields: Any) -> Endpoint:
    return Endpoint(id=uuid7(), url="http://application.example/", **fields)


def lately(number: int, endpoint: Endpoint | None = None, **fields: Any) -> LeasedDelivery:
    return a_delivery(number, endpoint, owed_since=datetime.now(UTC), **fields)


@pytest.mark.parametrize(
    ("outcome", "attempt", "verdict"),
    [
        (Told(), 1, Settle()),
        (NotTold(error="http_500", http_status=500), 1, RetryAfter(300.0)),
        (NotTold(error="http_500", http_status=500), 3, GiveUp("http_500", "the last of 3 attempts failed")),
        (NotTold(error="http_410", http_status=410), 1, GiveUp("gone", "it answered 410")),
        (NotTried(error="proxy_away"), 3, Requeue(DEFER_WAITS_SECONDS[0])),
    ],
)
async def test_each_outcome_is_settled_as_it_is_judged(outcome: Outcome, attempt: int, verdict: Any) -> None:
    steps = Steps()
    steps.outcome = outcome
    assert await steps.deliver(lately(1, attempt=attempt)) == verdict
    assert len(steps.attempted) == 1


async def test_what_is_refused_is_never_attempted() -> None:
    steps = Steps()
    assert await steps.deliver(lately(1, an_endpoint(enabled=False))) == GiveUp(
        "endpoint_disabled", "the endpoint is disabled"
    )
    event = an_event(2, EventType.PAGE_SENT)
    overtaken = a_delivery(2, an_endpoint(), event, fax_rank=EventType.DELIVERED.rank)
    assert await steps.deliver(overtaken) == Skip("overtaken")
    assert steps.attempted == []


async def test_once_it_stops_what_only_waited_is_requeued_at_once() -> None:
    steps = Steps()
    steps.deliverer.stop()
    assert await steps.deliver(lately(1)) == Requeue(0.0)
    assert steps.attempted == []


async def test_our_own_trouble_while_stopping_leaves_the_attempt_to_another_process_at_once() -> None:
    steps = Steps()

    def stop_meanwhile() -> Outcome:
        steps.deliverer.stop()
        return NotTried(error="proxy_away")

    steps.outcome = stop_meanwhile
    assert await steps.deliver(lately(1)) == Requeue(0.0)


async def test_a_delivery_whose_lease_is_anothers_is_dropped() -> None:
    steps = Steps()
    steps.is_ours = False
    delivery = lately(1)
    assert await steps.deliver(delivery) is None
    assert steps.settler.dropped == [delivery.delivery_id]
    assert steps.attempted == []


async def test_a_delivery_whose_lease_was_lost_in_its_lane_becomes_no_dead_letter() -> None:
    steps = Steps()
    delivery = lately(1, an_endpoint(enabled=False), is_lost=False)
    delivery.is_lost = True
    assert await steps.deliver(delivery) is None
    assert steps.settler.dropped == [delivery.delivery_id]


async def test_an_attempt_that_breaks_our_code_is_settled_as_crashed() -> None:
    steps, error = Steps(), ZeroDivisionError()

    def crash() -> Outcome:
        raise error

    steps.outcome = crash
    delivery = lately(1)
    assert await steps.deliver(delivery) is None
    assert steps.settler.crashes == [(delivery.delivery_id, error)]


async def test_an_endpoint_that_keeps_timing_out_is_deferred_but_for_a_probe_and_any_answer_ends_that() -> None:
    steps, endpoint = Steps(), an_endpoint()
    steps.outcome = NotTold(error="timeout")
    for number in range(TIMEOUTS_TO_OPEN):
        assert await steps.deliver(lately(number, endpoint)) == RetryAfter(300.0)
    assert steps.deliverer.circuit_is_open(endpoint.id)
    assert steps.deliverer.open_circuits() == 1
    made = len(steps.attempted)
    assert isinstance(await steps.deliver(lately(8, endpoint)), Requeue)
    assert len(steps.attempted) == made
    assert await steps.deliver(lately(9)) == RetryAfter(300.0), "another endpoint"


async def test_the_circuit_is_told_how_long_an_attempt_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatcher.delivery.circuit_breaker.SLOW_SECONDS", 0.0)
    steps, endpoint = Steps(), an_endpoint()
    steps.outcome = NotTold(error="host_not_found")
    for number in range(TIMEOUTS_TO_OPEN):
        await steps.deliver(lately(number, endpoint))
    assert steps.deliverer.circuit_is_open(endpoint.id)


async def test_what_is_owed_for_longer_than_the_whole_table_is_given_up_while_the_circuit_is_open() -> None:
    steps, endpoint = Steps(), an_endpoint()
    steps.outcome = NotTold(error="timeout")
    for number in range(TIMEOUTS_TO_OPEN):
        await steps.deliver(lately(number, endpoint))
    old = a_delivery(8, endpoint, owed_since=datetime.now(UTC) - timedelta(seconds=sum(TABLE) + 1))
    assert await steps.deliver(old) == GiveUp("timeout", "owed for longer than the whole table takes")


async def test_how_long_a_recovered_event_waited_says_nothing_about_how_fast_we_are() -> None:
    steps = Steps()
    for number, has_waited in enumerate((True, False)):
        await steps.deliver(lately(number, has_waited=has_waited))
    assert steps.metrics.registry.get_sample_value("faxhook_told_seconds_count") == 1


@pytest.mark.parametrize("field", ["url", "failover_url"])
async def test_an_endpoint_that_is_told_at_another_url_starts_with_a_circuit_of_its_own(field: str) -> None:
    steps, endpoint = Steps(), an_endpoint()
    steps.outcome = NotTold(error="timeout")
    for number in range(TIMEOUTS_TO_OPEN):
        await steps.deliver(lately(number, endpoint))
    assert isinstance(await steps.deliver(lately(7, endpoint)), Requeue)
    moved = msgspec.structs.replace(endpoint, **{field: "http://moved.example/"})
    steps.outcome = Told()
    assert await steps.deliver(lately(8, moved)) == Settle()
    assert not steps.deliverer.circuit_is_open(endpoint.id)
    same = msgspec.structs.replace(endpoint, timeout_seconds=7.0)
    steps.outcome = NotTold(error="timeout")
    for number in range(TIMEOUTS_TO_OPEN):
        await steps.deliver(lately(10 + number, (endpoint, same)[number % 2]))
    assert steps.deliverer.circuit_is_open(endpoint.id), "another change starts nothing anew"


async def test_what_ends_at_the_old_url_after_a_change_says_nothing_about_the_new_one() -> None:
    steps, endpoint = Steps(), an_endpoint()
    moved = msgspec.structs.replace(endpoint, url="http://moved.example/")
    steps.outcome = NotTold(error="timeout")
    for number in range(TIMEOUTS_TO_OPEN - 1):
        await steps.deliver(lately(number, moved))
    circuit = steps.deliverer._circuits.pop(endpoint.id)

    def changed_meanwhile() -> Outcome:
        steps.deliverer._circuits[endpoint.id] = circuit
        return NotTold(error="timeout")

    steps.outcome = changed_meanwhile
    await steps.deliver(lately(8, endpoint))
    assert not circuit.is_open


async def test_a_circuit_without_timeouts_leaves_nothing_behind() -> None:
    steps, endpoint = Steps(), an_endpoint()
    for outcome in (Told(), NotTold(error="http_500", http_status=500), NotTried(error="proxy_away")):
        steps.outcome = outcome
        await steps.deliver(lately(1))
    steps.outcome = NotTold(error="timeout")
    for number in range(TIMEOUTS_TO_OPEN):
        await steps.deliver(lately(number, endpoint))
    assert set(steps.deliverer._circuits) == {endpoint.id}, "endpoints of single faxes would fill the memory"
    steps.deliverer._circuits[endpoint.id]._next_probe_at = 0.0
    steps.outcome = Told()
    await steps.deliver(lately(9, endpoint))
    assert steps.deliverer._circuits == {}


async def test_a_circuit_loses_no_probe_to_a_delivery_that_turns_out_to_be_overtaken() -> None:
    steps, endpoint = Steps(), an_endpoint(inflight=True, format="standard-v1")
    event = an_event(1, EventType.SENDING)
    steps.rank = EventType.DELIVERED.rank
    for _ in range(2):
        assert await steps.deliver(lately(1, endpoint, event=event)) == Skip("overtaken")
    assert steps.attempted == []
    steps.rank = 0
    assert await steps.deliver(lately(1, endpoint, event=event)) == Settle()
