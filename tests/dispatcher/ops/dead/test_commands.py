"""`faxhook dead`: what people see and scripts get; every way in which it ends, with its exit code."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness
from stores import count
from typer.testing import CliRunner

from dispatcher.ops.cli import app
from dispatcher.ops.dead.jobs import store as jobs
from dispatcher.ops.dead.jobs.moves import deliveries


async def faxhook(harness: DispatcherHarness, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command in a thread, where it has a loop of its own."""
    variables = {**harness.environment, "COLUMNS": "200", **environment}
    result = await asyncio.to_thread(CliRunner().invoke, app, ["dead", *arguments], env=variables)
    return result.exit_code, result.stdout, result.stderr


def read(said: str) -> Any:
    """Return the JSON of an output that the tests' own log lines may precede."""
    lines = [line for line in said.splitlines() if not line.startswith('{"')]
    return msgspec.json.decode("\n".join(lines))


async def test_groups_are_shown_to_people_with_what_to_do_and_to_programs_as_json(harness: DispatcherHarness) -> None:
    ids = await add_dead_deliveries(harness, [await harness.endpoint()], 10)
    code, said, _ = await faxhook(harness, "list")
    assert code == 0
    assert "host_not_found" in said
    assert "delivery: the application failed (5xx)" in said
    assert "correct the URL" in said
    code, said, _ = await faxhook(harness, "list", "--json", "--cause", "http_5xx")
    (group,) = read(said)["items"]
    assert (group["cause"], group["count"], group["codes"]) == ("http_5xx", 2, {"http_503": 2})
    assert UUID(group["example"]["id"]) in ids
    code, said, _ = await faxhook(harness, "list", "--each", "--older-than", "1m", "--limit", "3")
    assert (code, said.count("fax.delivered phaxio")) == (0, 3)
    assert "the latest 3" in said


async def test_one_is_shown_with_its_attempts_and_what_to_do(harness: DispatcherHarness) -> None:
    (delivery_id,) = await add_dead_deliveries(harness, [await harness.endpoint()], 1, ["http_404"])
    code, said, _ = await faxhook(harness, "show", str(delivery_id))
    assert code == 0
    assert "answered 404" in said
    assert "correct the URL" in said
    assert "account=1" not in said, "a URL's query may hold secrets"


async def test_a_replay_previews_asks_and_counts(harness: DispatcherHarness) -> None:
    (endpoint, off) = (await harness.endpoint(), await harness.endpoint(enabled=False))
    await add_dead_deliveries(harness, [endpoint, off], 20)
    code, said, _ = await faxhook(harness, "replay", "--cause", "tls", "--dry-run")
    assert code == 0
    assert "4 match; to replay: 2" in said
    assert str(endpoint.id) in said
    assert "2  skipped: their endpoint is disabled" in said
    code, _, complained = await faxhook(harness, "replay", "--cause", "tls")
    assert (code, "say --yes" in complained) == (65, True)
    assert await count(harness.amqp_url, "work.deliveries") == 0
    code, said, _ = await faxhook(harness, "replay", "--cause", "tls", "--yes")
    assert (code, "2 of 4 replayed" in said) == (1, True), "some stay dead"
    assert await count(harness.amqp_url, "work.deliveries") == 2
    code, said, _ = await faxhook(harness, "replay", "--endpoint", str(endpoint.id), "--yes", "--json")
    assert (code, read(said)["done"]) == (0, 8)


async def test_what_was_told_meanwhile_is_said_and_is_no_failure(harness: DispatcherHarness) -> None:
    (delivery_id,) = await add_dead_deliveries(harness, [await harness.endpoint()], 1)
    await harness.pool.execute("UPDATE deliveries SET state = 'told'")
    code, said, _ = await faxhook(harness, "replay", str(delivery_id), "--yes")
    assert (code, "1  skipped: delivered meanwhile" in said) == (0, True)


async def test_a_discard_wants_a_reason_and_says_what_it_did(harness: DispatcherHarness) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 3)
    code, _, complained = await faxhook(harness, "discard", "--all", "--yes")
    assert (code, "--reason" in complained) == (65, True)
    code, said, _ = await faxhook(harness, "discard", "--all", "--yes", "--reason", "moved away")
    assert (code, "3 of 3 discarded" in said) == (0, True)
    code, said, _ = await faxhook(harness, "list")
    assert (code, said.strip().splitlines()[-1]) == (0, "no dead letters")


async def test_each_mistake_ends_with_a_sentence_and_its_exit_code(harness: DispatcherHarness) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 1, ["tls"])
    unknown = "018f0000-0000-7000-8000-000000000000"
    for arguments, code, sentence in (
        (["show", "nonsense"], 65, "there is no dead letter nonsense"),
        (["replay", unknown, "--yes"], 65, f"there is no dead letter {unknown}"),
        (["replay", "--cause", "gone", "--yes"], 65, "no dead letter matches"),
        (["replay", "--yes"], 65, "say which"),
        (["replay", unknown, "--cause", "tls"], 65, "contradict each other"),
        (["list", "--kind", "letter"], 65, "--kind: `letter` is unknown; known are callback, delivery, event"),
        (["list", "--older-than", "soon"], 65, "--older-than wants"),
        (["list", "--endpoint", "7"], 65, "--endpoint: must be an id"),
    ):
        ended, _, complained = await faxhook(harness, *arguments)
        assert (ended, sentence in complained) == (code, True), (arguments, ended, complained)
    ended, _, complained = await faxhook(harness, "list", OPS_AMQP_URL="amqp://127.0.0.1:1/")
    assert (ended, "the broker does not answer" in complained) == (69, True)
    ended, _, complained = await faxhook(harness, "list", OPS_AMQP_URL="http://x/")
    assert (ended, "OPS_AMQP_URL" in complained) == (78, True)
    assert [row["state"] for row in await harness.deliveries()] == ["dead"]


async def test_our_own_crash_is_exit_70_with_the_place_and_nothing_stays_half_done(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 2)

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(deliveries, "move", broken)
    for tries in range(1, jobs.MOST_CRASHES + 1):
        await harness.pool.execute("UPDATE jobs SET lease_until = now() - interval '1 s'")
        code, _, complained = await faxhook(harness, "replay", "--all", "--yes")
        assert code == 70, complained
        assert "our own code failed, ZeroDivisionError at " in complained
        assert ("is given up" in complained) == (tries == jobs.MOST_CRASHES)
    assert await harness.pool.fetchval("SELECT count(*) FROM deliveries WHERE state = 'dead'") == 2
