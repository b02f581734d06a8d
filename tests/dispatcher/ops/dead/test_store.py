"""Dead letters are found by time, number, fax and job in ledger and queues alike; a replay takes what the list shows."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from apis import Api, faxhook
from dead_letters import add_dead_deliveries, park_event, quarantine_callback
from dispatchers import DispatcherHarness, an_event

from dispatcher.messages import DeliveryMessage
from dispatcher.ops.api.moments import BadMoment
from dispatcher.ops.dead.jobs.bodies import Selection
from dispatcher.ops.dead.letters import DeadFilter
from dispatcher.ops.dead.service import DeadLetterService
from dispatcher.ops.faxes.lists.numbers import BadNumber
from shared.broker import DEAD_DELIVERY, FAX_DEAD
from shared.domain import encode_event

OURS, THEIRS = "+15550100001", "+4930120002"


async def some_letters(harness: DispatcherHarness, media: Path) -> list[str]:
    """Add four dead deliveries that died an hour and so many days ago, and an event and a callback that died now."""
    found = []
    endpoint = await harness.endpoint()
    for number, (sender, receiver) in enumerate(((OURS, THEIRS), (THEIRS, OURS), (THEIRS, None), (None, None))):
        (letter,) = await add_dead_deliveries(harness, [endpoint], 1, first=number)
        died_at = datetime.now(UTC) - timedelta(days=number, hours=1)
        await harness.pool.execute("UPDATE deliveries SET settled_at = $2 WHERE id = $1", letter, died_at)
        await harness.pool.execute(
            "UPDATE faxes SET from_number = $2, to_number = $3, job_id = $4 WHERE fax_id = $1",
            *(str(number), sender, receiver, "job A" if number < 2 else None),
        )
        found.append(str(letter))
    event = an_event(9, from_number=OURS, to_number="+14440003", job_id="job A")
    await park_event(harness, encode_event(event), cause="crashed")
    await quarantine_callback(harness, media, b"{")
    return found


def printed(said: str) -> Any:
    """Return the JSON of a command; the dispatcher of this process logs beside it."""
    return json.loads(said[said.index("{\n") :])


@pytest.mark.parametrize("few", [20, 0], ids=["by number or job", "by fax"])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"number": "+1 (555) 010-0001"}, {0, 1, "event"}),
        ({"number": "0001"}, {0, 1, "event"}),
        ({"number": "0002"}, {0, 1, 2}),
        ({"number": "0030 120002"}, set()),
        ({"number": "030 120002"}, {0, 1, 2}),
        ({"number": "4440003"}, {"event"}),
        ({"since": "30h"}, {0, 1, "event", "callback"}),
        ({"until": "30h"}, {2, 3}),
        ({"since": "60h", "until": "2h"}, {1, 2}),
        ({"since": "60h", "number": "0002", "until": "2h"}, {1, 2}),
        ({"number": "0001", "kind": "callback"}, set()),
        ({"until": "2000-01-01"}, set()),
        ({"job_id": "job A"}, {0, 1, "event"}),
        ({"job_id": "job A", "number": "0002", "since": "3h"}, {0}),
        ({"job_id": "job A", "kind": "event"}, {"event"}),
        ({"job_id": "job"}, set()),
        ({"fax_id": "2"}, {2}),
        ({"fax_id": "9"}, {"event"}),
        ({"fax_id": "2", "provider": "phaxio"}, {2}),
        ({"fax_id": "2", "provider": "telnyx"}, set()),
        ({"fax_id": "2", "job_id": "job A"}, set()),
    ],
)
async def test_letters_are_found_by_time_number_fax_and_job(
    harness: DispatcherHarness,
    dead: DeadLetterService,
    tmp_path: Path,
    asked: dict[str, str],
    expected: set[object],
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dispatcher.ops.dead.store.FEW_NUMBERS", few)
    monkeypatch.setattr("dispatcher.ops.dead.store.FEW_FAXES", few)
    ids = await some_letters(harness, tmp_path)
    wanted = DeadFilter(**asked)  # type: ignore[arg-type]  # strings, as a query has them
    page = await dead.page(wanted, None, 100)
    found = {ids.index(each.id) if each.id in ids else each.kind for each in page.items}
    assert found == expected
    assert sum(group.count for group in (await dead.groups(wanted)).items) == len(expected)
    preview = await dead.planner.preview("dead.discard", Selection(filter=wanted))
    assert (preview.matched, preview.count) == (len(expected), len(expected))


async def test_a_time_or_number_that_cannot_be_read_is_refused_by_its_name(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    for wanted, error in (
        (DeadFilter(since="soon"), BadMoment),
        (DeadFilter(since="1h", until="2h"), BadMoment),
        (DeadFilter(number="seven"), BadNumber),
    ):
        with pytest.raises(error):
            await dead.page(wanted, None, 10)
        with pytest.raises(error):
            await dead.jobs.begin("dead.discard", Selection(filter=wanted), who="eve", reason="none")
    assert await dead.jobs.latest() == []


async def test_api_and_command_line_take_both_and_say_the_numbers(
    api: Api, harness: DispatcherHarness, tmp_path: Path
) -> None:
    ids = await some_letters(harness, tmp_path)
    status, page = await api.ask("GET", "/v1/dead-letters?number=0001&since=3h")
    assert (status, {each["from_number"] for each in page["items"]}) == (200, {OURS})
    status, problem = await api.ask("GET", "/v1/dead-letters?since=soon")
    assert (status, problem["field"]) == (422, "since")
    status, problem = await api.ask("POST", "/v1/dead-letters/replay", {"filter": {"number": "x"}, "dry_run": True})
    assert (status, problem["field"]) == (422, "number")
    status, text, _ = await api.read("/v1/exports/dead-letters?number=0002&since=3h")
    assert (status, json.loads(text.splitlines()[0])["id"]) == (200, ids[0])
    code, said, _ = await faxhook(harness.environment, "dead", "list", "--each", "--json", "--number", "0002")
    assert (code, {each["id"] for each in printed(said)["items"]}) == (0, set(ids[:3]))
    code, said, _ = await faxhook(harness.environment, "dead", "list", "--since", "2h", "--json")
    assert (code, sum(each["count"] for each in printed(said)["items"])) == (0, 3)
    for options in (("--since", "soon"), ("--number", "seven"), ("--kind", "callback", "--number", "0001")):
        code, _, complained = await faxhook(harness.environment, "dead", "list", *options)
        assert (code, options[-2].removeprefix("--") in complained) == (65, True), complained


async def test_a_replay_of_a_job_or_a_fax_takes_no_other_letters(
    api: Api, harness: DispatcherHarness, tmp_path: Path
) -> None:
    ids = await some_letters(harness, tmp_path)
    status, page = await api.ask("GET", "/v1/dead-letters?job_id=job%20A&kind=delivery")
    assert (status, [(each["id"], each["job_id"]) for each in page["items"]]) == (
        200,
        [(ids[0], "job A"), (ids[1], "job A")],
    )
    body = {"filter": {"job_id": "job A", "kind": "delivery"}, "reason": "a test"}
    status, job = await api.ask("POST", "/v1/dead-letters/discard", body)
    assert (status, job["done"], job["selection"]["filter"]) == (200, 2, body["filter"])
    code, said, _ = await faxhook(harness.environment, "dead", "replay", "--fax", "phaxio:2", "--dry-run", "--json")
    assert (code, printed(said)["matched"]) == (0, 1)
    assert {str(row["id"]) for row in await harness.pool.fetch("SELECT id FROM deliveries WHERE state = 'dead'")} == {
        *ids[2:]
    }
    code, said, _ = await faxhook(harness.environment, "dead", "list", "--job-id", "job A", "--json")
    assert (code, [each["kind"] for each in printed(said)["items"]]) == (0, ["event"])
    for options, named in (
        (("--provider", "telnyx", "--fax", "phaxio:2"), "--provider telnyx and --fax phaxio:2"),
        (("--kind", "callback", "--fax", "phaxio:2"), "--kind callback and --fax"),
        (("--kind", "callback", "--job-id", "x"), "--kind callback and --job-id"),
        (("--fax", "2"), "--fax"),
        (("--fax", "phaxio:"), "--fax"),
    ):
        code, _, complained = await faxhook(harness.environment, "dead", "list", *options)
        assert (code, named in complained) == (65, True), complained


async def test_a_letter_that_the_broker_gave_up_is_found_by_the_fax_and_job_of_its_delivery(
    dead: DeadLetterService, harness: DispatcherHarness, tmp_path: Path
) -> None:
    ids = await some_letters(harness, tmp_path)
    await harness.pool.execute("UPDATE deliveries SET state = 'retrying', attempts = 1 WHERE id = $1", UUID(ids[0]))
    message = msgspec.json.encode(DeliveryMessage(delivery_id=UUID(ids[0]), attempt=2))
    await harness.publisher.publish(FAX_DEAD, DEAD_DELIVERY, message, {})
    await dead.planner.preview("dead.replay", Selection(filter=DeadFilter(kind="delivery")))  # browses the queue
    for wanted in (DeadFilter(fax_id="0"), DeadFilter(job_id="job A", number="0001")):
        (letter,) = [each for each in (await dead.page(wanted, None, 10)).items if each.is_message]
        assert (letter.fax_id, letter.job_id) == ("0", "job A")
    assert not (await dead.page(DeadFilter(fax_id="3", kind="delivery"), None, 10)).items[1:]
