"""However many endpoints there are, each is found: by paging, by what it matches, by its id, by scope and state."""

import re
from html import unescape

from browser_sessions import BrowserSession
from dispatchers import DispatcherHarness

from dispatcher.policy.endpoint import FaxMatch
from shared.domain import Provider

ADD_OF_FAXES = """
INSERT INTO endpoints (id, scope, direction, match_provider, match_fax_id, url, format, enabled)
SELECT ('01a202c2-ec88-7d71-b7ab-' || lpad(to_hex(n), 12, '0'))::uuid, 'fax', 'sent', 'phaxio', 'fax-' || n,
       'http://127.0.0.1/' || n, 'phaxio-v2.1', n % 10 > 0
FROM generate_series(1, 120) AS n
"""


async def pages_from(session: BrowserSession, path: str) -> list[list[str]]:
    """Return the ids on each page, following the links."""
    pages = []
    while path:
        page = await session.get(path)
        assert page.status == 200, (path, page.text)
        found = page.text.partition('id="found"')[2]
        pages.append(re.findall(r'href="/endpoints/([0-9a-f-]{36})"', found))
        older = re.search(r'href="([^"]*after=[^"]*)" rel="next"', page.text)
        path = unescape(older[1]) if older else ""
    return pages


async def test_every_endpoint_is_found(session: BrowserSession, harness: DispatcherHarness) -> None:
    await harness.pool.execute(ADD_OF_FAXES)
    number = await harness.endpoint(scope="number", match="+15550100102")
    job = await harness.endpoint(scope="fax", match=FaxMatch(job_id="job-7"), enabled=False)
    await harness.endpoint(scope="fax", match=FaxMatch(provider=Provider.SINCH, fax_id="fax-7"))
    await session.log_in()
    first = await session.get("/endpoints")
    assert "The newest 50 are shown." in first.text
    older = unescape(re.search(r'href="(/endpoints\?scope=fax[^"]*)" rel="next"', first.text)[1])
    shown = [each for page in await pages_from(session, older) for each in page]
    assert len(shown) == len(set(shown)) == 122 - 50, "behind those of the first page, each once"
    pages = await pages_from(session, "/endpoints?scope=fax")
    assert [len(page) for page in pages] == [50, 50, 22]
    listed = [each for page in pages for each in page]
    assert listed == sorted(listed, reverse=True), "the newest first"
    assert [len(page) for page in await pages_from(session, "/endpoints?scope=fax&enabled=false")] == [13]
    for query, ids in (
        ("q=%2B15550100102", [str(number.id)]),
        ("q=job-7", [str(job.id)]),
        (f"q={job.id}", [str(job.id)]),
        (f"q={job.id}&enabled=true", []),
        ("q=nothing", []),
        ("q=%2B15550100102&scope=fax", []),
    ):
        assert (await pages_from(session, f"/endpoints?{query}")) == [ids], query
    assert [len(page) for page in await pages_from(session, "/endpoints?q=fax-7")] == [2], "of two providers"
