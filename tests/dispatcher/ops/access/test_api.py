"""A named token does what its rights allow until it expires or is revoked, in every process, and is shown once."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import asyncpg
import pytest
from apis import READER, Api
from browser_sessions import BrowserSession
from dispatchers import DispatcherHarness
from waiting import until

from dispatcher.ops.access.tokens import digest_of_token
from shared.domain import utc_now


@pytest.fixture
async def browser_session(api: Api, unused_tcp_port: int) -> AsyncIterator[BrowserSession]:
    """A browser at the console of the dispatcher that `api` asks."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield BrowserSession(http, f"http://127.0.0.1:{unused_tcp_port}")


def bearer(token: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {token['token']}"}


async def created(api: Api, name: str, *rights: str, **fields: Any) -> dict[str, Any]:
    status, token = await api.ask("POST", "/v1/tokens", {"name": name, "rights": rights, **fields})
    assert status == 201, token
    return token


async def lines(pool: asyncpg.Pool, what: str) -> list[dict[str, Any]]:
    return [dict(row) for row in await pool.fetch("SELECT * FROM audit WHERE what = $1 ORDER BY id", what)]


async def test_each_right_allows_what_it_says_and_no_more(api: Api, harness: DispatcherHarness) -> None:
    expected = {
        "read": (200, 403, 403),
        "documents": (200, 403, 403),
        "operate": (200, 201, 403),
        "admin": (200, 201, 200),
    }
    for right, statuses in expected.items():
        token = bearer(await created(api, right, right))
        endpoint = {"url": f"{harness.receiver.url}/{right}"}
        asked = [
            (await api.ask(*request, headers=token))[0]
            for request in (("GET", "/v1/endpoints"), ("POST", "/v1/endpoints", endpoint), ("GET", "/v1/tokens"))
        ]
        assert (right, tuple(asked)) == (right, statuses)
    for headers in (READER, bearer(await created(api, "another", "operate"))):
        status, problem = await api.ask("DELETE", f"/v1/tokens/{endpoint_id()}", headers=headers)
        assert status == 403
    assert problem["code"] == "right_missing"


def endpoint_id() -> str:
    return "00000000-0000-7000-8000-000000000000"


async def test_a_token_is_shown_once_and_kept_as_its_digest(api: Api, pool: asyncpg.Pool) -> None:
    token = await created(api, "billing", "read", expires_at="2100-01-01T00:00:00Z")
    row = await pool.fetchrow("SELECT * FROM access_tokens")
    assert row["digest"] == digest_of_token(token["token"])
    assert token["token"] not in str(dict(row))
    _, listed = await api.ask("GET", "/v1/tokens")
    assert token["token"] not in str(listed)
    shown = {key: value for key, value in token.items() if key != "token"}
    assert listed == {"items": [shown], "next": None}
    (line,) = await lines(pool, "token.created")
    assert token["token"] not in str(line)
    assert '"new": {"name": "billing", "rights": ["read"], "expires_at": "2100-01-01T00:00:00Z"}' in line["details"]
    assert line["origin"] == "127.0.0.1"


async def test_what_a_token_does_is_audited_with_its_name_and_where_it_came_from(
    api: Api, harness: DispatcherHarness
) -> None:
    headers = {**bearer(await created(api, "ops bot", "operate")), "X-Forwarded-For": "203.0.113.9\t"}
    _, endpoint = await api.ask("POST", "/v1/endpoints", {"url": harness.receiver.url}, headers)
    await api.ask("PATCH", f"/v1/endpoints/{endpoint['id']}", {"enabled": False, "tokens": ["a-new-secret"]}, headers)
    status, page = await api.ask("GET", f"/v1/audit?subject={endpoint['id']}&what=endpoint.changed")
    assert status == 200
    (line,) = page["items"]
    assert (line["who"], line["what"], line["origin"]) == (
        "ops bot (token)",
        "endpoint.changed",
        "127.0.0.1 for 203.0.113.9",
    )
    assert (line["old"], line["new"]) == ({"enabled": True}, {"enabled": False})
    assert sorted(line["details"]["fields"]) == ["enabled", "tokens"]
    assert "a-new-secret" not in str(await harness.pool.fetch("SELECT * FROM audit"))


async def test_a_revoked_token_is_refused_at_once_and_its_name_is_free(api: Api, pool: asyncpg.Pool) -> None:
    token = await created(api, "billing", "admin")
    status, problem = await api.ask("POST", "/v1/tokens", {"name": "billing"})
    assert (status, problem["code"], problem["field"]) == (409, "name_taken", "name")
    for _ in range(2):  # the second time nothing is left to do
        assert (await api.ask("DELETE", f"/v1/tokens/{token['id']}"))[0] == 200
    status, problem = await api.ask("GET", "/v1/endpoints", headers=bearer(token))
    assert status == 401
    assert "the token was revoked at" in problem["detail"]
    assert len(await lines(pool, "token.revoked")) == 1
    await created(api, "billing", "read")
    assert (await api.ask("DELETE", f"/v1/tokens/{endpoint_id()}"))[0] == 404
    _, page = await api.ask("GET", "/v1/tokens?revoked=true&limit=1")
    _, rest = await api.ask("GET", f"/v1/tokens?revoked=true&after={page['next']}")
    assert [each["id"] for each in rest["items"]] == [token["id"]]


async def test_an_expired_token_is_refused_with_when_it_expired(api: Api, pool: asyncpg.Pool) -> None:
    token = await created(api, "short", "read", expires_at=(utc_now() + timedelta(hours=1)).isoformat())
    assert (await api.ask("GET", "/v1/endpoints", headers=bearer(token)))[0] == 200
    await pool.execute("UPDATE access_tokens SET expires_at = '2020-01-01'")
    status, problem = await api.ask("GET", "/v1/endpoints", headers=bearer(token))
    assert (status, problem["code"]) == (401, "unauthorized")
    assert "the token expired at 2020-01-01 00:00 UTC" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "a (console)"}, "name"),
        ({"name": "a", "rights": []}, "rights"),
        ({"name": "a", "rights": ["root"]}, "rights"),
        ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "a", "expires_at": "2100-01-01T00:00:00"}, "expires_at"),
        ({"name": "a", "digest": "x"}, "digest"),
    ],
)
async def test_a_wrong_field_of_a_new_token_is_named(api: Api, body: dict[str, Any], field: str) -> None:
    status, problem = await api.ask("POST", "/v1/tokens", body)
    assert (status, field in problem["detail"]) == (422, True), problem


async def test_a_repeated_command_creates_one_token_and_shows_it_again(api: Api, pool: asyncpg.Pool) -> None:
    body = {"name": "billing", "command_id": "one"}
    answers = [await api.ask("POST", "/v1/tokens", body) for _ in range(2)]
    assert answers[0] == answers[1]
    assert await pool.fetchval("SELECT count(*) FROM access_tokens") == 1


async def test_refused_tokens_are_audited_without_their_text_and_counted(api: Api, pool: asyncpg.Pool) -> None:
    for guess in ("guess", "fh_guess", "guess-\u00e9", "g" * 5_000):
        assert (await api.ask("GET", "/v1/endpoints", headers={"Authorization": f"Bearer {guess}"}))[0] == 401
    token = await created(api, "billing", "read")
    await api.ask("DELETE", f"/v1/tokens/{token['id']}")
    await api.ask("GET", "/v1/endpoints", headers=bearer(token))
    counted = "SELECT sum((details ->> 'count')::int) = 5 FROM audit WHERE what = 'api.refused'"
    await until(lambda: pool.fetchval(counted), "every refusal is in the audit")
    text = str(await lines(pool, "api.refused"))
    assert "billing (token)" in text
    assert "guess" not in text
    assert token["token"] not in text
    assert "'who': 'unknown'" in text
    assert "'origin': '127.0.0.1'" in text


async def test_a_named_token_opens_the_console_until_it_is_revoked(
    api: Api, browser_session: BrowserSession, pool: asyncpg.Pool
) -> None:
    session = browser_session
    reader = await created(api, "night shift", "read")
    assert (await session.log_in(reader["token"], "somebody else")).status == 303
    page = await session.get("/audit")
    assert "night shift (token)" in page.text
    assert "read-only" in page.text
    assert (await session.post("/dead/begin")).status == 403
    await api.ask("DELETE", f"/v1/tokens/{reader['id']}")
    page = await session.get("/faxes?provider=sinch")
    assert (page.status, page.location) == (303, "/login?next=%2Ffaxes%3Fprovider%3Dsinch&why=revoked")
    assert "no longer valid" in (await session.get(page.location)).text
    assert (await session.post("/dead/begin")).location.endswith("why=revoked")
    refused = await session.post("/login", {"token": reader["token"], "name": "Eve"})
    assert (refused.status, "The token was revoked at" in refused.text) == (401, True)
    await until(lambda: lines(pool, "console.refused"), "the refused log-in is in the audit")
    (line,) = await lines(pool, "console.refused")
    assert line["who"] == "night shift (token)"
