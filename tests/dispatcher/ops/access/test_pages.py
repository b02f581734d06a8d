"""Administrators create and revoke access tokens on the console; the token is shown once, and others are refused."""

import aiohttp
import asyncpg
from browser_sessions import READ_TOKEN, BrowserSession


async def test_a_token_is_created_shown_once_used_and_revoked(session: BrowserSession, pool: asyncpg.Pool) -> None:
    await session.log_in(name="Ada")
    page = await session.get("/tokens")
    assert "None yet." in page.text
    made = await session.post("/tokens", {"name": "billing", "right": "operate", "expires": "90"})
    assert (made.status, made.location) == (303, "/tokens")
    page = await session.get("/tokens")
    token = page.text.partition('id="new-token"')[2].partition('value="')[2].partition('"')[0]
    assert token.startswith("fh_")
    page = await session.get("/tokens")
    assert (token in page.text, f"…{token[-4:]}" in page.text, "valid until" in page.text) == (False, True, True)

    async with aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {token}"}
        async with http.get(f"{session.url}/v1/endpoints", headers=headers) as answer:
            assert answer.status == 200
        async with http.get(f"{session.url}/v1/tokens", headers=headers) as answer:
            assert answer.status == 403
        assert (await BrowserSession(http, session.url).get("/tokens")).location.startswith("/login")
        for form, status, said in (
            ({"name": "billing", "right": "read", "expires": ""}, 409, "there is a token"),
            ({"name": "a (sso)", "right": "read", "expires": ""}, 422, "name"),
            ({"name": "a", "right": "root", "expires": ""}, 422, "rights"),
            ({"name": "a", "right": "read", "expires": "9999999"}, 422, "30, 90 or 365"),
        ):
            page = await session.post("/tokens", form)
            assert (page.status, said in page.text.lower()) == (status, True), page.text
        token_id = await pool.fetchval("SELECT id FROM access_tokens")
        assert (await session.post(f"/tokens/{token_id}/revoke")).status == 303
        assert (await session.post("/tokens/none/revoke")).status == 404
        async with http.get(f"{session.url}/v1/endpoints", headers=headers) as answer:
            assert answer.status == 401
    rows = await pool.fetch("SELECT who, what FROM audit WHERE what LIKE 'token.%' ORDER BY id")
    assert [tuple(row) for row in rows] == [("Ada (console)", "token.created"), ("Ada (console)", "token.revoked")]


async def test_who_is_no_administrator_sees_and_changes_no_token(session: BrowserSession, pool: asyncpg.Pool) -> None:
    await session.log_in(READ_TOKEN)
    assert (await session.get("/tokens")).status == 403
    assert "/tokens" not in (await session.get("/audit")).text
    assert (await session.post("/tokens", {"name": "a", "right": "admin", "expires": ""})).status == 403
    assert await pool.fetchval("SELECT count(*) FROM access_tokens") == 0
