"""Whose clock is off, and midnight, lose no fax and count none twice."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest
from dispatchers import DispatcherHarness
from list_provider import ListProvider
from list_readings import read_again
from provider_fax import WORDS
from waiting import until

from shared.domain import utc_now
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def test_a_provider_whose_clock_is_off_is_read_by_its_own_clock_and_that_is_reported(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    provider.clock_ahead = timedelta(days=-30)
    provider.fax("sinch", 1, "fax.delivered")
    async with dispatching(**often):
        await harness.events(1)
        row = await read_again(harness.pool, "sinch")
    assert "s behind ours: check the time of this machine" in row["reason"]


def clock_off(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """Set the clock of this machine, as what reads lists and keeps accounts sees it; the ledger's stays."""
    for name in ("client", "reading", "reconciler", "accounts.bookkeeper"):
        monkeypatch.setattr(f"dispatcher.lists.{name}.utc_now", lambda: utc_now() + ahead)


HOURS_OFF = (-24.0, -1.0, 1.0, 24.0)


@pytest.mark.parametrize("whose", ["theirs", "ours"])
@pytest.mark.parametrize("hours", HOURS_OFF)
async def test_with_a_clock_that_is_off_nothing_is_missed_or_told_twice_and_the_account_is_right(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    provider: ListProvider,
    often: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    whose: str,
    hours: float,
) -> None:
    ahead = timedelta(hours=hours)
    if whose == "theirs":
        provider.clock_ahead = ahead
    else:
        clock_off(monkeypatch, ahead)
    await harness.endpoint(format="standard-v1")
    missing = [provider.fax(name, 1, "fax.delivered", ended_ago=1_800) for name in WORDS]
    older = [provider.fax(name, 2, "fax.failed", ended_ago=30 * 3_600) for name in WORDS]
    fresh = [provider.fax(name, 3, "fax.delivered", ended_ago=5) for name in WORDS]
    async with dispatching(**often | {"RECONCILE_GRACE": "10m"}):
        await harness.publish(*(fax.event_of_callback() for fax in fresh))  # its callback came; the list is to wait
        await harness.settled(9)
        rows = [await read_again(harness.pool, name) for name in WORDS]
        await until(lambda: harness.pool.fetchval(ADDS_UP), "each account adds up", 20.0)
        rows += [await read_again(harness.pool, name) for name in WORDS]
    assert all("s behind ours" in row["reason"] or "s ahead of ours" in row["reason"] for row in rows)
    told = Counter(webhook.event_id for webhook in harness.receiver.received)
    assert set(told.values()) == {1}
    assert len(told) == len([*missing, *older, *fresh])
    said = await harness.pool.fetch("SELECT what FROM alerts WHERE kind = 'account_mismatch'")
    assert [row["what"] for row in said] == []


ADDS_UP = """
SELECT count(*) = 3 AND bool_and(theirs = 2 AND missing = 0) FROM (
    SELECT sum(theirs) AS theirs, sum(missing) AS missing FROM accounts WHERE drawn_up_at IS NOT NULL GROUP BY provider
    HAVING provider <> 'asterisk'
) AS each
"""


async def test_a_fax_that_begins_before_midnight_and_ends_after_it_is_of_one_day_only(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    if utc_now() - midnight < timedelta(minutes=5):
        pytest.skip("the first minutes of a day")
    for name in WORDS:
        for number in range(2):
            fax = provider.fax(name, number, "fax.delivered")
            fax.created_at, fax.finished_at = midnight - timedelta(minutes=1), midnight + timedelta(minutes=1)
            if number:  # the other one is told by the list
                await harness.take(fax.event_of_callback())
    async with dispatching(**often):
        await harness.events(6)
        await asyncio.gather(*(read_again(harness.pool, name) for name in WORDS))
        await until(
            lambda: harness.pool.fetchval("SELECT sum(ours) = 6 FROM accounts WHERE theirs = 2"), "the accounts"
        )
    rows = await harness.pool.fetch("SELECT day, sum(theirs) AS theirs, sum(ours) AS ours FROM accounts GROUP BY day")
    days = {row["day"]: (row["theirs"], row["ours"]) for row in rows if row["ours"]}
    assert days == {(midnight - timedelta(days=1)).date(): (6, 6)}
    assert await harness.pool.fetchval("SELECT coalesce(sum(only_ours), 0) FROM accounts") == 0
