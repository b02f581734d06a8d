"""What was deleted from the ledger by hand is said to be missing, is recorded again by a backfill, and is told once."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from dispatchers import DispatcherHarness
from list_provider import ListProvider
from provider_fax import WORDS
from typer.testing import CliRunner
from waiting import until

from dispatcher.ops.cli import app
from shared.domain import FROM_LIST, EventType, decode_event
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

MISSING = "SELECT coalesce(sum(missing), 0) FROM accounts"
FAXES = """
SELECT provider, fax_id, direction, state, rank, occurred_at, type_order, event_id, endings, from_number, to_number, job_id,
       pages, first_received_at
FROM faxes ORDER BY provider, fax_id
"""


async def backfill(harness: DispatcherHarness, provider: ListProvider, name: str, *options: str) -> Any:
    """Run the command in a thread, where it has a loop of its own; return its report."""
    arguments = ["backfill", name, "--since", "2h", "--json", *options]
    env = {**harness.environment, **provider.environment, "RECONCILE_GRACE": "0s"}
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=env)
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout[result.stdout.index("{\n") :])


async def test_an_event_that_is_gone_is_missing_until_a_backfill_records_it_and_no_one_is_told_again(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    await harness.endpoint(format="standard-v1")
    faxes = [provider.fax(name, 1, "fax.received") for name in WORDS]
    events = [fax.event_of_callback() for fax in faxes]
    provider.faxes = []  # until the callbacks told them
    async with dispatching(**often):
        await harness.publish(*events)
        await harness.settled(len(faxes))
        provider.faxes = list(faxes)
        before = await harness.pool.fetch("SELECT id, event_id, state FROM deliveries ORDER BY id")
        # 1. The account says that they are missing, and no reading takes that away.
        assert await harness.pool.execute("DELETE FROM events") == f"DELETE {len(faxes)}"
        await until(lambda: _is(harness, MISSING, len(faxes)), "all are missing")
        shown = [await backfill(harness, provider, name, "--dry-run") for name in WORDS]
        assert [(report["restored"], report["missing"]) for report in shown] == [(1, 0)] * len(WORDS)
        assert await harness.pool.fetchval("SELECT count(*) FROM events") == 0
        # 2. A backfill records them under the ids that they had, with their documents.
        done = [await backfill(harness, provider, name) for name in WORDS]
        assert [(report["restored"], report["missing"]) for report in done] == [(1, 0)] * len(WORDS)
        again = [decode_event(row["body"]) for row in await harness.pool.fetch("SELECT body FROM events")]
        assert {event.id for event in again} == {event.id for event in events}
        assert {(event.origin, event.media is not None) for event in again} == {(FROM_LIST, True)}
        await until(lambda: _is(harness, MISSING, 0), "none is missing")
        # 3. Neither that nor a late callback is told again.
        await harness.publish(*events)
        await harness.publish(provider.fax("phaxio", 2, "fax.delivered").event_of_callback())
        await harness.settled(len(faxes) + 1)
    assert len(harness.receiver.received) == len(faxes) + 1
    after = await harness.pool.fetch("SELECT id, event_id, state FROM deliveries ORDER BY id")
    assert after[: len(before)] == before


async def test_what_was_still_owed_for_an_event_that_was_gone_is_told_once_it_is_recorded(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider
) -> None:
    await harness.endpoint(format="standard-v1")
    fax = provider.fax("telnyx", 1, "fax.delivered")
    await harness.take(fax.event_of_callback())
    assert await harness.pool.execute("DELETE FROM events") == "DELETE 1"
    assert (await backfill(harness, provider, "telnyx"))["restored"] == 1
    await harness.pool.execute("UPDATE deliveries SET lease_until = now() - interval '1 hour', due_at = now()")
    async with dispatching():
        await harness.settled(1)
    (webhook,) = harness.receiver.received
    assert webhook.event_id == fax.event_of_callback().id


async def test_the_lost_one_of_two_endings_is_recorded_and_its_late_callback_is_a_repetition(
    harness: DispatcherHarness, provider: ListProvider
) -> None:
    await harness.endpoint(format="standard-v1")
    fax = provider.fax("telnyx", 1, "fax.failed")
    failed = fax.event_of_callback()
    delivered = msgspec.structs.replace(failed, id="telnyx:other", type=EventType.DELIVERED)
    await harness.take(failed, delivered)
    assert await harness.pool.execute("DELETE FROM events WHERE id = $1", failed.id) == "DELETE 1"
    assert (await backfill(harness, provider, "telnyx"))["restored"] == 1
    assert (await backfill(harness, provider, "telnyx"))["restored"] == 0
    taken = await harness.take(failed)
    assert taken.repeated == {failed.id}
    assert len(await harness.deliveries()) == 2


async def test_a_fax_that_is_gone_is_folded_from_its_events_and_not_told_again(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    await harness.endpoint(format="standard-v1")
    faxes = [provider.fax(name, 1, "fax.failed") for name in WORDS]
    events = [fax.event_of_callback() for fax in faxes]
    provider.faxes = []  # until the callbacks told them
    async with dispatching(**often):
        await harness.publish(*events)
        await harness.settled(len(events))
        provider.faxes = faxes
        before = await harness.pool.fetch(FAXES)
        assert await harness.pool.execute("DELETE FROM faxes") == f"DELETE {len(events)}"
        await until(lambda: _is(harness, "SELECT count(*) FROM faxes", len(events)), "the faxes are there again")
        await harness.publish(provider.fax("sinch", 2, "fax.delivered").event_of_callback())
        await harness.settled(len(events) + 1)
    assert len(harness.receiver.received) == len(events) + 1
    assert await harness.pool.fetch(FAXES.replace("ORDER", "WHERE fax_id <> 'sinch-2' ORDER")) == before


async def test_an_event_without_a_readable_body_keeps_no_list_from_being_read(
    harness: DispatcherHarness, provider: ListProvider
) -> None:
    events = [provider.fax("phaxio", number, "fax.failed").event_of_callback() for number in (1, 2, 3)]
    await harness.take(*events)
    await harness.pool.execute("DELETE FROM faxes")
    await harness.pool.execute("UPDATE events SET body = NULL WHERE fax_id = '1'")
    await harness.pool.execute("UPDATE events SET body = '{\"of\": \"a later version\"}' WHERE fax_id = '2'")
    provider.fax("phaxio", 4, "fax.failed")
    report = await backfill(harness, provider, "phaxio")
    assert (report["outcome"], report["known"], report["missing"]) == ("done", 3, 1)
    assert [row["fax_id"] for row in await harness.pool.fetch("SELECT fax_id FROM faxes")] == ["3"]


async def _is(harness: DispatcherHarness, sql: str, value: int) -> bool:
    return bool(await harness.pool.fetchval(sql) == value)
