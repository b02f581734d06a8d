"""A provider that is silent is one matter, not one for each number; what came back by itself is not told again soon."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dispatcher.alerts.silence.judging import MARGIN, Line, Seen, Told, silent_lines
from dispatcher.alerts.silence.statistic import HOURS, Profile, learn

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WHOLE, NUMBER = Line("telnyx"), Line("telnyx", "received", "+15550100")
OTHER = Line("sinch")
BOUND = -4.5


def profile() -> Profile:
    totals = [48.0 if hour // 24 < 5 and 8 <= hour % 24 < 18 else 0.0 for hour in range(HOURS)]
    made = learn(totals, [total * total / 8 for total in totals], 8)
    assert made is not None
    return made


USUAL = profile()


def quiet_since(hours: float) -> Seen:
    return Seen(profile=USUAL, last_at=NOON - timedelta(hours=hours), slots=12.0)


def judged(lines: dict[Line, Seen], *told: Told, now: datetime = NOON) -> list[Line]:
    return [each.line for each in silent_lines(lines, told, BOUND, now)]


def was(line: Line, hours_ago: float, log10: float, **fields: Any) -> Told:
    ended = NOON - timedelta(hours=hours_ago)
    return Told(**{"line": line, "since": ended - timedelta(hours=9), "ended_at": ended, "log10": log10, **fields})


def test_a_silent_provider_stands_for_its_numbers_and_for_no_other_provider() -> None:
    lines = {NUMBER: quiet_since(6), WHOLE: quiet_since(6), OTHER: quiet_since(6)}
    assert judged(lines, now=NOON + timedelta(hours=4)) == [OTHER, WHOLE]
    assert judged({**lines, WHOLE: quiet_since(-3.9)}, now=NOON + timedelta(hours=4)) == [OTHER, NUMBER]
    assert judged({WHOLE: quiet_since(0.2), NUMBER: quiet_since(0.2)}) == []


def test_a_number_whose_silence_is_told_stays_so_while_its_provider_is_silent_too() -> None:
    lines = {NUMBER: quiet_since(6), WHOLE: quiet_since(6)}
    told = Told(line=NUMBER, since=NOON - timedelta(hours=6), ended_at=None, log10=-5.0)
    later = NOON + timedelta(hours=5)
    assert NUMBER in judged(lines, told, now=later)


def test_a_number_is_not_told_of_the_stretch_in_which_its_provider_was_silent() -> None:
    lines = {NUMBER: quiet_since(28), WHOLE: quiet_since(0.1)}
    assert judged(lines) == [NUMBER]
    assert judged(lines, was(WHOLE, 1.0, -4.6)) == []


def test_a_silence_that_ended_by_itself_is_told_again_only_if_it_is_far_less_probable() -> None:
    lines = {WHOLE: quiet_since(6)}
    later = NOON + timedelta(hours=4)
    (silence,) = silent_lines(lines, (), BOUND, later)
    assert judged(lines, was(WHOLE, 200, silence.log10 + MARGIN + 0.1), now=later) == [WHOLE]
    assert judged(lines, was(WHOLE, 200, silence.log10 + MARGIN - 0.1), now=later) == []
    assert judged(lines, was(OTHER, 200, -99.0), now=later) == [WHOLE]


def test_a_silence_lasts_until_a_fax_comes_though_the_bound_moves() -> None:
    seen = quiet_since(6)
    (silence,) = silent_lines({WHOLE: seen}, (), BOUND, NOON + timedelta(hours=4))
    told = Told(line=WHOLE, since=seen.last_at, ended_at=None, log10=silence.log10)
    higher = silence.log10 - 0.5
    assert [each.line for each in silent_lines({WHOLE: seen}, (told,), higher, NOON + timedelta(hours=4))] == [WHOLE]
    assert judged({WHOLE: quiet_since(-3.9)}, told, now=NOON + timedelta(hours=4)) == []


def test_a_clock_that_runs_behind_the_last_fax_says_nothing() -> None:
    assert judged({WHOLE: quiet_since(-5)}) == []
