"""`faxhook backfill`: what is missing is shown or told, and bad input is one sentence with an exit code; nothing half done."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web
from dispatchers import DispatcherHarness
from list_provider import SECRETS, ListProvider, html, providing
from provider_fax import WORDS
from stores import take_all
from typer.testing import CliRunner

from dispatcher.ops.cli import app
from shared.broker import WORK_EVENTS
from shared.domain import decode_event


@pytest.fixture
async def provider() -> AsyncIterator[ListProvider]:
    async with providing() as running:
        yield running


async def faxhook(
    harness: DispatcherHarness, provider: ListProvider, *arguments: str, **environment: str
) -> tuple[int, str, str]:
    """Run the command in a thread, where it has a loop of its own."""
    env = {**harness.environment, **provider.environment, **environment}
    result = await asyncio.to_thread(CliRunner().invoke, app, ["backfill", *arguments], env=env)
    return result.exit_code, result.stdout, result.stderr


async def report_of(harness: DispatcherHarness, provider: ListProvider, *arguments: str) -> Any:
    code, said, complained = await faxhook(harness, provider, *arguments, "--json")
    assert code == 0, complained
    return decoded(said)


def decoded(said: str) -> Any:
    """Return the report; lines of the log are before it, which go elsewhere outside of tests."""
    return msgspec.json.decode(said[said.index("{\n") :])


async def test_a_dry_run_shows_what_is_missing_and_the_real_one_publishes_it_with_its_document(
    harness: DispatcherHarness, provider: ListProvider
) -> None:
    known = provider.fax("phaxio", 1, "fax.delivered")
    await harness.take(known.event_of_callback())
    missing = [provider.fax("phaxio", 2, "fax.failed"), provider.fax("phaxio", 3, "fax.received")]
    provider.fax("phaxio", 4, "fax.delivered", ended_ago=30)
    provider.fax("phaxio", 5, "under way")
    # 1. Shown only.
    shown = await report_of(harness, provider, "phaxio", "--since", "2h", "--dry-run")
    counts = ("seen", "known", "missing", "early", "under_way", "outcome")
    assert [shown[name] for name in counts] == [5, 1, 2, 1, 1, "done"]
    assert {each["fax_id"] for each in shown["faxes"]} == {"2", "3"}
    assert await take_all(harness.amqp_url, WORK_EVENTS) == []
    assert await harness.pool.fetchval("SELECT count(*) FROM list_readings") == 0
    # 2. Published, as the ingress would have.
    done = await report_of(harness, provider, "phaxio", "--since", "2h")
    assert [done[name] for name in counts] == [5, 1, 2, 1, 1, "done"]
    messages = await take_all(harness.amqp_url, WORK_EVENTS)
    events = [decode_event(message.body) for message in messages]
    assert {event.id for event in events} == {fax.event_of_callback().id for fax in missing}
    assert {message.routing_key for message in messages} == {"phaxio.fax.failed", "phaxio.fax.received"}
    assert {event.media is not None for event in events if event.type == "fax.received"} == {True}
    row = await harness.pool.fetchrow("SELECT * FROM list_readings")
    assert (row["outcome"], row["missing"], row["page"], row["is_standing"]) == ("done", 2, 1, False)
    # 3. Once taken in, nothing is missing.
    await harness.take(*events)
    assert (await report_of(harness, provider, "phaxio", "--since", "2h"))["missing"] == 0


async def test_a_fax_that_vanishes_after_it_was_listed_is_told_without_its_document(
    harness: DispatcherHarness, provider: ListProvider
) -> None:
    for name in WORDS:
        provider.fax(name, 1, "fax.received")

    async def vanish(request: web.Request) -> web.StreamResponse | None:
        is_list = request.path.endswith("/faxes")
        return None if is_list else web.json_response({"message": "gone"}, status=404)

    provider.disturb = vanish
    for name in WORDS:
        report = await report_of(harness, provider, name, "--since", "2h")
        assert (report["missing"], report["without_document"], report["outcome"]) == (1, 1, "done")
    events = [decode_event(message.body) for message in await take_all(harness.amqp_url, WORK_EVENTS)]
    assert [event.media for event in events] == [None] * len(WORDS)


async def test_an_error_page_is_not_kept_as_the_document_of_a_fax(
    harness: DispatcherHarness, provider: ListProvider
) -> None:
    provider.fax("sinch", 1, "fax.received")

    async def maintenance(request: web.Request) -> web.StreamResponse | None:
        return html() if request.path.endswith(".pdf") else None

    provider.disturb = maintenance
    assert (await report_of(harness, provider, "sinch", "--since", "2h"))["without_document"] == 1


async def test_one_fax_that_cannot_be_read_hides_no_other(harness: DispatcherHarness, provider: ListProvider) -> None:
    provider.fax("sinch", 1, "fax.delivered")
    provider.fax("sinch", 2, "fax.delivered", more={"id": None})
    provider.fax("sinch", 3, "fax.delivered", more={"id": "x" * 500})
    code, said, _ = await faxhook(harness, provider, "sinch", "--since", "2h", "--json")
    report = decoded(said)
    assert (code, report["outcome"], report["missing"], report["unreadable"]) == (1, "partly", 1, 2)
    assert "2 faxes of the list cannot be read" in report["reason"]


async def test_a_failure_in_the_middle_loses_nothing_and_the_next_run_goes_on(
    harness: DispatcherHarness, provider: ListProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.lists.apis.phaxio.PAGE_SIZE", 2)
    for number in range(5):
        provider.fax("phaxio", number, "fax.delivered")

    async def break_off(request: web.Request) -> web.StreamResponse | None:
        return html() if request.query.get("page") == "2" else None

    provider.disturb = break_off
    code, _, complained = await faxhook(harness, provider, "phaxio", "--since", "2h")
    assert code == 69
    assert "answered HTML that is not its list" in complained
    row = await harness.pool.fetchrow("SELECT * FROM list_readings")
    assert (row["outcome"], row["missing"], row["page"]) == ("failed", 2, 1)
    provider.disturb = None
    await faxhook(harness, provider, "phaxio", "--since", "2h")
    told = {decode_event(message.body).fax_id for message in await take_all(harness.amqp_url, WORK_EVENTS)}
    assert told == {str(number) for number in range(5)}


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "sentence"),
    [
        (["asterisk", "--since", "2h"], {}, 78, "an Asterisk has no list to ask"),
        (["telnyx", "--since", "2h"], {"TELNYX_API_KEY": ""}, 78, "TELNYX_API_KEY is not set"),
        (["telnyx", "--since", "2h"], {"TELNYX_API_KEY": "wrong"}, 78, "telnyx refuses the key (401)"),
        (["sinch", "--since", "2h"], {"SINCH_PROJECT_ID": "other"}, 78, "SINCH_PROJECT_ID"),
        (["telnyx", "--since", "2019-01-01"], {}, 65, "at most 400 days at once"),
        (["telnyx", "--since", "0001-01-01"], {}, 65, "at most 400 days at once"),
        (["telnyx", "--since", "0001-01-01T00:00:00+14:00"], {}, 65, "is not one of"),
        (["telnyx", "--since", "401d", "--until", "1h"], {}, 65, "is too long before until"),
        (["telnyx", "--since", "999999w"], {}, 65, "is not one of"),
        (["telnyx", "--since", "10000-01-01"], {}, 65, "since: `10000-01-01` is not one of"),
        (
            ["telnyx", "--since", "1h", "--until", "10000-01-01T00:00:00Z"],
            {},
            65,
            "until: `10000-01-01T00:00:00Z` is not",
        ),
        (["telnyx", "--since", "2026-02-30"], {}, 65, "is not one of"),
        (["telnyx", "--since", "1764403200"], {}, 65, "is not one of"),
        (["telnyx", "--since", "2999-01-01"], {}, 65, "lies in the future"),
        (["telnyx", "--since", "9999-12-31T23:59:59.999999Z"], {}, 65, "lies in the future"),
        (["telnyx", "--since", "now"], {}, 65, "lies in the future"),
        (["telnyx", "--since", "1h", "--until", "0001-01-01"], {}, 65, "is not after since"),
        (["telnyx", "--since", "1h", "--until", "1h"], {}, 65, "is not after since"),
        (["telnyx", "--since", ""], {}, 65, "is not one of"),
        (["telnyx", "--since", "soon"], {}, 65, "since: `soon` is not one of"),
        (["telnyx", "--since", "2026-11-01T08:00:00"], {}, 65, "has no time zone"),
        (["telnyx", "--since", "1h", "--until", "2h"], {}, 65, "is not after since"),
    ],
)
async def test_bad_input_is_one_sentence(
    harness: DispatcherHarness,
    provider: ListProvider,
    arguments: list[str],
    environment: dict[str, str],
    code: int,
    sentence: str,
) -> None:
    provider.fax("telnyx", 1, "fax.delivered")
    ended, said, complained = await faxhook(harness, provider, *arguments, **environment)
    assert (ended, sentence in complained) == (code, True), complained
    assert not [secret for secret in SECRETS if secret in said + complained]
    assert await take_all(harness.amqp_url, WORK_EVENTS) == []
    assert await harness.pool.fetchval("SELECT count(*) FROM list_readings WHERE outcome = 'running'") == 0
    assert await harness.pool.fetchval("SELECT count(*) FROM accounts") == 0


@pytest.mark.parametrize("hours", [-24.0, -1.0, 1.0, 24.0])
async def test_how_long_ago_is_counted_by_the_providers_clock_where_the_two_are_apart(
    harness: DispatcherHarness, provider: ListProvider, hours: float
) -> None:
    provider.clock_ahead = timedelta(hours=hours)
    provider.fax("sinch", 1, "fax.delivered", ended_ago=1_200)
    report = await report_of(harness, provider, "sinch", "--since", "30m")
    assert (report["seen"], report["missing"]) == (1, 1)
    assert "check the time of this machine" in report["reason"]


async def test_an_until_in_the_far_future_means_now(harness: DispatcherHarness, provider: ListProvider) -> None:
    provider.fax("sinch", 1, "fax.delivered", ended_ago=1_200)
    report = await report_of(harness, provider, "sinch", "--since", "30m", "--until", "9999-12-31T23:59:59Z")
    assert (report["missing"], report["outcome"]) == (1, "done")
    assert report["until"] < "2999"
