"""The account of a day says what is missing, wherever it was lost, and never says so of a day whose list was not read."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from dispatchers import DispatcherHarness
from list_provider import ListProvider
from provider_fax import WORDS
from receiver import Received
from structlog.testing import capture_logs
from waiting import until

from dispatcher.lists.accounts import ledger
from dispatcher.lists.accounts.bookkeeper import Bookkeeper
from dispatcher.metrics import Metrics
from dispatcher.settings import DispatcherSettings
from shared.domain import Provider, utc_now
from shared.runtime.service import Stop
from shared.settings import load

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

SUM = """
SELECT count(*) AS days, sum(theirs) AS theirs, sum(ours) AS ours, sum(repaired) AS repaired, sum(missing) AS missing,
       sum(told) AS told, sum(owed) AS owed, sum(dead) AS dead, sum(unowed) AS unowed, sum(under_way) AS under_way,
       array_agg(DISTINCT verdict) AS verdicts, max(reason) AS reason, min(drawn_up_at) AS drawn_up_at
FROM accounts WHERE provider = $1
"""


async def total(pool: asyncpg.Pool, provider: str, **wanted: Any) -> asyncpg.Record:
    """Return all days together, once they hold what is *wanted*: a day ends while the tests run, too."""
    rows: list[asyncpg.Record] = []

    async def found() -> asyncpg.Record | None:
        rows.append(await pool.fetchrow(SUM, provider))
        return rows[-1] if all(rows[-1][name] == value for name, value in wanted.items()) else None

    try:
        return await until(found, f"{provider}: {wanted}", 20.0)
    except AssertionError as error:
        raise AssertionError(f"{error}: {dict(rows[-1])}") from None


def fails_for(*fax_ids: str) -> Callable[[Received], int]:
    """Answer 500 to the webhooks of these faxes, else 200."""
    return lambda received: 500 if any(fax_id.encode() in received.body for fax_id in fax_ids) else 200


async def test_what_is_theirs_is_ours_and_told_owed_or_dead_and_an_event_that_is_lost_by_hand_is_missing(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    await harness.endpoint(format="standard-v1", direction="sent")
    told = [provider.fax(name, 1000 + number, "fax.delivered") for name in WORDS for number in range(3)]
    for number, name in enumerate(WORDS, start=1):
        for each in range(2):
            provider.fax(name, 2000 + number * 10 + each, "fax.failed")
        provider.fax(name, 3000, "fax.received")  # no endpoint asks for it
        provider.fax(name, 4000, "under way")
    harness.receiver.answer = fails_for("2010", "2020", "2030")
    shown, provider.faxes = provider.faxes, []
    async with dispatching(**often):
        await harness.publish(*(fax.event_of_callback() for fax in told))
        await harness.events(len(told))
        provider.faxes = shown
        for name in WORDS:
            row = await total(harness.pool, name, theirs=6, ours=6, owed=1, told=4, unowed=1)
            assert (row["repaired"], row["missing"], row["under_way"], row["dead"]) == (3, 0, 1, 0)
            assert "missing" not in row["verdicts"]
        # An event is lost by hand, and nothing else of its fax.
        with capture_logs() as logs:
            lost = "DELETE FROM events WHERE provider = 'sinch' AND fax_id = 'sinch-1001'"
            assert await harness.pool.execute(lost) == "DELETE 1"
            row = await total(harness.pool, "sinch", missing=1)
            await until(lambda: [each for each in logs if each["event"] == "account.wrong"], "it is said")
        assert (row["theirs"], row["ours"], row["told"]) == (6, 5, 3)
        assert "missing" in row["verdicts"]
        (said, *more) = [each for each in logs if each["event"] == "account.wrong"]
        assert more == []
        assert said["reason"].startswith("1 of 6 faxes on Sinch's list are not in the ledger")
        (alert,) = await harness.pool.fetch("SELECT * FROM alerts WHERE kind = 'account_mismatch'")
        assert alert["subject"].startswith("sinch 20")
        assert said["reason"] in alert["what"]
        assert alert["resolved_at"] is None


async def answers_401(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"error": "no"}, status=401)


async def test_a_day_on_which_the_key_was_refused_is_not_known_and_is_when_the_list_is_read(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    await harness.take(provider.fax("telnyx", 1, "fax.delivered").event_of_callback())
    provider.fax("telnyx", 2, "fax.delivered")
    provider.disturb = answers_401
    async with dispatching(**often):
        row = await total(harness.pool, "telnyx", ours=1, verdicts=["not_read"])
        assert row["days"] >= 3
        assert (row["theirs"], row["missing"], row["repaired"]) == (None, None, None)
        assert "telnyx refuses the key (401)" in row["reason"]
        over = await harness.pool.fetchrow("SELECT * FROM accounts WHERE provider = 'telnyx' ORDER BY day LIMIT 1")
        assert ledger.account_in({name: over[name] for name in COLUMNS}, utc_now()).is_wrong
        provider.disturb = None
        row = await total(harness.pool, "telnyx", theirs=2, ours=2, missing=0)
    assert "not_read" not in row["verdicts"]
    assert row["reason"] is None
    alerts = await harness.pool.fetch("SELECT * FROM alerts WHERE subject LIKE 'telnyx %'")
    assert len(alerts) >= 2  # each day that was over
    assert all("telnyx refuses the key (401)" in alert["what"] for alert in alerts)
    assert all(alert["resolved_at"] is not None for alert in alerts)


COLUMNS = [name.strip() for name in ledger.SELECTED.split(",")]


@pytest.mark.parametrize("settles", [True, False])
async def test_a_list_that_shifts_is_counted_right_or_not_said_to_be_read(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str], settles: bool
) -> None:
    provider.most_per_page = 4
    for number in range(10):
        provider.fax("sinch", number, "fax.delivered")
    first = [provider.fax("sinch", 100 + number, "under way") for number in range(3)]
    grown = itertools.count(1_000)

    async def shifts(request: web.Request) -> web.StreamResponse | None:
        """Between two pages a fax vanishes, which pulls another over the edge; or one comes, each time."""
        if "/v3/" in request.path and request.query.get("page") == "2":
            if not settles:
                provider.fax("sinch", next(grown), "under way")
            elif first:
                provider.faxes.remove(first.pop())
        return None

    provider.disturb = shifts
    async with dispatching(**often):
        if settles:
            row = await total(harness.pool, "sinch", theirs=10, ours=10, missing=0)
            assert not {"missing", "not_read", "partly_read"} & set(row["verdicts"])
        else:
            row = await total(harness.pool, "sinch", ours=10)
            assert "partly_read" in row["verdicts"] or "not_read" in row["verdicts"]
            assert "changed while it was read" in row["reason"]


async def test_a_fax_that_the_list_does_not_name_is_only_ours(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    fax = provider.fax("phaxio", 1, "fax.delivered")
    await harness.take(fax.event_of_callback())
    provider.faxes.clear()
    await harness.pool.execute(
        "UPDATE faxes SET first_received_at = date_trunc('day', now(), 'UTC') + interval '1 s',"
        " recorded_at = now() - interval '5 minutes'"
    )
    yesterday = (utc_now() - timedelta(days=1)).date()
    await harness.pool.execute(
        "INSERT INTO accounts (provider, day, read_since, read_until) VALUES ('phaxio', $1, $1::date::timestamp AT TIME"
        " ZONE 'UTC', ($1::date + 1)::timestamp AT TIME ZONE 'UTC')",
        yesterday,
    )
    async with dispatching(**often):
        await until(lambda: harness.pool.fetchval("SELECT only_ours FROM accounts WHERE only_ours > 0"), "only ours")
    assert await harness.pool.fetchval("SELECT verdict FROM accounts WHERE only_ours > 0") == "only_ours"


async def test_the_account_of_a_day_stays_after_its_faxes_are_forgotten(harness: DispatcherHarness) -> None:
    environment = harness.environment | {"TELNYX_API_KEY": "key", "RETENTION_DAYS": "3"}
    settings = load(DispatcherSettings, environment)
    bookkeeper = Bookkeeper(Provider.TELNYX, settings.reconciliation(), 3, Metrics(), has_list=True)
    old = (utc_now() - timedelta(days=9)).date()
    await harness.pool.execute("INSERT INTO listed_faxes (provider, fax_id, day) VALUES ('telnyx', 'a', $1)", old)
    await harness.pool.execute(
        "INSERT INTO accounts (provider, day, verdict, theirs, ours, missing, dead, drawn_up_at) VALUES"
        " ('telnyx', $1, 'complete', 7, 7, 0, 1, now() - interval '8 days')",
        old,
    )
    async with harness.pool.acquire() as connection:
        await bookkeeper.draw_up(connection)
        kept = await ledger.read(connection, Provider.TELNYX, old, utc_now())
    assert kept is not None
    assert (kept.theirs, kept.ours, kept.verdict, kept.is_wrong) == (7, 7, "complete", False)
    assert await harness.pool.fetchval("SELECT count(*) FROM listed_faxes") == 0


async def test_a_dispatcher_ends_while_it_counts_though_the_driver_hides_the_cancellation(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = asyncio.Event()

    async def count(_self: Bookkeeper, _connection: Any) -> None:
        counting.set()
        try:
            await asyncio.sleep(600)  # until it is cancelled
        except asyncio.CancelledError:
            raise asyncpg.InterfaceError("connection is closed") from None

    monkeypatch.setattr(Bookkeeper, "draw_up_if_due", count)
    async with asyncio.timeout(20):
        async with dispatching():
            await counting.wait()


async def test_a_provider_without_a_list_has_an_account_of_what_was_received(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider
) -> None:
    await harness.take(provider.fax("phaxio", 1, "fax.delivered").event_of_callback())
    async with dispatching(RECONCILE_EVERY="1s"):
        row = await total(harness.pool, "phaxio", ours=1)
    assert (row["verdicts"], row["theirs"], row["missing"]) == (["no_list"], None, None)
    assert await harness.pool.fetchval("SELECT count(*) FROM accounts WHERE provider <> 'phaxio'") == 0


async def test_nothing_is_counted_for_a_provider_without_a_list_that_never_sent_a_fax(
    harness: DispatcherHarness, provider: ListProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    count = ledger.count

    async def spied(connection: Any, of: Provider, *rest: Any) -> Any:
        counted.append(of)
        return await count(connection, of, *rest)

    monkeypatch.setattr(ledger, "count", spied)
    await harness.take(provider.fax("phaxio", 1, "fax.delivered").event_of_callback())
    settings = load(DispatcherSettings, harness.environment).reconciliation()
    async with harness.pool.acquire() as connection:
        for each in (Provider.PHAXIO, Provider.SINCH):
            await Bookkeeper(each, settings, 3, Metrics(), has_list=False).draw_up(connection)
    assert set(counted) == {Provider.PHAXIO}
