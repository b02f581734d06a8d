"""An endpoint's page shows its rates and by whom it was added; all its deliveries are listed, filtered and paged."""

from apis import faxhook
from browser_sessions import BrowserSession
from dispatchers import DispatcherHarness, an_event

from shared.ids import uuid7

ADD = """
WITH owed AS (
    INSERT INTO deliveries (id, event_id, endpoint_id, state, attempts, settled_at)
    VALUES ($1, $1::uuid::text, $2, 'told', 1, now()) RETURNING id
)
INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome) SELECT id, 1, now(), 0.1, 'told' FROM owed
"""


async def test_rates_origin_and_all_deliveries_by_command_and_page(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await session.log_in()
    form = {"scope": "global", "direction": "sent", "format": "phaxio-v2.1", "signing": "generate"}
    form |= {"url": harness.receiver.url, "timeout_seconds": "15", "max_concurrent": "8"}
    path = (await session.post("/endpoints/new", form)).location
    added = await harness.pool.fetchval("SELECT id FROM endpoints")
    for _ in range(60):
        await harness.pool.execute(ADD, uuid7(), added)
    await harness.pool.execute(
        "UPDATE deliveries SET state = 'skipped' WHERE id = (SELECT id FROM deliveries ORDER BY id LIMIT 1)"
    )
    page = await session.get(path)
    assert "by operator (console)" in page.text.partition("created ")[2][:200]
    assert 'aria-label="The last week: 100 % of 60 attempts delivered;' in page.text
    pages = [await session.get(f"{path}/deliveries")]
    assert pages[0].text.count('href="/faxes?q=') == 50
    more = pages[0].text.partition("?after=")[2].partition('"')[0]
    assert (await session.get(f"{path}/deliveries?after={more}")).text.count('href="/faxes?q=') == 10
    assert (await session.get(f"{path}/deliveries?state=skipped")).text.count('href="/faxes?q=') == 1
    for query, sentence in (("state=lost", "state: `lost` is unknown"), ("stat=told", "`stat` is no filter")):
        answer = await session.get(f"{path}/deliveries?{query}")
        assert (answer.status, sentence in answer.said) == (422, True)
    environment = {**harness.environment, "COLUMNS": "200"}
    code, said, _ = await faxhook(environment, "endpoints", "rates", str(added))
    assert (code, "last week  100 % of 60 attempts delivered" in said) == (0, True), said
    code, said, _ = await faxhook(environment, "endpoints", "show", str(added))
    assert (code, "UTC by operator (console)" in said) == (0, True), said


async def test_the_deliveries_to_all_endpoints_are_one_list(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    billing, archive = [await harness.endpoint(description=name) for name in ("Billing <b>", "archive")]
    for number in (1, 2):
        await harness.publish(an_event(number, job_id=f"job {number}", to_number=f"+1555010000{number}"))
    await harness.settled(4)
    await harness.pool.execute(
        "UPDATE deliveries SET state = 'dead', reason = 'timeout' WHERE endpoint_id = $1 AND event_id LIKE 'phaxio:1%'",
        archive.id,
    )
    await session.log_in()
    for query, count, names in (
        ("", 4, {"Billing", "archive"}),
        (f"endpoint_id={billing.id}", 2, {"Billing"}),
        ("state=dead", 1, {"archive"}),
        ("reason=timeout", 1, {"archive"}),
        ("number=0002", 2, {"Billing", "archive"}),
        (f"job_id=job+1&endpoint_id={archive.id}", 1, {"archive"}),
        ("event_id=phaxio:1-fax.delivered", 2, {"Billing", "archive"}),
        ("type=fax.failed", 0, set()),
        ("since=1h", 4, {"Billing", "archive"}),
        ("until=1h", 0, set()),
    ):
        page = (await session.get(f"/deliveries?{query}")).text
        assert page.count('href="/faxes?q=') == count, query
        assert {name for name in ("Billing", "archive") if f"To {name}" in page} == names, query
        assert ("<strong>phaxio fax " in page) == bool(count), "a person knows the fax, not the digest of its event"
        assert (("No delivery matches" in page), "<b>" in page) == (not count, False), query
    page = (await session.get("/deliveries?state=dead")).text
    assert ('action="/deliveries/resend"' in page, "/exports/deliveries?state=dead&amp;" in page) == (True, True)
    for query, sentence in (("state=lost", "state: `lost` is unknown"), ("stat=told", "`stat` is no filter")):
        answer = await session.get(f"/deliveries?{query}")
        assert (answer.status, sentence in answer.said) == (422, True)
    for query, count in (("", 2), ("state=dead", 1), ("number=0002", 1), ("state=skipped", 0)):
        page = (await session.get(f"/endpoints/{archive.id}/deliveries?{query}")).text
        assert page.count('href="/faxes?q=') == count, query
        assert (f"endpoint_id={archive.id}&amp;format=csv" in page) == bool(count), "its export is of the same ones"
    of_other = (await session.get(f"/endpoints/{archive.id}/deliveries?endpoint_id={billing.id}")).status
    assert of_other == 422, "the page of one endpoint is of no other one"
