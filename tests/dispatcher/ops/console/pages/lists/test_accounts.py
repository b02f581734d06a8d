"""The console shows the accounts day by day, the latest first, and names what is missing."""

from datetime import timedelta

import asyncpg
from browser_sessions import BrowserSession
from seeded_accounts import seed_accounts


async def test_the_console_shows_them_by_day(session: BrowserSession, pool: asyncpg.Pool) -> None:
    latest = await seed_accounts(pool, days_ago=2)  # the running dispatcher counts later days anew
    await session.log_in()
    text = (await session.get("/accounts")).text
    assert text.index(str(latest)) < text.index(str(latest - timedelta(days=2)))
    assert "1,201" in text
    assert "1 of 1,201 faxes on Telnyx&#39;s list are not in the ledger" in text
    assert "lost-\x07-&lt;b&gt;" in text
    assert '<td class="n" data-name="Theirs">?</td>' in text
    assert "Sinch" not in (await session.get("/accounts?provider=telnyx")).text.partition("<section")[2]
    assert "No account matches" in (await session.get("/accounts?since=2020-01-01&until=2020-01-02")).text
    for query in ("since=soon", "provider=nobody", "after=x", "what=x"):
        assert (await session.get(f"/accounts?{query}")).status in {404, 422}, query
