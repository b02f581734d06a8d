"""An endpoint that keeps timing out gets only a probe now and then; any answer closes its circuit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.channels.outcome import NotTold, NotTried, Outcome, Told
from dispatcher.delivery.circuit_breaker import SLOW_SECONDS, TIMEOUTS_TO_OPEN, Circuit
from shared.backoff import DEFER_WAITS_SECONDS

TIMEOUT = NotTold(error="timeout")
REFUSAL = NotTold(error="http_500", http_status=500)


def attempt(circuit: Circuit, outcome: Outcome, now: float = 0.0) -> None:
    admitted = circuit.admit(now)
    assert admitted is not None
    circuit.report(admitted, outcome, now)


def opened() -> Circuit:
    circuit = Circuit()
    for _ in range(TIMEOUTS_TO_OPEN):
        attempt(circuit, TIMEOUT)
    return circuit


def test_it_opens_after_enough_timeouts_in_a_row_and_not_before() -> None:
    circuit = Circuit()
    for _ in range(TIMEOUTS_TO_OPEN - 1):
        attempt(circuit, TIMEOUT)
    assert not circuit.is_open
    attempt(circuit, REFUSAL)
    for _ in range(TIMEOUTS_TO_OPEN - 1):
        attempt(circuit, TIMEOUT)
    assert not circuit.is_open, "an answer in between restarts the count"
    attempt(circuit, TIMEOUT)
    assert circuit.is_open


@pytest.mark.parametrize(
    ("error", "seconds", "is_open"),
    [
        ("host_not_found", 5.0, True),  # its name servers do not answer
        ("reset", 14.0, True),
        ("tls", SLOW_SECONDS, True),
        ("refused", 15.0, True),  # by the failover, after the endpoint itself hung
        ("host_not_found", 0.1, False),
        ("refused", 0.0, False),
        ("http_500", 14.0, False),  # slow, but an answer
        ("smtp_450", 14.0, False),
    ],
)
def test_what_takes_long_and_ends_without_an_answer_counts_as_a_timeout(
    error: str, seconds: float, *, is_open: bool
) -> None:
    circuit = Circuit()
    for _ in range(TIMEOUTS_TO_OPEN):
        admitted = circuit.admit(0.0)
        assert admitted is not None
        circuit.report(admitted, NotTold(error=error), 0.0, seconds)
    assert circuit.is_open == is_open


def test_an_open_one_admits_one_probe_at_a_time_and_the_next_only_after_its_wait() -> None:
    circuit = opened()
    wait = DEFER_WAITS_SECONDS[0]
    assert not circuit.admit(wait - 1)
    probe = circuit.admit(wait)
    assert probe is not None
    assert not circuit.admit(wait), "the probe is under way"
    circuit.report(probe, TIMEOUT, wait)
    assert circuit.wait_seconds == DEFER_WAITS_SECONDS[1]
    assert not circuit.admit(wait + 1)


def test_what_was_under_way_when_it_opened_makes_no_room_for_a_second_probe_and_no_wait_longer() -> None:
    circuit = Circuit()
    under_way = [circuit.admit(0.0) for _ in range(2 * TIMEOUTS_TO_OPEN)]
    for admitted in under_way[:TIMEOUTS_TO_OPEN]:
        assert admitted is not None
        circuit.report(admitted, TIMEOUT, 0.0)
    wait = DEFER_WAITS_SECONDS[0]
    assert circuit.wait_seconds == wait
    assert circuit.admit(wait) is not None
    for admitted in under_way[TIMEOUTS_TO_OPEN:]:
        assert admitted is not None
        circuit.report(admitted, TIMEOUT, wait)
        assert circuit.admit(wait) is None, "the probe is under way"
    assert circuit.wait_seconds == wait, "not one probe has failed"


def test_a_probe_under_way_is_the_only_one_though_its_circuit_closed_and_opened_again_meanwhile() -> None:
    circuit = Circuit()
    earlier = circuit.admit(0.0)
    for _ in range(TIMEOUTS_TO_OPEN):
        attempt(circuit, TIMEOUT)
    wait = DEFER_WAITS_SECONDS[0]
    assert circuit.admit(wait) is not None
    assert earlier is not None
    circuit.report(earlier, Told(), wait)
    for _ in range(TIMEOUTS_TO_OPEN):
        attempt(circuit, TIMEOUT, wait)
    assert circuit.refuses(wait + max(DEFER_WAITS_SECONDS))
    assert circuit.admit(wait + max(DEFER_WAITS_SECONDS)) is None


def test_a_probe_that_is_answered_closes_it_and_our_own_trouble_says_nothing() -> None:
    for answer in (Told(), REFUSAL):
        circuit = opened()
        attempt(circuit, answer, 1000.0)
        assert not circuit.is_open
    circuit = opened()
    attempt(circuit, NotTried(error="media_unavailable"), 1000.0)
    assert circuit.is_open
    assert circuit.admit(1000.0), "the probe was none; the next may try"


outcomes = st.sampled_from([TIMEOUT, REFUSAL, Told(), NotTried(error="x")])


@given(st.lists(st.tuples(st.booleans(), outcomes, st.floats(0, 5000), st.integers(0)), max_size=60))
def test_it_never_admits_two_probes_at_once_and_never_refuses_all_for_good(
    steps: list[tuple[bool, Outcome, float, int]],
) -> None:
    circuit, now, under_way = Circuit(), 0.0, []
    for begins, outcome, pause, which in steps:
        now += pause
        if begins:
            is_refused = circuit.refuses(now)
            under_way += [admitted] if (admitted := circuit.admit(now)) else []
            assert is_refused == (admitted is None)
        elif under_way:
            circuit.report(under_way.pop(which % len(under_way)), outcome, now)
        assert sum(each.is_probe for each in under_way) <= 1
    for admitted in under_way:
        circuit.report(admitted, TIMEOUT, now)
    assert circuit.admit(now + max(DEFER_WAITS_SECONDS))
