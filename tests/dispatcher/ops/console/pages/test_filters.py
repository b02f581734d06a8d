"""A filter narrows what is shown and what is replayed, and a replay of nothing is a sentence."""

from browser_sessions import BrowserSession
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness


async def test_a_replay_of_nothing_says_so(session: BrowserSession) -> None:
    await session.log_in()
    page = await session.post("/dead/begin", {"do": "replay", "cause": "timeout"})
    assert page.status == 404
    page = await session.post("/dead/begin", {"do": "replay"})
    assert (page.status, "Nothing was selected" in page.text) == (422, True)
    page = await session.post("/dead/begin", {"do": "discard", "cause": "timeout", "reason": " "})
    assert page.status == 422
    assert "Enter a reason" in page.text


async def test_a_filter_narrows_what_is_shown_and_what_is_replayed(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    endpoints = [await harness.endpoint(), await harness.endpoint()]
    await add_dead_deliveries(harness, endpoints, 20, causes=("timeout", "tls"))
    await session.log_in()
    page = await session.get("/dead")
    assert "20 dead letters, in 2 groups" in page.text
    page = await session.get(f"/dead?endpoint_id={endpoints[0].id}")
    assert "10 dead letters match, in 2 groups" in page.text
    assert f"endpoint_id={endpoints[0].id}&amp;kind=delivery&amp;cause=timeout&amp;do=replay" in page.text
    page = await session.get(f"/dead/preview?do=replay&endpoint_id={endpoints[0].id}&cause=tls")
    assert "Replay 5 dead letters?" in page.text
    assert (page.value("endpoint_id"), page.value("cause"), page.value("do")) == (str(endpoints[0].id), "tls", "replay")
