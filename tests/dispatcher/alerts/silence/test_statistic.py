"""How improbable a quiet stretch is: it grows with the stretch, and neither clock changes nor bunches nor holidays count."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.alerts.silence.statistic import (
    HOURS,
    LEAST_BOUND,
    MOST_BOUND,
    Profile,
    day_begins,
    expected_slots,
    hour_of_week,
    learn,
    log10_bound,
    log10_quiet,
    none_probability,
)

TUESDAY = datetime(2026, 11, 24, tzinfo=UTC)


def office(rate: float = 6.0, first: int = 8, last: int = 17) -> Profile:
    """A line with *rate* slots an hour on working days."""
    totals = [8 * rate if hour // 24 < 5 and first <= hour % 24 < last else 0.0 for hour in range(HOURS)]
    profile = learn(totals, [total * total / 8 for total in totals], 8)
    assert profile is not None
    return profile


def test_the_hour_of_the_week_begins_on_monday() -> None:
    assert [hour_of_week(TUESDAY + timedelta(hours=each)) for each in (-24, -25, 0, 6 * 24)] == [0, 167, 24, 0]


def test_what_is_usual_adds_up_over_hours_days_and_weeks() -> None:
    profile = office()
    start = TUESDAY.timestamp()
    assert expected_slots(profile, start + 8.5 * 3600, start + 10 * 3600) == pytest.approx(1.5 * 48 / 9)
    assert expected_slots(profile, start, start + 7 * 86_400) == pytest.approx(profile.per_week)
    assert expected_slots(profile, start - 3 * 7 * 86_400, start) == pytest.approx(3 * profile.per_week)


def test_a_line_with_little_traffic_or_history_has_no_usual_week() -> None:
    assert learn([1.0] * HOURS, [1.0] * HOURS, 2.9) is None
    assert learn([8.0, *[0.0] * 167], [8.0, *[0.0] * 167], 8) is None
    # docs/missed-faxes.md: from five stretches a week, and from the third week on.
    assert learn([39.0, *[0.0] * 167], [200.0, *[0.0] * 167], 8) is None
    assert learn([40.0, *[0.0] * 167], [200.0, *[0.0] * 167], 8) is not None
    assert learn([1.0] * HOURS, [1.0] * HOURS, 3) is not None


def test_a_day_begins_in_the_quietest_hour() -> None:
    profile = office(first=20, last=24)
    begins = day_begins(profile, TUESDAY.replace(hour=22))
    assert begins <= TUESDAY.replace(hour=20)
    assert begins.hour not in range(20, 24)
    assert day_begins(profile, begins) == begins


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 500), st.floats(0, 500))
def test_none_is_less_probable_the_longer_it_is_quiet(seen: float, usual: float, quiet: float, more: float) -> None:
    first, second = none_probability(seen, usual, quiet), none_probability(seen, usual, quiet + more)
    assert 0.0 < second <= first * (1 + 1e-9)
    assert first <= 1.0 + 1e-9


@given(st.integers(0, 20 * 24), st.integers(0, 48), st.integers(0, 60))
def test_a_quiet_stretch_is_less_probable_the_longer_it_lasts(hours: int, more: int, slots: int) -> None:
    profile, last = office(), TUESDAY.replace(hour=11)
    now = last + timedelta(hours=hours)
    first = log10_quiet(profile, last, slots, now)
    assert log10_quiet(profile, last, slots, now + timedelta(hours=more)) <= first + 1e-9
    assert first <= 1e-9


def test_an_afternoon_is_found_and_one_holiday_and_a_weekend_are_not() -> None:
    profile, bound = office(), log10_bound(office().per_week)
    noon = TUESDAY.replace(hour=12)
    assert log10_quiet(profile, noon, 24, noon + timedelta(hours=4)) < bound
    evening = TUESDAY.replace(hour=16, minute=59)
    assert log10_quiet(profile, evening, 52, evening + timedelta(days=1)) > bound  # Wednesday is a holiday
    friday = evening + timedelta(days=3)
    assert log10_quiet(profile, friday, 52, friday + timedelta(days=3, hours=-9)) > -0.1
    assert log10_quiet(profile, friday, 52, friday + timedelta(days=4)) > bound  # and Monday, after the weekend
    assert log10_quiet(profile, evening, 52, evening + timedelta(days=3)) < bound


def test_a_clock_that_was_changed_makes_no_morning_improbable() -> None:
    """Work begins an hour later by UTC than in the weeks that were learnt."""
    profile = office(rate=12.0)
    last = TUESDAY.replace(hour=18) - timedelta(minutes=1)
    assert log10_quiet(profile, last, 100, TUESDAY + timedelta(days=1, hours=9)) > -0.5


def test_what_comes_in_bunches_counts_less() -> None:
    even = [8 * 2.0] * HOURS
    steady = learn(even, [each * each / 8 for each in even], 8)
    bunched = learn(even, [each * each / 8 * 4 for each in even], 8)
    assert steady is not None
    assert bunched is not None
    assert (steady.dispersion, bunched.dispersion > 2) == (1.0, True)
    noon = TUESDAY.replace(hour=12)
    first, second = (log10_quiet(each, noon, 20, noon + timedelta(hours=8)) for each in (steady, bunched))
    assert first < second


def test_the_bound_follows_the_number_of_quiet_stretches_within_limits() -> None:
    assert 10 ** log10_bound(0) == pytest.approx(MOST_BOUND)
    assert 10 ** log10_bound(1e9) == pytest.approx(LEAST_BOUND)
    assert 10 ** log10_bound(1000) == pytest.approx(0.1 / (1000 * 52 / 12))
