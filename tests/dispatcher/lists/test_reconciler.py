"""What a provider finished and no callback told is found on its list and told once, whichever of the two comes first."""

import asyncio
import pkgutil
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import msgspec
import pytest
from aiohttp import web
from dispatchers import DispatcherHarness
from documents import PDF
from list_provider import SECRETS, WORDS, ListProvider, html
from structlog.testing import capture_logs
from waiting import until

from dispatcher.ledger.locks import Lock
from dispatcher.policy.endpoint import FaxMatch
from shared.domain import Event, EventType, Phase, decode_event, utc_now
from shared.media import MediaStore
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

CASES = [(name, ending) for name, words in WORDS.items() for ending in words if ending != "under way"]


async def readings(pool: asyncpg.Pool, provider: str, outcome: str = "done") -> list[asyncpg.Record]:
    sql = "SELECT * FROM list_readings WHERE provider = $1 AND outcome = $2 ORDER BY started_at"
    return await pool.fetch(sql, provider, outcome)


async def read_again(pool: asyncpg.Pool, provider: str, outcome: str = "done") -> asyncpg.Record:
    """Wait for the end of a reading that begins from now on; return it."""
    now = await pool.fetchval("SELECT now()")

    async def found() -> asyncpg.Record | None:
        return next((row for row in await readings(pool, provider, outcome) if row["started_at"] > now), None)

    return await until(found, f"a reading of {provider} that is {outcome}", 20.0)


async def ledger_events(pool: asyncpg.Pool) -> list[tuple[Event, bool]]:
    rows = await pool.fetch("SELECT body, repeated_by_list FROM events ORDER BY recorded_at, id")
    return [(decode_event(row["body"]), row["repeated_by_list"]) for row in rows]


async def test_each_type_of_each_provider_is_told_once_whichever_comes_first_the_list_or_the_callback(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    await harness.endpoint(format="standard-v1")
    list_first = [provider.fax(name, number, ending) for number, (name, ending) in enumerate(CASES, start=100)]
    async with dispatching(**often):
        # 1. The list first, the callbacks late.
        await harness.receiver.got(len(CASES))
        # 2. The callbacks first, then the same faxes on the list.
        callback_first = [provider.fax(name, number, ending) for number, (name, ending) in enumerate(CASES, start=200)]
        shown, provider.faxes = provider.faxes, [fax for fax in provider.faxes if fax not in callback_first]
        await harness.publish(*(fax.event_of_callback() for fax in callback_first))
        await harness.receiver.got(2 * len(CASES))
        provider.faxes = shown
        await harness.publish(*(fax.event_of_callback() for fax in list_first))
        telnyx = [fax for fax in list_first if fax.provider == "telnyx"]
        await harness.events(2 * len(CASES) + len(telnyx))
        await asyncio.gather(*(read_again(harness.pool, name) for name in WORDS))
        await harness.settled(2 * len(CASES))
    # 3. Each fax was told once, and its ending is in the ledger under every id that it came by.
    told = Counter(webhook.event_id for webhook in harness.receiver.received)
    assert set(told.values()) == {1}
    assert len(told) == 2 * len(CASES)
    found = await ledger_events(harness.pool)
    assert Counter(event.fax_id for event, is_repeated in found if not is_repeated) == Counter(
        fax.fax_id for fax in [*list_first, *callback_first]
    )
    assert {event.fax_id for event, is_repeated in found if is_repeated} == {fax.fax_id for fax in telnyx}
    assert {event.fax_id for event, _ in found if event.origin == "list"} == {fax.fax_id for fax in list_first}
    states = await harness.pool.fetch("SELECT fax_id, state, conflicting FROM faxes")
    assert {row["fax_id"]: row["state"] for row in states} == {
        fax.fax_id: fax.ending for fax in [*list_first, *callback_first]
    }
    assert not any(row["conflicting"] for row in states)
    # 4. The operator is to be told of what was missing.
    missing = await harness.pool.fetch("SELECT subject, count FROM alerts WHERE kind = 'gap_repaired'")
    assert dict(tuple(row) for row in missing) == Counter(fax.provider for fax in list_first)


async def test_a_received_fax_has_its_document_and_a_fax_in_its_grace_or_under_way_waits(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    provider: ListProvider,
    often: dict[str, str],
    store: MediaStore,
) -> None:
    await harness.endpoint(format="standard-v1")
    for name in WORDS:
        provider.fax(name, 1, "fax.received")
        provider.fax(name, 2, "fax.received", document=None)
        provider.fax(name, 3, "fax.delivered", ended_ago=30)
        provider.fax(name, 4, "under way")
    async with dispatching(**often | {"RECONCILE_GRACE": "10m"}):
        await harness.receiver.got(6)
        (early, *_) = [await read_again(harness.pool, name) for name in WORDS]
    found = {(event.provider.value, event.fax_id[-1]): event for event, _ in await ledger_events(harness.pool)}
    assert set(found) == {(name, number) for name in WORDS for number in "12"}
    for name in WORDS:
        with_document, without = found[name, "1"].media, found[name, "2"].media
        assert with_document is not None
        assert await store.get(with_document) == PDF
        assert without is None
        assert with_document.content_type == "application/pdf"
    assert early["known"] == 2
    assert early["missing"] == 0
    assert early["under_way"] == 1


async def test_an_application_that_asked_for_one_fax_by_its_job_is_told_by_the_list(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    await harness.endpoint(scope="fax", direction="sent", match=FaxMatch(job_id="job-7"), format="standard-v1")
    fax = provider.fax("phaxio", 7, "fax.delivered")
    queued = fax.event_of_callback()
    # An earlier callback told the job; Phaxio's list does not.
    await harness.take(_as_queued(queued))
    async with dispatching(**often):
        (webhook,) = await harness.receiver.got(1)
    assert b'"job_id":"job-7"' in webhook.body


def _as_queued(event: Event) -> Event:
    return msgspec.structs.replace(
        event, id="phaxio:queued", type=EventType.QUEUED, phase=Phase.INFLIGHT, job_id="job-7", status="queued"
    )


async def answers_401(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"error": "no"}, status=401)


async def answers_html(_request: web.Request) -> web.StreamResponse:
    return html()


async def answers_nothing_that_is_a_list(_request: web.Request) -> web.StreamResponse:
    return web.json_response({})


async def redirects(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "https://login.example.com/"})


async def asks_for_an_hour(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "3600"})


@pytest.mark.parametrize(
    ("disturb", "sentence"),
    [
        (answers_401, "refuses the key (401): set PHAXIO_API_KEY and PHAXIO_API_KEY_SECRET anew"),
        (answers_html, "answered HTML that is not its list of faxes: does PHAXIO_API_URL lead to its API?"),
        (answers_nothing_that_is_a_list, "answered something that is not its list of faxes"),
        (redirects, "answers 302 instead of its list"),
        (asks_for_an_hour, "answers 429 and asks to wait 3600 s"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_list_that_is_not_given_is_reported_and_is_never_read_as_no_faxes(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    provider: ListProvider,
    often: dict[str, str],
    disturb: Any,
    sentence: str,
) -> None:
    provider.fax("phaxio", 1, "fax.delivered")
    provider.disturb = disturb
    only_phaxio = {name: value for name, value in often.items() if not name.startswith(("TELNYX_API_K", "SINCH_"))}
    with capture_logs() as logs:
        async with dispatching(**only_phaxio):
            await until(lambda: readings(harness.pool, "phaxio", "failed"), "a failed reading")
            row = (await readings(harness.pool, "phaxio", "failed"))[0]
            assert sentence in row["reason"]
            assert (row["seen"], row["missing"]) == (0, 0)
            assert await harness.pool.fetchval("SELECT count(*) FROM list_readings WHERE outcome = 'done'") == 0
            if disturb is asks_for_an_hour:
                left = await harness.pool.fetchval(
                    "SELECT extract(epoch FROM max(not_before) - now()) FROM list_readings"
                )
                assert 3_000 < left <= 3_600
            else:
                provider.disturb = None
                await harness.events(1)
    assert [line for line in logs if line["event"] == "list.failed" and sentence in line["reason"]]
    assert not [secret for secret in SECRETS if secret in repr(logs)]


async def test_a_provider_whose_clock_is_off_is_read_by_its_own_clock_and_that_is_reported(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    provider.clock_ahead = timedelta(days=-30)
    provider.fax("sinch", 1, "fax.delivered")
    async with dispatching(**often):
        await harness.events(1)
        row = await read_again(harness.pool, "sinch")
    assert "s behind ours: check the time of this machine" in row["reason"]


async def test_two_dispatchers_ask_a_provider_no_more_often_than_one(
    harness: DispatcherHarness, provider: ListProvider, often: dict[str, str], unused_tcp_port_factory: Any
) -> None:
    async with (
        harness.dispatching(unused_tcp_port_factory(), **often | {"RECONCILE_EVERY": "3s"}),
        harness.dispatching(unused_tcp_port_factory(), **often | {"RECONCILE_EVERY": "3s"}),
    ):
        await read_again(harness.pool, "telnyx")
        await read_again(harness.pool, "telnyx")
    began = [row["started_at"] for row in await readings(harness.pool, "telnyx")]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(began)]
    assert all(gap >= 3.0 for gap in gaps)


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
