"""Events are listed on a page, filtered as in the API, and lead to their faxes; the lists lead to each other."""

from browser_sessions import BrowserSession
from dispatchers import DispatcherHarness, an_event

from shared.domain import EventType


async def test_events_are_filtered_and_lead_to_their_faxes(session: BrowserSession, harness: DispatcherHarness) -> None:
    made = await harness.endpoint(description="Billing <b>", direction="sent")
    await harness.publish(
        an_event(1, job_id="a job", to_number="+15550100001"), an_event(2, EventType.RECEIVED, to_number="+4930")
    )
    await harness.settled(1)
    await session.log_in()
    assert f'href="/events?endpoint_id={made.id}"' in (await session.get(f"/endpoints/{made.id}")).text
    for query, faxes in (
        ("", {1, 2}),
        (f"endpoint_id={made.id}", {1}),
        ("type=fax.received", {2}),
        ("provider=phaxio&fax_id=2", {2}),
        ("provider=telnyx", set()),
        ("number=0001", {1}),
        ("job_id=a+job&since=1h", {1}),
        ("until=1h", set()),
    ):
        page = (await session.get(f"/events?{query}")).text
        assert {each for each in (1, 2) if f'href="/faxes/phaxio/{each}"' in page} == faxes, query
        assert ("No event matches" in page, "<b>" in page) == (not faxes, False), query
        assert f"/exports/events?{query.replace('&', '&amp;')}" in page or not faxes
    page = (await session.get("/events")).text
    assert ("Owed to 1 endpoint ·" in page, "Owed to no endpoint ·" in page) == (True, True)
    for path in ("/faxes", "/events", "/deliveries", "/attempts"):
        page = (await session.get(path)).text
        for other in ("/faxes", "/events", "/deliveries", "/attempts"):
            here = ' aria-current="page"' if other == path else ""
            assert f'<a href="{other}"{here}>' in page.partition('aria-label="Lists"')[2][:400], (path, other)


async def test_pages_follow_each_other_and_a_wrong_filter_is_a_sentence(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await harness.take(*(an_event(number) for number in range(60)))
    await session.log_in()
    first = (await session.get("/events")).text
    more = first.rpartition('href="/events?after=')[2].partition('"')[0]
    assert (first.count('href="/faxes/phaxio/'), first.count("First page")) == (50, 0)
    second = (await session.get(f"/events?after={more}")).text
    assert (second.count('href="/faxes/phaxio/'), "First page" in second, "Earlier" in second) == (10, True, False)
    for query, status, sentence in (
        ("type=lost", 422, "type: `lost` is unknown"),
        ("stat=told", 422, "`stat` is no filter"),
        ("since=1h&until=2h", 422, "is not after since"),
        ("number=seven", 422, "number: `seven`"),
        ("after=zzz", 404, "Use the links"),
    ):
        answer = await session.get(f"/events?{query}")
        assert (answer.status, sentence in answer.said) == (status, True), query
