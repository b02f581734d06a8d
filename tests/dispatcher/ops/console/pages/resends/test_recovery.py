"""Recover and Send selected again: previewed, confirmed as it was previewed, and nothing to those that may only read."""

import re
from datetime import UTC, datetime

import msgspec
import pytest
from browser_sessions import READ_TOKEN, BrowserSession
from dispatchers import DispatcherHarness, an_event

from dispatcher.ops.console.errors import PageError
from dispatcher.ops.console.pages.resends.recovery import read_recovery
from dispatcher.policy.endpoint import Endpoint
from shared.ids import uuid7

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


async def test_what_an_endpoint_was_not_owed_is_previewed_confirmed_and_owed(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    off = await harness.endpoint(enabled=False)
    await harness.publish(an_event(1), an_event(2))
    await harness.settled(2)
    await session.log_in()
    path = f"/endpoints/{off.id}/recover"
    assert f'href="{path}"' in (await session.get(f"/endpoints/{off.id}")).text
    page = await session.get(path)
    assert (page.status, "Nothing has been recovered yet" in page.text, 'method="post" action="/end' in page.text) == (
        200,
        False,
        False,
    )
    page = await session.get(f"{path}?since=1h")
    assert (page.status, "Nothing to recover" in page.text, "enable it</a> first" in page.text) == (200, True, True)
    answer = await session.post(path, {"since": "1h"})
    assert (answer.status, "is disabled" in answer.text) == (409, True)
    await session.post(f"/endpoints/{off.id}/enabled", {"enabled": "on"})
    page = await session.get(f"{path}?since=1h")
    assert (page.status, "Recover 2 deliveries?" in page.text) == (200, True)
    since = re.search(r'type="hidden" name="since" value="([^"]+)"', page.text)[1]
    assert since.endswith("Z"), "what is confirmed is what was previewed, not an hour before another now"
    for wrong, status in (({"since": "soon"}, 422), ({"since": "today", "until": "yesterday"}, 422), ({}, 422)):
        assert (await session.post(path, wrong)).status == status, wrong
        query = "&".join(f"{name}={value}" for name, value in wrong.items())
        assert (await session.get(f"{path}?{query}")).status == (status if wrong else 200)
    assert (await session.get(f"{path}?told=yes&all=1")).status == 422
    answer = await session.post(path, {"since": since})
    assert (answer.status, answer.location[:10]) == (303, "/dead/jobs")
    assert sorted(each.event_id for each in await harness.receiver.got(2)) == [
        "phaxio:1-fax.delivered", "phaxio:2-fax.delivered",
    ]  # fmt: skip
    await harness.settled(2)
    answer = await session.post(path, {"since": since})
    assert (answer.status, "Nothing was skipped since then" in answer.text) == (404, True), "twice owes nothing twice"
    page = await session.get(f"{path}?since=1h&told=on")
    assert "Recover 2 deliveries?" in page.text
    assert (await session.get(f"/endpoints/{uuid7()}/recover")).status == 404


async def test_rows_of_an_endpoints_deliveries_are_ticked_and_sent_again(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    made = await harness.endpoint()
    await harness.publish(an_event(1), an_event(2))
    one, _ = await harness.settled(2)
    owed = uuid7()
    await harness.pool.execute(
        "INSERT INTO deliveries (id, event_id, endpoint_id, state, due_at) "
        "VALUES ($1, $2, $3, 'retrying', now() + '1 day')",
        *(owed, "phaxio:3", made.id),
    )
    await session.log_in(READ_TOKEN)
    page = (await session.get(f"/endpoints/{made.id}/deliveries")).text
    assert (str(one["id"]) in page, "checkbox" in page, "Send selected" in page) == (True, False, False)
    assert "Recover…" not in (await session.get(f"/endpoints/{made.id}")).text
    assert (await session.post(f"/endpoints/{made.id}/recover", {"since": "1h"})).status == 403
    await session.post("/logout")
    await session.log_in()
    page = (await session.get(f"/endpoints/{made.id}/deliveries")).text
    ticked = set(re.findall(r'type="checkbox" name="id" value="([^"]+)"', page))
    assert ticked == {str(row["id"]) for row in await harness.deliveries()} - {str(owed)}
    answer = await session.get("/deliveries/resend?" + "&".join(f"id={each}" for each in ticked))
    assert "Send 2 deliveries again?" in answer.text
    assert (await session.get("/deliveries/resend?")).status == 422


def test_a_recovery_is_confirmed_as_it_was_previewed() -> None:
    endpoint = Endpoint(id=uuid7(), url="http://127.0.0.1:1/")
    asked = {"since": "24h", "until": "today", "told": "", "overtaken": "on"}
    selection, chosen = read_recovery(endpoint, asked, NOW)
    assert chosen == {"since": "2026-11-28T12:00:00Z", "until": "2026-11-29T00:00:00Z"}
    assert read_recovery(endpoint, chosen, NOW.replace(hour=13)) == (selection, chosen)
    assert not selection.overtaken, "does nothing without the told ones"
    again, both = read_recovery(endpoint, {**asked, "told": "on"}, NOW)
    assert (again.overtaken, again.skipped.told, both) == (True, True, {**chosen, "told": "on", "overtaken": "on"})
    assert msgspec.json.encode(again)
    with pytest.raises(PageError, match="Say since when"):
        read_recovery(endpoint, {"since": "  "}, NOW)
