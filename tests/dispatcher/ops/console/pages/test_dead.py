"""The pages of dead letters: those of a removed endpoint are sent to a successor that is previewed and confirmed."""

import re

from browser_sessions import BrowserSession
from dead_letters import add_dead_deliveries
from dispatchers import STORE, DispatcherHarness

from shared.ids import uuid7


async def test_the_letters_of_a_removed_endpoint_are_sent_to_the_successor_that_is_named(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    old = await harness.endpoint()
    await add_dead_deliveries(harness, [old], 3)
    await STORE.remove(harness.pool, old.id)
    successor = await harness.endpoint(description="billing, new")
    await session.log_in()
    assert f"/dead/list?endpoint_id={old.id}" in (await session.get(f"/endpoints/{old.id}")).text
    preview = f"/dead/preview?do=replay&endpoint_id={old.id}"
    page = (await session.get(preview)).text
    assert "Nothing to replay" in page
    assert "Send those of removed endpoints to" in page
    assert f'<option value="{successor.id}">billing, new' in page
    for wrong, sentence in (("nonsense", "not an endpoint"), (uuid7(), "no endpoint"), (old.id, "was removed itself")):
        answer = await session.get(f"{preview}&to={wrong}")
        assert (answer.status, sentence in answer.text) == (422, True), wrong
    answer = await session.get(f"{preview}&to={successor.id}")
    assert (answer.status, "Replay 3 dead letters to billing, new?" in answer.text) == (200, True)
    ids = re.findall(r' id="([^"]+)"', answer.text)
    assert len(ids) == len(set(ids)), "the label of a field names one thing"
    given = {"do": "replay", "endpoint_id": str(old.id), "to": str(successor.id)}
    answer = await session.post("/dead/begin", {**given, "do": "discard", "reason": "moved"})
    assert (answer.status, "has no successor" in answer.text) == (422, True)
    answer = await session.post("/dead/begin", given)
    assert (answer.status, answer.location[:10]) == (303, "/dead/jobs")
    await harness.receiver.got(3)
    await harness.settled(6)
    job = (await session.get(answer.location)).text
    assert f'<a href="/endpoints/{successor.id}">the successor</a>' in job
    assert "sent to its successor billing, new instead" in (await session.get("/faxes/phaxio/0")).text
    # A second time there is nothing left, and a letter of an endpoint in use is refused with a sentence.
    await add_dead_deliveries(harness, [successor], 1, first=10)
    answer = await session.post("/dead/begin", {"do": "replay", "all": "true", "to": str(successor.id)})
    assert (answer.status, "without `to`" in answer.said) == (422, True)


async def test_letters_are_found_by_time_and_number_and_a_wrong_one_is_a_sentence(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 2)
    await harness.pool.execute(
        "UPDATE faxes SET from_number = '+15550100001', to_number = '+4930', job_id = 'a job' WHERE fax_id = '1'"
    )
    await session.log_in()
    page = await session.get("/dead/list?number=0001&since=1h")
    assert (page.status, "fax 1<" in page.text, "fax 0<" in page.text) == (200, True, False)
    assert "+15550100001 → +4930" in page.text
    assert 'name="number" value="0001"' in page.text
    assert "number=0001" in page.text.partition("/dead/preview?")[2].partition('"')[0], "a replay takes what is shown"
    assert "1 dead letter match" in (await session.get("/dead?number=0001")).text
    for chosen, other in (("job_id=a+job", "job_id=another"), ("fax_id=1", "fax_id=3")):
        page = await session.get(f"/dead/list?{chosen}")
        assert ("fax 1<" in page.text, "fax 0<" in page.text) == (True, False), chosen
        assert f"/dead/preview?{chosen}&amp;do=replay" in page.text, "a replay takes what is shown"
        assert "1 dead letter match" in (await session.get(f"/dead?{chosen}")).text
        preview = await session.get(f"/dead/preview?{chosen}&do=replay")
        name, _, value = chosen.replace("+", " ").partition("=")
        assert f'name="{name}" value="{value}"' in preview.text, "and so does its button"
        assert "No dead letter matches" in (await session.get(f"/dead/list?{other}")).text
    assert (await session.get("/dead?until=2h")).text.count("No dead letter matches") == 1
    for wrong in ("since=soon", "number=seven", "since=1h&until=2h"):
        for path in ("/dead", "/dead/list"):
            page = await session.get(f"{path}?{wrong}")
            assert (page.status, "Invalid filter" in page.text) == (422, True), wrong
