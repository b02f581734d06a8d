"""The console and the API list alerts with what to do; the overview marks those that it shows nowhere else."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
from browser_sessions import TOKENS, BrowserSession
from dispatchers import DispatcherHarness
from receiver import Receiver, receiving
from standardwebhooks import Webhook

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import raise_matter, resolve_matter


async def test_a_page_lists_what_is_open_and_the_overview_marks_it(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await session.log_in()
    await raise_matter(harness.pool, Kind.SILENCE, "telnyx", "telnyx: <b>no fax</b> for 5 h")
    await raise_matter(harness.pool, Kind.GAP_REPAIRED, "sinch", "3 found", count=3)
    await resolve_matter(harness.pool, Kind.GAP_REPAIRED, "sinch")
    page = await session.get("/alerts")
    assert "&lt;b&gt;no fax&lt;/b&gt; for 5 h" in page.text
    assert "Send a test fax" in page.text
    assert "Missed faxes were found" in page.text
    only = await session.get("/alerts?state=resolved")
    assert ("no fax" in only.text, "3 found" in only.text) == (False, True)
    overview = await session.get("/")
    assert "No faxes come: telnyx" in overview.text
    assert '1<span class="hidden"> open</span>' in overview.text
    for query, status in (("state=shut", 422), ("kind=x", 422), ("after=zzz", 404), ("since=soon", 422)):
        assert (await session.get(f"/alerts?{query}")).status == status, query


async def test_the_api_lists_them_with_their_history(api, harness: DispatcherHarness) -> None:
    await raise_matter(harness.pool, Kind.ENDPOINT_FAILING, "several", "57 endpoints have failed for an hour", count=57)
    status, page = await api.ask("GET", "/v1/alerts?state=open")
    (found,) = page["items"]
    assert (status, found["count"], found["page"], found["told_at"]) == (200, 57, "/endpoints", None)
    assert [entry["what"] for entry in found["history"]] == ["raised"]
    assert (await api.ask("GET", "/v1/alerts?kind=none"))[0] == 422


SECRET = "whsec_" + "QUJD" * 8


async def test_a_person_tries_the_ways_to_the_operator_and_a_reader_cannot(
    harness: DispatcherHarness,
    dispatching: Callable[..., AbstractAsyncContextManager[Any]],
    receiver: Receiver,
    unused_tcp_port: int,
) -> None:
    base = f"http://127.0.0.1:{unused_tcp_port}"
    async with receiving() as other:
        other.answer = lambda _received: 500
        urls = f"{receiver.base_url}/s3cret,{other.base_url}/s3cret"
        async with (
            dispatching(**TOKENS, ALERT_URLS=urls, ALERT_SECRET=SECRET),
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
        ):
            session = BrowserSession(http, base)
            await session.log_in()
            assert "Send a test message" in (await session.get("/alerts")).text
            page = await session.post("/alerts/test")
            assert f"{receiver.base_url}/…: sent" in page.text
            assert f"{other.base_url}/…: not sent: " in page.text
            assert "s3cret" not in page.text
            await session.post("/logout")
            await session.log_in(TOKENS["OPS_READ_TOKEN"])
            assert "Send a test message" not in (await session.get("/alerts")).text
            assert (await session.post("/alerts/test")).status == 403
    (webhook,) = receiver.received
    assert Webhook(SECRET).verify(webhook.body, webhook.headers)["type"] == "alert.test"
    assert await harness.pool.fetchval("SELECT count(*) FROM audit WHERE what = 'alerts.tested'") == 1


async def test_without_a_way_the_page_names_the_setting(session: BrowserSession) -> None:
    await session.log_in()
    assert "<code>ALERT_URLS</code> is not set" in (await session.get("/alerts")).text
