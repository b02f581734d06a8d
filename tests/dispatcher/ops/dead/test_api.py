"""`/v1/dead-letters`: listed, grouped, replayed and discarded over HTTP; refusals that say what to do."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from apis import READER, Api
from dead_letters import add_dead_deliveries, park_event, quarantine_callback
from dispatchers import DispatcherHarness, an_event
from ledgers import ADVISORY_LOCKS
from stores import count
from waiting import until

from dispatcher.ledger.locks import Lock
from dispatcher.ops.dead.letters import DeadLetter, Kind
from dispatcher.ops.dead.queues.index import DeadQueueIndex
from shared.broker import DEAD_DELIVERY, FAX_DEAD
from shared.domain import encode_event


async def test_dead_letters_are_listed_filtered_grouped_shown_and_replayed(
    api: Api, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint()
    ids = [str(each) for each in await add_dead_deliveries(harness, [endpoint], 10)]
    status, listed = await api.ask("GET", "/v1/dead-letters?limit=4")
    assert (status, len(listed["items"])) == (200, 4)
    status, rest = await api.ask("GET", f"/v1/dead-letters?after={listed['next']}")
    assert len(rest["items"]) == 6
    assert rest["next"] is None
    assert sorted(each["id"] for each in listed["items"] + rest["items"]) == sorted(ids)
    assert {"id", "kind", "cause", "reason", "event_id", "endpoint_id", "died_at"} <= listed["items"][0].keys()
    status, some = await api.ask("GET", f"/v1/dead-letters?cause=http_5xx&endpoint_id={endpoint.id}&kind=delivery")
    assert {each["cause"] for each in some["items"]} == {"http_503"}
    status, groups = await api.ask("GET", "/v1/dead-letters/groups")
    assert [(group["count"], group["endpoints"]) for group in groups["items"]] == [(2, 1)] * 5
    status, shown = await api.ask("GET", f"/v1/dead-letters/{ids[0]}")
    assert (status, shown["letter"]["id"], shown["attempts"][0]["answer"]) == (200, ids[0], "sorry")
    assert "?" not in shown["endpoint_url"]
    status, preview = await api.ask("POST", "/v1/dead-letters/replay", {"ids": ids[:3], "dry_run": True})
    assert (status, preview["count"]) == (200, 3)
    status, job = await api.ask("POST", "/v1/dead-letters/replay", {"ids": ids[:3]})
    assert (status, job["total"], job["done"], job["state"]) == (200, 3, 3, "done")
    received = await harness.receiver.got(3)
    assert {webhook.delivery_id for webhook in received} == set(ids[:3])
    assert await count(harness.amqp_url, "dead.deliveries") == 7
    assert (await api.ask("GET", f"/v1/dead-letters/{ids[0]}"))[0] == 404
    status, job = await api.ask("POST", "/v1/dead-letters/discard", {"all": True, "reason": "a test"})
    job = await done(api, job)
    assert (job["done"], job["reason"]) == (7, "a test")
    assert (await api.ask("GET", "/v1/dead-letters"))[1]["items"] == []
    assert await count(harness.amqp_url, "dead.deliveries") == 0


async def test_a_letter_is_found_by_its_id_from_the_moment_of_its_death(
    api: Api, harness: DispatcherHarness, tmp_path: Path
) -> None:
    for number in range(25):
        callback_id = await quarantine_callback(harness, tmp_path, b"{%d" % number)
        status, shown = await api.ask("GET", f"/v1/dead-letters/{callback_id}")
        assert (status, shown.get("letter", {}).get("kind")) == (200, "callback"), (number, shown)
        body = b"no event %d" % number
        await park_event(harness, body)
        status, shown = await api.ask("GET", f"/v1/dead-letters/event-{hashlib.sha256(body).hexdigest()[:32]}")
        assert (status, shown.get("letter", {}).get("kind")) == (200, "event"), (number, shown)
        await harness.publisher.publish(FAX_DEAD, DEAD_DELIVERY, body, {})
        status, shown = await api.ask("GET", f"/v1/dead-letters/message-{hashlib.sha256(body).hexdigest()[:32]}")
        assert (status, shown.get("letter", {}).get("kind")) == (200, "delivery"), (number, shown)


@pytest.mark.parametrize("look_seconds", [0.0, 0.15])
async def test_lists_and_groups_show_a_letter_from_the_moment_of_its_death(
    api: Api, harness: DispatcherHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look_seconds: float
) -> None:
    """On a machine that takes its time for a look at few messages, too."""
    look = DeadQueueIndex._look

    async def slow(index: DeadQueueIndex, kind: Kind) -> dict[str, DeadLetter]:
        await asyncio.sleep(look_seconds)  # the machine's slowness is what is tried
        return await look(index, kind)

    monkeypatch.setattr(DeadQueueIndex, "_look", slow)
    for number in range(10):
        callback_id = str(await quarantine_callback(harness, tmp_path, b"{%d" % number))
        for query in ("", "?kind=callback", "?provider=telnyx"):
            _, listed = await api.ask("GET", f"/v1/dead-letters{query}")
            assert callback_id in {each["id"] for each in listed["items"]}, (number, query)
        _, groups = await api.ask("GET", "/v1/dead-letters/groups?kind=callback")
        assert sum(group["count"] for group in groups["items"]) == number + 1


async def test_many_who_ask_for_an_unknown_letter_at_once_share_one_look(
    api: Api, harness: DispatcherHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await quarantine_callback(harness, tmp_path, b"{")
    looks = 0
    look = DeadQueueIndex._look

    async def counted(index: DeadQueueIndex, kind: Kind) -> dict[str, DeadLetter]:
        nonlocal looks
        looks += 1
        return await look(index, kind)

    monkeypatch.setattr(DeadQueueIndex, "_look", counted)
    unknown = "018f0000-0000-7000-8000-000000000000"
    answers = await asyncio.gather(*(api.ask("GET", f"/v1/dead-letters/{unknown}") for _ in range(20)))
    assert {status for status, _ in answers} == {404}
    assert looks < 8


async def done(api: Api, job: dict[str, Any]) -> dict[str, Any]:
    async def is_done() -> dict[str, Any] | None:
        _, shown = await api.ask("GET", f"/v1/jobs/{job['id']}")
        return shown if shown["state"] == "done" else None

    shown: dict[str, Any] = await until(is_done, "the job is done", 30.0)
    return shown


async def test_a_long_one_is_answered_202_and_followed(api: Api, harness: DispatcherHarness) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 40)
    status, job = await api.ask("POST", "/v1/dead-letters/replay", {"filter": {"kind": "delivery"}})
    assert status == 202
    assert job["left"] > 0
    job = await done(api, job)
    assert (job["total"], job["done"]) == (40, 40)
    await harness.receiver.got(40)


async def test_a_job_whose_process_died_is_continued_by_the_dispatcher(api: Api, harness: DispatcherHarness) -> None:
    await park_event(harness, encode_event(an_event(1)))
    letter = (await api.ask("GET", "/v1/dead-letters"))[1]["items"][0]
    await harness.pool.execute(
        """
        WITH job AS (INSERT INTO jobs (id, what, who, selection, lease_until)
                     VALUES (gen_random_uuid(), 'dead.replay', 'cli', '{"ids": []}', now() - interval '1 s')
                     RETURNING id)
        INSERT INTO job_items (job_id, letter_id, kind, state) SELECT id, $1, 'event', 'waiting' FROM job
        """,
        letter["id"],
    )
    await harness.events(1)
    assert await until(lambda: jobs_are_done(api), "the job is done")


async def jobs_are_done(api: Api) -> bool:
    _, jobs = await api.ask("GET", "/v1/jobs")
    return [(job["state"], job["done"]) for job in jobs["items"]] == [("done", 1)]


async def test_a_command_that_comes_again_does_nothing_again_and_two_at_once_are_one(
    api: Api, harness: DispatcherHarness
) -> None:
    ids = [str(each) for each in await add_dead_deliveries(harness, [await harness.endpoint()], 2)]
    command = {"ids": ids, "command_id": "once"}
    answers = await asyncio.gather(*(api.ask("POST", "/v1/dead-letters/replay", command) for _ in range(3)))
    assert {status for status, _ in answers} <= {200, 202}
    assert len({job["id"] for _, job in answers}) == 1
    status, problem = await api.ask("POST", "/v1/dead-letters/replay", {"ids": ids[:1], "command_id": "once"})
    assert (status, problem["code"]) == (409, "command_id_reused")
    await harness.receiver.got(2)


REFUSED = [
    ("GET", "/v1/dead-letters/nonsense", None, 404, "dead_letter_not_found"),
    ("GET", "/v1/dead-letters?colour=red", None, 422, "bad_query"),
    ("GET", "/v1/dead-letters?kind=fax", None, 422, "bad_query"),
    ("GET", "/v1/dead-letters?endpoint_id=7", None, 422, "bad_query"),
    ("GET", "/v1/dead-letters?older_than_seconds=old", None, 422, "bad_query"),
    ("GET", "/v1/dead-letters?older_than_seconds=nan", None, 422, "bad_query"),
    ("GET", "/v1/dead-letters?limit=0", None, 422, "bad_query"),
    ("GET", "/v1/dead-letters?after=nowhere", None, 422, "bad_cursor"),
    ("GET", "/v1/dead-letters?cause=a%00b", None, 422, "bad_query"),
    ("GET", "/v1/jobs/nonsense", None, 404, "job_not_found"),
    ("GET", "/v1/jobs/018f0000-0000-7000-8000-000000000000", None, 404, "job_not_found"),
    ("POST", "/v1/dead-letters/replay", {}, 422, "bad_selection"),
    ("POST", "/v1/dead-letters/replay", {"ids": []}, 422, "bad_body"),
    ("POST", "/v1/dead-letters/replay", {"ids": ["x"]}, 404, "dead_letter_not_found"),
    ("POST", "/v1/dead-letters/replay", {"ids": ["a\0b"]}, 422, "bad_body"),
    ("GET", "/v1/dead-letters/a%00b", None, 404, "dead_letter_not_found"),
    ("POST", "/v1/dead-letters/replay", {"ids": ["x"], "filter": {}}, 422, "bad_selection"),
    ("POST", "/v1/dead-letters/replay", {"filter": {"cause": "tls"}}, 404, "nothing_matches"),
    ("POST", "/v1/dead-letters/replay", {"filter": {"color": "red"}}, 422, "bad_body"),
    ("POST", "/v1/dead-letters/replay", {"filter": {}}, 422, "bad_selection"),
    ("POST", "/v1/dead-letters/replay", {"filter": {"kind": None}, "dry_run": True}, 422, "bad_selection"),
    ("POST", "/v1/dead-letters/replay", {"all": False}, 422, "bad_selection"),
    ("POST", "/v1/dead-letters/replay", {"all": True, "ids": ["x"]}, 422, "bad_selection"),
    ("POST", "/v1/dead-letters/replay", {"all": True, "filter": {"kind": "event"}}, 422, "bad_selection"),
    ("POST", "/v1/dead-letters/discard", {"filter": {}, "reason": "x"}, 422, "bad_selection"),
    ("POST", "/v1/dead-letters/discard", {"filter": {}}, 422, "bad_body"),
    ("POST", "/v1/dead-letters/discard", {"filter": {}, "reason": " "}, 422, "bad_reason"),
    ("POST", "/v1/dead-letters/discard", [], 400, "malformed"),
]


async def test_what_cannot_be_is_refused_with_a_sentence(api: Api) -> None:
    for method, path, body, status, code in REFUSED:
        answered, problem = await api.ask(method, path, body)
        assert (answered, problem["code"], len(problem["detail"]) > 10) == (status, code, True), (path, body, problem)


async def test_a_reader_reads_and_changes_nothing(api: Api, harness: DispatcherHarness) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 1)
    assert (await api.ask("GET", "/v1/dead-letters/groups", headers=READER))[0] == 200
    status, problem = await api.ask("POST", "/v1/dead-letters/replay", {"filter": {}}, READER)
    assert (status, problem["code"]) == (403, "read_only")


async def test_every_kind_of_letter_is_listed_while_a_dispatcher_runs_and_samples(
    api: Api, harness: DispatcherHarness, tmp_path: Path
) -> None:
    await quarantine_callback(harness, tmp_path / "media", b"{}")
    await park_event(harness, b"{}")
    await add_dead_deliveries(harness, [await harness.endpoint()], 1)

    async def is_sampling() -> bool:
        held = f"SELECT count(*) FROM {ADVISORY_LOCKS} WHERE objid = $1 AND granted"  # noqa: S608 - a constant
        return bool(await harness.pool.fetchval(held, Lock.SAMPLE))

    await until(is_sampling, "the dispatcher samples")
    status, listed = await api.ask("GET", "/v1/dead-letters")
    assert (status, sorted(each["kind"] for each in listed["items"])) == (200, ["callback", "delivery", "event"])


async def test_what_an_endpoint_was_not_owed_is_recovered_and_refusals_say_what_to_do(
    api: Api, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint(enabled=False)
    await harness.take(*(an_event(number) for number in range(3)))
    path, body = f"/v1/endpoints/{endpoint.id}/recover", {"since": "2026-01-01T00:00:00+02:00"}
    status, preview = await api.ask("POST", path, {**body, "dry_run": True})
    assert (status, preview["count"], preview["skipped_endpoint"]) == (200, 0, 3)
    status, problem = await api.ask("POST", path, body)
    assert (status, problem["code"], "enable it first" in problem["detail"]) == (409, "endpoint_disabled", True)
    await harness.pool.execute("UPDATE endpoints SET enabled = true")
    assert (await api.ask("POST", path, body, READER))[0] == 403
    status, job = await api.ask("POST", path, {**body, "command_id": "once"})
    assert (status, job["what"], job["total"], job["done"]) == (200, "endpoint.recover", 3, 3)
    assert job["selection"]["skipped"]["endpoint_id"] == str(endpoint.id)
    assert (await api.ask("POST", path, {**body, "command_id": "once"}))[1]["id"] == job["id"]
    assert len(await harness.receiver.got(3)) == 3
    for wrong, expected in (
        (body, (404, "nothing_matches")),
        ({"since": "0001-01-01T00:00:00+14:00", "until": "9999-12-31T23:59:59-14:00"}, (404, "nothing_matches")),
        ({}, (422, None)),
        ({"since": "2026-01-01T00:00:00"}, (422, None)),
        ({**body, "ids": []}, (422, None)),
        ({**body, "until": "2025-01-01T00:00:00Z"}, (422, "bad_selection")),
    ):
        status, problem = await api.ask("POST", path, wrong)
        assert (status, problem["code"] if expected[1] else None) == expected, (wrong, problem)
    for unknown in ("018f0000-0000-7000-8000-000000000000", "nonsense"):
        assert (await api.ask("POST", f"/v1/endpoints/{unknown}/recover", body))[0] == 404
    assert len(harness.receiver.received) == 3
