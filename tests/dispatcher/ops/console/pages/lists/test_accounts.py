"""The console shows the accounts day by day, the latest first, and names what is missing."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from html import unescape
from typing import Any

import aiohttp
import asyncpg
import pytest
from browser_sessions import TOKENS, BrowserSession
from seeded_accounts import seed_accounts, seed_mail


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


async def test_it_says_to_whom_the_daily_account_is_mailed_and_why_one_was_not(
    dispatching: Callable[..., AbstractAsyncContextManager[Any]], pool: asyncpg.Pool, unused_tcp_port: int
) -> None:
    # The time of the mail is to come, so the dispatcher itself plans only that of the day before yesterday.
    now = await pool.fetchval("SELECT now() AT TIME ZONE 'UTC'")
    if now.hour == 23 and now.minute > 56:
        pytest.skip("three minutes before midnight")
    at = (now + timedelta(minutes=3)).strftime("%H:%M")
    planned, before = (now.date() - timedelta(days=days) for days in (2, 3))
    for day, address, *values in (
        (planned, "sent@example.com", "sent", 1, None),
        (planned, "refused@example.com", "pending", 4, "smtp_451"),
        (before, "refused@example.com", "sent", 1, None),
        (planned, "given-up@example.com", "failed", 53, "timeout"),
        (planned, "removed@example.com", "failed", 53, "timeout"),
    ):
        await seed_mail(pool, day, address, *values)
    asked = ",".join(f"mailto:{name}@example.com" for name in ("sent", "refused", "given-up", "new"))
    mail = {"ACCOUNT_MAIL": asked, "ACCOUNT_MAIL_AT": at, "SMTP_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "a@b.example"}
    async with (
        dispatching(**TOKENS, **mail),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        session = BrowserSession(http, f"http://127.0.0.1:{unused_tcp_port}")
        await session.log_in()
        said = " ".join(re.sub(r"<[^>]+>", " ", (await session.get("/accounts")).text).split())
    assert f"Yesterday's account is mailed each day at {at} UTC" in unescape(said)
    assert f"sent@example.com The last one, of {planned}, was sent 3 h ago" in said
    assert f"refused@example.com not sent The account of {planned} was tried 4 times: it answered 451; the next" in said
    assert f"The last one, of {before}, was sent 3 h ago" in said
    assert f"given-up@example.com not sent The account of {planned} was tried 53 times" in said
    assert "it was given up" in said
    assert "new@example.com" in said
    assert "removed@example.com" not in said


async def test_it_says_that_no_account_is_mailed_if_no_one_asked(session: BrowserSession) -> None:
    await session.log_in()
    assert "ACCOUNT_MAIL</code> is not set" in (await session.get("/accounts")).text
