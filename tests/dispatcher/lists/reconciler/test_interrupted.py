"""A reading that ends in the middle, for whatever reason, is begun anew and tells each fax once."""

import pkgutil
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from dispatchers import DispatcherHarness
from list_provider import ListProvider
from list_readings import ledger_events, read_again, readings
from waiting import until

from dispatcher.ledger.locks import Lock
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

STEPS = [
    ("reading.note_listed", "before"),
    ("reading.note_listed", "after"),
    ("reading.known_faxes", "after"),
    ("reading.fetch_document", "after"),
    ("reading.MediaStore.put", "after"),
    ("reconciler.late_publisher", "before"),
    ("publish", "before"),
    ("publish", "after"),
    ("reading.cover", "before"),
    ("reading.cover", "after"),
    ("reconciler.readings.progress", "before"),
    ("reconciler.readings.finish", "before"),
    ("reconciler.readings.finish", "after"),
    ("reconciler.raise_matter", "before"),
    ("accounts.bookkeeper.ledger.write", "before"),
    ("accounts.bookkeeper.ledger.write", "after"),
]
"""What a reading does, in its order."""


@pytest.mark.parametrize(("step", "when"), STEPS, ids=["-".join(each) for each in STEPS])
@pytest.mark.parametrize("error", [asyncpg.ConnectionDoesNotExistError("gone"), LookupError("our own fault")], ids=repr)
async def test_a_reading_that_ends_at_any_step_is_begun_anew_and_tells_all_of_it_once(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    provider: ListProvider,
    often: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    when: str,
    error: Exception,
) -> None:
    """As if its process were killed there: what it did before stays, and nothing after it is done."""
    ends = "dispatcher.publishing._LatePublisher.publish" if step == "publish" else f"dispatcher.lists.{step}"
    place, _, name = ends.rpartition(".")
    owner = pkgutil.resolve_name(place)
    own, ended = getattr(owner, name), []

    async def end_once(*given: Any, **named: Any) -> Any:
        if when == "after" and not ended:
            await own(*given, **named)
        if not ended:
            ended.append(step)
            raise error
        return await own(*given, **named)

    def end_once_at_its_call(*given: Any, **named: Any) -> Any:
        if not ended:
            ended.append(step)
            raise error
        return own(*given, **named)

    monkeypatch.setattr(owner, name, end_once_at_its_call if name == "late_publisher" else end_once)
    await harness.endpoint(format="standard-v1")
    for number in range(3):
        provider.fax("phaxio", number, "fax.received")
    only_phaxio = {key: value for key, value in often.items() if not key.startswith(("TELNYX_API_K", "SINCH_"))}
    async with dispatching(**only_phaxio):
        await harness.settled(3)
        await until(
            lambda: harness.pool.fetchval(
                "SELECT sum(theirs) = 3 AND sum(ours) = 3 AND sum(missing) = 0 FROM accounts WHERE provider = 'phaxio'"
            ),
            "the account adds up",
        )
        await read_again(harness.pool, "phaxio")
    assert ended == [step]
    assert Counter(Counter(webhook.event_id for webhook in harness.receiver.received).values()) == {1: 3}
    events = [event for event, _ in await ledger_events(harness.pool)]
    assert {event.media is not None for event in events} == {True}
    assert await harness.pool.fetchval("SELECT count(*) FROM list_readings WHERE outcome = 'running'") <= 1


END_HOLDERS = """
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND objid = $1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_a_leader_that_loses_its_session_in_the_middle_and_the_next_one_tell_each_fax_once(
    harness: DispatcherHarness,
    provider: ListProvider,
    often: dict[str, str],
    unused_tcp_port_factory: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dispatcher.lists.apis.phaxio.PAGE_SIZE", 2)
    for number in range(7):
        provider.fax("phaxio", number, "fax.delivered")
    ended: list[int] = []

    async def end_the_session(request: web.Request) -> None:
        if request.query.get("page") in {"2", "3"} and len(ended) < 3:
            ended.append(len(await harness.pool.fetch(END_HOLDERS, Lock.READ_LIST_OF_PHAXIO)))

    provider.disturb = end_the_session
    await harness.endpoint(format="standard-v1")
    only_phaxio = {name: value for name, value in often.items() if not name.startswith(("TELNYX_API_K", "SINCH_"))}
    async with (
        harness.dispatching(unused_tcp_port_factory(), **only_phaxio),
        harness.dispatching(unused_tcp_port_factory(), **only_phaxio),
    ):
        await read_again(harness.pool, "phaxio")
        await harness.settled(7)
        row = await read_again(harness.pool, "phaxio")
    assert ended == [1, 1, 1]
    assert (row["known"], row["missing"]) == (7, 0)
    assert Counter(Counter(webhook.event_id for webhook in harness.receiver.received).values()) == {1: 7}
    assert len(await readings(harness.pool, "phaxio", "interrupted")) >= 3


async def test_a_key_that_is_changed_while_a_list_is_read_ends_that_reading_and_the_new_one_goes_on(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    provider: ListProvider,
    often: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dispatcher.lists.apis.telnyx.PAGE_SIZE", 2)
    for number in range(7):
        provider.fax("telnyx", number, "fax.delivered")

    async def change(request: web.Request) -> None:
        if request.query.get("page[number]") == "3":
            monkeypatch.setattr("list_provider.TELNYX_KEY", "telnyx-key-new")

    provider.disturb = change
    await harness.endpoint(format="standard-v1")
    async with dispatching(**often):
        row = (await until(lambda: readings(harness.pool, "telnyx", "failed"), "a failed reading"))[0]
        assert (row["missing"], row["page"]) == (4, 2)
        assert "refuses the key (401): set TELNYX_API_KEY anew" in row["reason"]
        # Of the two days, only the older one was read to its end.
        assert await harness.pool.fetchval(
            "SELECT max(read_until) < now() - interval '23 hours' FROM accounts WHERE provider = 'telnyx'"
        )
    async with dispatching(**often | {"TELNYX_API_KEY": "telnyx-key-new"}):
        await harness.settled(7)
        await read_again(harness.pool, "telnyx")
    assert Counter(Counter(webhook.event_id for webhook in harness.receiver.received).values()) == {1: 7}
