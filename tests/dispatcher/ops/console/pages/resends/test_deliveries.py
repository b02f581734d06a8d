"""Pages of deliveries: a request as it was sent; sending again is previewed, confirmed, and never more than was ticked."""

import re

from browser_sessions import BrowserSession
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness, an_event


async def test_a_request_is_shown_and_what_is_ticked_is_sent_again(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await harness.endpoint(url=harness.receiver.url.replace("http://", "http://erp:geheim@"))
    await harness.publish(an_event(1), an_event(2))
    one, _ = await harness.settled(2)
    await session.log_in()
    page = (await session.get("/faxes/phaxio/1")).text
    assert f'href="/deliveries/{one["id"]}/attempts/1"' in page
    assert f'name="id" value="{one["id"]}"' in page
    answer = await session.get(f"/deliveries/{one['id']}/attempts/1")
    assert (answer.status, "event_type" in answer.text, "fax_completed" in answer.text, "geheim" in answer.text) == (
        200,
        True,
        True,
        False,
    )
    for nothing in ("/deliveries/resend", "/dead/preview?do=replay&selected=on"):
        answer = await session.get(nothing)
        assert (answer.status, "Nothing is selected" in answer.text) == (422, True)
    answer = await session.get(f"/deliveries/resend?id={one['id']}")
    assert (answer.status, "Send 1 delivery again?" in answer.text) == (200, True)
    answer = await session.post("/deliveries/resend", {"id": str(one["id"])})
    assert (answer.status, answer.location[:10]) == (303, "/dead/jobs")
    await harness.receiver.got(3)
    await harness.settled(2)
    answer = await session.get("/faxes/phaxio/1")
    assert (answer.status, re.search(r"attempt 2, sent again by", answer.text) is not None) == (200, True)
    answer = await session.get("/deliveries/resend?provider=phaxio&fax_id=2")
    assert (answer.status, "Send 1 delivery again?" in answer.text) == (200, True)


async def test_only_the_ticked_letters_are_previewed(session: BrowserSession, harness: DispatcherHarness) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 3)
    await session.log_in()
    ids = [str(row["id"]) for row in await harness.deliveries()]
    page = (await session.get("/dead/list")).text
    assert [each in page for each in ids] == [True] * 3
    answer = await session.get(f"/dead/preview?selected=on&id={ids[0]}&id={ids[1]}&do=discard")
    assert (
        answer.status,
        "Discard 2 dead letters?" in answer.text,
        f"{min(ids[:2])},{max(ids[:2])}" in answer.text,
    ) == (200, True, True)
