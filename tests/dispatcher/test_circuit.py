"""An endpoint that keeps timing out is left alone but for a probe; any answer brings it back."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.circuit import TIMEOUTS_TO_OPEN, Circuit
from dispatcher.outcome import NotTold, NotTried, Outcome, Told
from shared.backoff import DEFER_WAITS_SECONDS

TIMEOUT = NotTold(error="timeout")
REFUSAL = NotTold(error="http_500", http_status=500)


def opened() -> Circuit:
    circuit = Circuit()
    for _ in range(TIMEOUTS_TO_OPEN):
        assert circuit.admits(0.0)
        circuit.report(TIMEOUT, 0.0)
    return circuit


def test_it_opens_after_enough_timeouts_in_a_row_and_not_before() -> None:
    circuit = Circuit()
    for _ in range(TIMEOUTS_TO_OPEN - 1):
        circuit.report(TIMEOUT, 0.0)
    assert not circuit.is_open
    circuit.report(REFUSAL, 0.0)
    for _ in range(TIMEOUTS_TO_OPEN - 1):
        circuit.report(TIMEOUT, 0.0)
    assert not circuit.is_open, "an answer in between begins the count anew"
    circuit.report(TIMEOUT, 0.0)
    assert circuit.is_open


def test_an_open_one_admits_one_probe_at_a_time_and_the_next_only_after_its_wait() -> None:
    circuit = opened()
    wait = DEFER_WAITS_SECONDS[0]
    assert not circuit.admits(wait - 1)
    assert circuit.admits(wait)
    assert not circuit.admits(wait), "the probe is under way"
    circuit.report(TIMEOUT, wait)
    assert circuit.wait_seconds == DEFER_WAITS_SECONDS[1]
    assert not circuit.admits(wait + 1)


def test_a_probe_that_is_answered_closes_it_and_our_own_trouble_says_nothing() -> None:
    for answer in (Told(), REFUSAL):
        circuit = opened()
        assert circuit.admits(1000.0)
        circuit.report(answer, 1000.0)
        assert not circuit.is_open
    circuit = opened()
    assert circuit.admits(1000.0)
    circuit.report(NotTried(error="media_unavailable"), 1000.0)
    assert circuit.is_open
    assert circuit.admits(1000.0), "the probe was none; the next may try"


outcomes = st.sampled_from([TIMEOUT, REFUSAL, Told(), NotTried(error="x")])


@given(st.lists(st.tuples(outcomes, st.floats(0, 5000)), max_size=60))
def test_it_never_admits_two_at_once_while_open_and_never_keeps_everybody_out_for_good(
    reports: list[tuple[Outcome, float]],
) -> None:
    circuit, now = Circuit(), 0.0
    for outcome, pause in reports:
        now += pause
        if circuit.admits(now):
            if circuit.is_open:
                assert not circuit.admits(now)
            circuit.report(outcome, now)
    assert circuit.admits(now + max(DEFER_WAITS_SECONDS))
