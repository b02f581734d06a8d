"""An account adds up whatever its figures are, and what no list told is never said to be complete, or 0 missing."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.lists.accounts.account import (
    Account,
    Coverage,
    Fates,
    Figures,
    Standing,
    account_of,
    bounds,
    days_of,
    is_alarming,
)
from dispatcher.lists.accounts.words import sentence_of
from shared.domain import Provider

DAY = date(2026, 11, 28)
START = datetime(2026, 11, 28, tzinfo=UTC)
NOON, END = START + timedelta(hours=12), START + timedelta(days=1)
FATES = Fates(told=6, owed=1, dead=1, unowed=2)
"""Ten faxes."""


def drawn(figures: Figures, **standing: object) -> Account:
    fixed = {"day": DAY, "now": END + timedelta(hours=9), "has_list": True, "read": bounds(DAY), "recent": END}
    return account_of(
        Provider.TELNYX,
        figures,
        Standing(**{**fixed, "day_before_is_read": True, "read_to": END, "held_before": END, **standing}),
    )


def figures(theirs: int = 10, unlisted: int = 0, on_the_way: int = 0) -> Figures:
    return Figures(theirs=theirs, repaired=3, on_the_way=on_the_way, listed=FATES, unlisted=Fates(told=unlisted))


TODAY = {"now": NOON, "recent": NOON - timedelta(hours=1)}
"""Read within the last hour is read in time."""


@pytest.mark.parametrize(
    ("account", "verdict", "numbers", "sentence"),
    [
        (drawn(figures()), "complete", (10, 10, 0, 0), "all 10 faxes of Telnyx's list are in the ledger"),
        (drawn(figures(on_the_way=1)), "open", (10, 10, 0, 0), "up to 24:00"),
        (drawn(figures(11)), "missing", (11, 10, 1, 0), "1 of 11 faxes on Telnyx's list are not in the ledger"),
        (drawn(figures(unlisted=2)), "only_ours", (10, 12, 0, 2), "2 of our 12 faxes are not on Telnyx's list"),
        # What was created before the list was first read belongs to no day that can be compared.
        (drawn(figures(unlisted=2), day_before_is_read=False), "complete", (10, 10, 0, None), "all 10"),
        (drawn(figures(), read=None), "not_read", None, "not known"),
        (drawn(figures(), read=None, reason="it refuses the key"), "not_read", None, "not known: it refuses the key"),
        (drawn(figures(), read=Coverage(START, NOON)), "partly_read", None, "only from 00:00 to 12:00"),
        (drawn(figures(), read=Coverage(NOON, END)), "partly_read", None, "only from 12:00 to 24:00"),
        (drawn(figures(12), read=Coverage(NOON, END)), "missing", (12, 10, 2, None), "2 of 12"),
        (
            drawn(figures(), read=Coverage(NOON, END), is_first=True, day_before_is_read=False),
            "begun", (10, 10, None, None), "from 12:00 on",
        ),
        (drawn(figures(), read=None, has_list=False), "no_list", None, "no list to compare with"),
        (drawn(figures(), read=Coverage(START, NOON), **TODAY), "open", (10, 10, 0, 0), "up to 12:00"),
        (drawn(figures(), read=Coverage(START, NOON - timedelta(hours=2)), **TODAY), "partly_read", None, "to 10:00"),
        (drawn(figures(), read=None, **TODAY), "not_read", None, "was not read"),
        (drawn(Figures(), read=None, now=START, recent=START - timedelta(hours=1)), "open", None, "still to be read"),
    ],
)  # fmt: skip
def test_the_verdict_follows_from_the_figures_and_from_what_was_read(
    account: Account, verdict: str, numbers: tuple[int | None, ...] | None, sentence: str
) -> None:
    assert account.verdict == verdict
    if numbers is None:
        numbers = (account.theirs, account.ours, None, None)
    assert (account.theirs, account.ours, account.missing, account.only_ours) == numbers
    assert sentence in sentence_of(account)


def test_a_day_that_is_not_over_alarms_only_if_it_does_not_add_up() -> None:
    unread_now = drawn(figures(), read=None, **TODAY)
    assert not is_alarming(unread_now, NOON)
    assert is_alarming(unread_now, END)
    assert is_alarming(drawn(figures(11), read=Coverage(START, NOON), **TODAY), NOON)
    assert is_alarming(drawn(figures(unlisted=1)), END)
    assert not is_alarming(drawn(figures()), END)
    assert not is_alarming(drawn(figures(), read=Coverage(NOON, END), is_first=True), END)


counts = st.integers(0, 50)
fates = st.builds(Fates, told=counts, owed=counts, dead=counts, unowed=counts)
moments = st.one_of(st.none(), st.integers(0, 24 * 60))


@given(
    listed=fates,
    unlisted=fates,
    lacking=counts,
    coming=counts,
    start=st.integers(0, 1440),
    minutes=moments,
    now=st.integers(0, 3000),
    has_list=st.booleans(),
    is_first=st.booleans(),
    before=st.booleans(),
)
def test_every_account_adds_up_and_only_a_day_that_was_read_is_compared(
    listed: Fates, unlisted: Fates, lacking: int, coming: int, start: int, minutes: int | None, now: int,
    has_list: bool, is_first: bool, before: bool,
) -> None:  # fmt: skip
    read = None
    if minutes is not None:
        since = START + timedelta(minutes=start)
        read = Coverage(since, min(END, since + timedelta(minutes=minutes)))
    found = Figures(theirs=listed.count + lacking, on_the_way=coming, listed=listed, unlisted=unlisted)
    moment = START + timedelta(minutes=now)
    account = drawn(
        found, read=read, now=moment, recent=moment - timedelta(minutes=45), has_list=has_list, is_first=is_first,
        day_before_is_read=before,
    )  # fmt: skip
    assert account.ours == account.told + account.owed + account.dead + account.unowed
    if account.verdict == "complete":
        assert account.theirs == account.ours
        assert account.missing == 0
        assert (account.read_since, account.read_until) == (START, END)
    if account.missing == 0:
        assert account.read_since == START
        assert account.theirs is not None
    if lacking:
        assert account.verdict == "missing"
        assert account.missing == lacking
    assert sentence_of(account)


def test_a_span_is_cut_at_the_midnights_of_utc() -> None:
    berlin = datetime.fromisoformat("2026-11-28T00:30:00+01:00")
    parts = days_of(berlin, berlin + timedelta(days=2))
    assert [(part.since.date().day, part.since.hour, part.until.hour) for part in parts] == [
        (27, 23, 0),
        (28, 0, 0),
        (29, 0, 23),
    ]
    assert days_of(END, START) == []
