"""No office is alarmed for nothing twice in a month, over a year with holidays; an outage of a busy line is found."""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from office_years import BUSY_LINE, CLINIC, LAW_FIRM, NIGHTLY_BATCH, Office, Watched, alarms, every, lines_of

SEEDS = range(int(os.environ.get("SILENCE_SEEDS", "2")))
"""More for a long run."""

SHARES = (0.7, 0.3)
FIRST, LAST = datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 12, 28, tzinfo=UTC)
OFFICES = {"clinic": CLINIC, "law firm": LAW_FIRM, "nightly batch": NIGHTLY_BATCH}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", OFFICES)
def test_a_year_without_an_outage_has_at_most_one_alarm_a_month(name: str, seed: int) -> None:
    watched = Watched(lines_of(OFFICES[name], seed, SHARES))
    found = alarms(watched, every(FIRST, LAST, timedelta(hours=1)), timedelta(weeks=1))
    months = Counter((now.year, now.month) for now, _ in found)
    assert max(months.values(), default=0) <= 1, [(now, each.line.subject, each.since) for now, each in found]


def found_after(office: Office, began: datetime, seed: int, within: timedelta, number: int | None = None) -> timedelta:
    """Return how long after *began* an outage is told that ends the faxes of all lines, or of one number."""
    lines = lines_of(office, seed, SHARES)
    for place, line in enumerate(list(lines)):
        if number is None or place == number + 1:
            lines[line] = [at for at in lines[line] if at < began]
    watched = Watched(lines)
    found = alarms(watched, every(began, began + within, timedelta(minutes=5)), timedelta(weeks=1))
    assert found, "it was not found"
    return found[0][0] - began


@pytest.mark.parametrize("seed", SEEDS)
def test_an_outage_of_a_busy_line_in_the_middle_of_its_day_is_found_within_two_hours(seed: int) -> None:
    """25 faxes an hour: docs/missed-faxes.md says two hours."""
    assert found_after(BUSY_LINE, datetime(2026, 9, 15, 9, 0, tzinfo=UTC), seed, timedelta(hours=4)) <= timedelta(
        hours=2
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_an_outage_of_a_clinic_in_its_morning_is_found_on_the_same_day(seed: int) -> None:
    assert found_after(CLINIC, datetime(2026, 9, 15, 8, 30, tzinfo=UTC), seed, timedelta(hours=10)) <= timedelta(
        hours=8
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_one_number_that_is_dead_while_the_others_are_not_is_found(seed: int) -> None:
    began = datetime(2026, 9, 15, 9, 0, tzinfo=UTC)
    assert found_after(BUSY_LINE, began, seed, timedelta(hours=12), number=0) <= timedelta(hours=4)


@pytest.mark.parametrize("office", [CLINIC, LAW_FIRM, NIGHTLY_BATCH], ids=["clinic", "law firm", "batch"])
def test_an_outage_that_begins_at_night_may_be_a_holiday_and_is_found_within_a_week(office: Office) -> None:
    began = datetime(2026, 9, 14, 22, 0, tzinfo=UTC)
    after = found_after(office, began, 1, timedelta(days=8))
    assert timedelta(days=1) < after <= timedelta(days=7)
