"""An endpoint's page shows its rates and by whom it was added; all its deliveries are listed, filtered and paged."""

from apis import faxhook
from browser_sessions import BrowserSession
from dispatchers import DispatcherHarness

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
