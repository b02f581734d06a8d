"""`faxhook faxes`: the page says why an endpoint did not get its events; what cannot be found is a sentence, exit 65."""

import asyncio
import json
import re
from datetime import timedelta

import asyncpg
import msgspec
import pytest
from dispatchers import an_event
from ledgers import endpoint, take
from typer.testing import CliRunner

from dispatcher.ledger.deliveries import Record, record
from dispatcher.ops.cli import app
from dispatcher.ops.faxes.lists.queries import EventQuery
from dispatcher.ops.faxes.reader import FaxReader
from shared.domain import EventType, Failure, Provider, utc_now

IN_FIVE_MINUTES = r"(5 min|4 min \d+ s)"


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    return {"AMQP_URL": "amqp://unused/", "DATABASE_URL": database_url, "COLUMNS": "160"}


async def faxhook(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run the command in a thread, where it has a loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, app, ["faxes", *arguments], env=environment)
    return result.exit_code, result.stdout, result.stderr


async def a_failed_attempt(pool: asyncpg.Pool, **fields: object) -> None:
    delivery_id = await pool.fetchval("SELECT id FROM deliveries")
    facts = {
        "delivery_id": delivery_id,
        "attempt": 1,
        "state": "retrying",
        "wait_seconds": 300.0,
        "started_at": utc_now(),
        "seconds": 0.25,
        "outcome": "not_told",
        "url": "http://127.0.0.1:1/hook",
        "http_status": 503,
        "error": "http_503",
        "answer": b"Down for maintenance\n\x1b[2Jback at nine",
    }
    await record(pool, [Record(**{**facts, **fields})])


async def test_the_page_says_what_the_receiver_answered_and_when_the_next_attempt_is_due(
    environment: dict[str, str], pool: asyncpg.Pool
) -> None:
    await endpoint(pool)
    await take(pool, an_event(1, pages=3, status="success", to_number="+15550001"))
    await a_failed_attempt(pool)
    code, page, _ = await faxhook(environment, "show", "phaxio:1")
    assert code == 0
    assert "fax.delivered, 1 event, 1 delivery: 1 retrying" in page
    assert "attempt 1 failed: it answered 503, after 0.25 s" in page
    assert "Down for maintenance" in page
    assert "\x1b[2J" not in page
    assert re.search(rf"not delivered yet: 1 attempt failed; attempt 2 is due in {IN_FIVE_MINUTES}", page)
    assert "127.0.0.1:1/hook" in page


async def test_the_page_says_why_an_endpoint_is_owed_nothing(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    await endpoint(pool, direction="received")
    await endpoint(pool, enabled=False)
    await take(pool, an_event(1, EventType.FAILED, failure=Failure(message="Line is busy")))
    _, page, _ = await faxhook(environment, "show", "1")
    assert "1 delivery: 1 skipped" in page
    assert "reason: Line is busy" in page
    assert "it is for received faxes only" in page
    assert "skipped: the endpoint was disabled" in page


async def test_a_dead_delivery_says_of_what_it_died(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    await take(pool, an_event(1))
    await a_failed_attempt(pool, state="dead", reason="host_not_found", error="host_not_found", http_status=None)
    _, page, _ = await faxhook(environment, "show", "1")
    assert "given up after 1 attempt: its host's name does not resolve" in page


async def test_after_a_replay_the_attempts_since_are_counted_and_those_before_are_named(
    environment: dict[str, str], pool: asyncpg.Pool
) -> None:
    await endpoint(pool)
    await take(pool, an_event(1))
    await pool.execute(
        "UPDATE deliveries SET state = 'retrying', attempts = 3, budget_from = 3, replayed_at = now(), "
        "lease_until = NULL, due_at = now() + interval '5 min'"
    )
    _, page, _ = await faxhook(environment, "show", "1")
    assert "not delivered yet: replayed after 3 attempts; deferred" in page
    await a_failed_attempt(pool, attempt=4)
    _, page, _ = await faxhook(environment, "show", "1")
    expected = rf"not delivered yet: replayed after 3 attempts; 1 attempt failed; attempt 5 is due in {IN_FIVE_MINUTES}"
    assert re.search(expected, page)
    await a_failed_attempt(pool, attempt=5, state="dead", reason="http_503")
    _, page, _ = await faxhook(environment, "show", "1")
    assert "given up after 2 attempts since its replay, 3 before: it answered 503" in page


async def test_json_is_the_body_of_the_api(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    await take(pool, an_event(1))
    code, said, _ = await faxhook(environment, "show", "1", "--json")
    story = msgspec.json.decode(said)
    assert (code, story["state"], len(story["deliveries"])) == (0, "fax.delivered", 1)
    _, said, _ = await faxhook(environment, "list", "--json")
    assert [each["fax_id"] for each in msgspec.json.decode(said)["items"]] == ["1"]


async def test_a_pruned_fax_is_shown_as_pruned(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    await take(pool, an_event(1))
    await pool.execute("UPDATE events SET body = NULL")
    code, page, _ = await faxhook(environment, "show", "1")
    assert (code, "its content is pruned" in page) == (0, True)


@pytest.mark.parametrize("text", ["nothing", "phaxio:2", "[bold]", "", "\x1b[2J"])
async def test_what_is_not_there_is_exit_65_and_a_sentence(
    environment: dict[str, str], pool: asyncpg.Pool, text: str
) -> None:
    code, _, complained = await faxhook(environment, "show", "--", text)
    assert code == 65
    assert "in the ledger" in complained
    assert "\x1b" not in complained


async def test_an_id_that_may_mean_two_faxes_asks_which(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    await take(pool, an_event(1), an_event(1, id="sinch:1", provider=Provider.SINCH))
    code, _, complained = await faxhook(environment, "show", "1")
    assert code == 65
    assert "may mean phaxio:1, sinch:1" in complained


async def test_lists_go_on_over_pages_until_there_are_enough(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    now = utc_now()
    await take(pool, *(an_event(n, received_at=now - timedelta(seconds=n)) for n in range(210)))
    _, said, _ = await faxhook(environment, "list", "--limit", "205", "--json")
    assert [each["fax_id"] for each in msgspec.json.decode(said)["items"]] == [str(n) for n in range(205)]
    code, _, complained = await faxhook(environment, "list", "--state", "fax.lost")
    assert (code, "--state" in complained) == (65, True)
    _, said, _ = await faxhook(environment, "list", "--number", "+1999")
    assert said == "no fax matches\n"


async def test_a_stalled_fax_says_so_in_its_story_and_in_the_list_until_it_ends(
    environment: dict[str, str], pool: asyncpg.Pool
) -> None:
    fields = {"state": "fax.sending", "after_seconds": 21_600.0, "provider_says": "under_way"}
    await take(pool, an_event(1, EventType.SENDING), an_event(1, EventType.STALLED, fields=fields), an_event(2))
    _, page, _ = await faxhook(environment, "show", "phaxio:1")
    assert "fax.sending (stalled: without an ending at 2026-10-03 08:00:00" in page
    assert "no ending came within 6 h; its provider says that it is under way" in page
    _, page, _ = await faxhook(environment, "list", "--state", "fax.stalled")
    assert "fax.sending (stalled)" in page
    assert "phaxio:2" not in page
    await take(pool, an_event(1))
    _, page, _ = await faxhook(environment, "show", "phaxio:1")
    assert "(stalled" not in page
    assert "no ending came within 6 h" in page  # it happened all the same
    _, page, _ = await faxhook(environment, "list", "--state", "fax.stalled")
    assert "no fax matches" in page


@pytest.mark.parametrize("is_list_first", [True, False])
async def test_an_ending_that_list_and_callback_tell_is_shown_with_which_was_first(
    environment: dict[str, str], pool: asyncpg.Pool, *, is_list_first: bool
) -> None:
    await endpoint(pool)
    callback = an_event(1, id="telnyx:a", provider=Provider.TELNYX)
    listed = msgspec.structs.replace(callback, id="telnyx:b", origin="list")
    for event in (listed, callback) if is_list_first else (callback, listed):
        await take(pool, event)
    _, page, _ = await faxhook(environment | {"COLUMNS": "400"}, "show", "telnyx:1")
    assert page.count("found on the provider's list") == 1
    first = "the provider's list" if is_list_first else "its callback"
    assert page.count(f"a repetition: {first} reported this ending before, ") == page.count("owed to no endpoint") == 1
    _, body, _ = await faxhook(environment, "show", "telnyx:1", "--json")
    marks = {each["id"]: each["repeated_by_list"] for each in json.loads(body)["events"]}
    assert marks == {"telnyx:a": is_list_first, "telnyx:b": not is_list_first}
    listed_marks = {each.id: each.repeated_by_list for each in (await FaxReader(pool).events(EventQuery())).items}
    assert listed_marks == marks
