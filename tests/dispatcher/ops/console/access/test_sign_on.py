"""People log in by a real OpenID Connect provider; their roles decide, and every other log-in gets a sentence."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from browser_sessions import TOKENS, BrowserSession
from chromium import browsing
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness
from oidc_provider import CLIENT_ID, CLIENT_SECRET, PASSWORD, log_in_at, oidc_provider
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from waiting import until
from yarl import URL

from dispatcher.ops.console.access import sign_on
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
ROLES = {"OIDC_ROLES_CLAIM": "faxhook.roles", "OIDC_ROLES": "nurses=read, desk=operate, faxhook-admins=admin"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider() as found:
        yield found


@pytest.fixture
async def console(dispatching: Dispatching, unused_tcp_port: int, issuer: str) -> AsyncIterator[BrowserSession]:
    """A console whose people log in at the provider."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    provider = {"OIDC_ISSUER": issuer, "OIDC_CLIENT_ID": CLIENT_ID, "OIDC_CLIENT_SECRET": CLIENT_SECRET}
    async with (
        dispatching(**TOKENS, **provider, **ROLES, CONSOLE_URL=f"{url}/"),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        yield BrowserSession(http, url)


async def begun(console: BrowserSession, user: str, back_to: str = "/audit") -> str:
    """Begin a log-in, log in at the provider; return the path that it leads back to."""
    page = await console.get(f"/login/oidc?next={back_to}")
    assert page.status == 303
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        back = await log_in_at(http, page.location, user)
    assert back.startswith(console.url + "/login/oidc/callback?")
    return back.removeprefix(console.url)


async def test_a_person_logs_in_with_the_rights_of_their_roles_and_the_audit_names_them(
    console: BrowserSession, harness: DispatcherHarness
) -> None:
    assert 'href="/login/oidc?next=/dead"' in (await console.get("/login?next=/dead")).text
    page = await console.get("/login/oidc?next=/audit")
    query = parse_qs(urlsplit(page.location).query)
    assert query["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= query.keys()
    assert "SameSite=Lax" in page.cookies["faxhook_sign_on"]
    assert "HttpOnly" in page.cookies["faxhook_sign_on"]

    callback = await begun(console, "ada")
    page = await console.get(callback)
    assert (page.status, 'content="0; url=/audit"' in page.text) == (200, True)
    assert "SameSite=Strict" in page.cookies["faxhook_session"]
    page = await console.get("/audit")
    assert (page.status, "ada (sso)" in page.text, "read-only" in page.text) == (200, True, True)
    assert (await console.post("/endpoints/new", {"url": harness.receiver.url})).status == 403

    again = await console.get(callback)
    assert (again.status, "began in another browser or too long ago" in again.text) == (400, True)

    console.http.cookie_jar.clear()
    await console.get(await begun(console, "grace", "//evil.example"))
    await console.get("/faxes")
    page = await console.post("/endpoints/new", {"url": harness.receiver.url, "direction": "sent", "format": "phaxio-v2.1",
                                                 "timeout_seconds": "15", "max_concurrent": "8"})  # fmt: skip
    assert page.status == 303, page.text
    rows = await harness.pool.fetch("SELECT who, what FROM audit WHERE what <> 'console.refused' ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("ada (sso)", "console.logged_in"),
        ("grace (sso)", "console.logged_in"),
        ("grace (sso)", "endpoint.added"),
    ]


async def test_the_role_operate_by_claim_changes_endpoints_and_letters_but_no_access_tokens(
    console: BrowserSession, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint()
    await add_dead_deliveries(harness, [endpoint], 1)
    await console.get(await begun(console, "olga"))
    page = await console.get(f"/endpoints/{endpoint.id}")
    assert ("olga (sso)" in page.text, "read-only" in page.text) == (True, False)
    assert (await console.post(f"/endpoints/{endpoint.id}/paused", {"paused": "on"})).status == 303
    discarded = await console.post("/dead/begin", {"do": "discard", "all": "true", "reason": "moved"})
    assert (discarded.status, discarded.location[:10]) == (303, "/dead/jobs")
    assert 'href="/tokens"' not in (await console.get("/audit")).text, "offered to admins only"
    for page in (
        await console.get("/tokens"),
        await console.post("/tokens", {"name": "mine", "right": "admin", "expires": ""}),
        await console.post(f"/tokens/{endpoint.id}/revoke"),
    ):
        assert (page.status, "The right admin is missing" in page.text) == (403, True)
    assert await harness.pool.fetchval("SELECT count(*) FROM access_tokens") == 0
    rows = await harness.pool.fetch("SELECT who, what FROM audit WHERE what LIKE 'endpoint.%' OR what = 'dead.discard'")
    assert {tuple(row) for row in rows} == {("olga (sso)", "endpoint.paused"), ("olga (sso)", "dead.discard")}


async def test_a_log_in_that_is_not_this_ones_is_refused_with_a_sentence_and_audited(
    console: BrowserSession, harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(path: str, status: int, sentence: str) -> None:
        page = await console.get(path)
        assert (page.status, sentence in page.text) == (status, True), page.text
        assert "faxhook_session" not in page.cookies

    eve = await begun(console, "eve")
    await refused(eve, 403, "the claim faxhook.roles names cooks; known are nurses, desk, faxhook-admins")
    mallory = await begun(console, "mallory")
    await refused(mallory, 403, "the claim faxhook.roles names none; known are nurses, desk, faxhook-admins")
    callback = await begun(console, "grace")
    other = re.sub(r"&iss=[^&]*", "", callback) + "&iss=https%3A%2F%2Fother.example"
    await refused(other, 403, "comes from another identity provider")
    await refused(callback.replace("state=", "state=x"), 400, "began in another browser")
    await refused(f"/login/oidc/callback?error=access_denied&state={state_of(callback)}", 403, "access_denied")
    await refused(f"/login/oidc/callback?state={state_of(callback)}", 400, "Begin again")
    await refused(f"/login/oidc/callback?code=guess&state={state_of(callback)}", 401, "expired or was used")
    monkeypatch.setattr(sign_on, "SECONDS", -1)
    await refused(callback, 400, "too long ago")
    monkeypatch.undo()
    console.http.cookie_jar.update_cookies({"faxhook_sign_on": "nonsense"}, URL(console.url))
    await refused(callback, 400, "began in another browser")
    whos = "SELECT array_agg(DISTINCT who ORDER BY who) = '{eve (sso),mallory (sso),unknown}' FROM audit WHERE what = 'console.refused'"
    await until(lambda: harness.pool.fetchval(whos), "the refused log-ins are in the audit")


def state_of(callback: str) -> str:
    return parse_qs(urlsplit(callback).query)["state"][0]


async def test_in_a_real_browser_the_way_back_from_another_site_ends_on_the_wanted_page(
    console: BrowserSession,
) -> None:
    def walk() -> str:
        with browsing() as browser:
            browser.get(f"{console.url}/dead")
            browser.find_element(By.LINK_TEXT, "Log in with single sign-on").send_keys(Keys.ENTER)
            name = WebDriverWait(browser, 20).until(lambda seen: seen.find_element(By.NAME, "username"))
            name.send_keys("ada")
            browser.find_element(By.NAME, "password").send_keys(PASSWORD, Keys.ENTER)
            WebDriverWait(browser, 20).until(lambda seen: seen.current_url == f"{console.url}/dead")
            return str(browser.find_element(By.CSS_SELECTOR, ".role").text)

    assert "ada (sso)" in await asyncio.to_thread(walk)


async def test_the_provider_of_these_tests_answers_beside_a_connection_that_a_browser_opened_ahead(issuer: str) -> None:
    port = URL(issuer).port
    _, ahead = await asyncio.open_connection("127.0.0.1", port)
    configuration = f"http://127.0.0.1:{port}/o/.well-known/openid-configuration"
    async with aiohttp.ClientSession() as http, http.get(
        configuration, headers={"Host": f"localhost:{port}"}, timeout=aiohttp.ClientTimeout(20)
    ) as response:  # fmt: skip
        assert (await response.json())["issuer"] == issuer
    ahead.close()


async def test_a_provider_that_is_away_is_a_sentence_and_tokens_still_open_the_console(
    dispatching: Dispatching, unused_tcp_port: int, unused_tcp_port_factory: Callable[[], int]
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    away = f"http://127.0.0.1:{unused_tcp_port_factory()}"
    async with (
        dispatching(**TOKENS, OIDC_ISSUER=away, OIDC_CLIENT_ID="console", CONSOLE_URL=url),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        console = BrowserSession(http, url)
        page = await console.get("/login/oidc")
        assert (page.status, "does not answer" in page.text) == (503, True)
        assert (await console.log_in()).status == 303
