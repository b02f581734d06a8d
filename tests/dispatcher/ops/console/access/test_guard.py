"""Pages need a session, changes an operator's form; every answer carries the headers that keep a browser safe."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from io import BytesIO
from urllib.parse import quote
from uuid import uuid4

import aiohttp
from browser_sessions import OPS_TOKEN, READ_TOKEN, TOKENS, BrowserSession
from dispatchers import DispatcherHarness
from yarl import URL

from dispatcher.ops.console.access.session import SESSION_SECONDS, Role, Sessions
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

PAGES = [
    "/",
    "/dead",
    "/dead/list",
    "/dead/preview?all=true",
    "/faxes",
    "/faxes?q=nothing",
    "/endpoints",
    "/endpoints/new",
    "/accounts",
    "/alerts",
    "/audit",
]
CHANGES = [
    "/dead/begin",
    "/endpoints/new",
    *(f"/endpoints/{uuid4()}{change}" for change in ("", "/enabled", "/tokens", "/test", "/remove")),
]


async def test_without_a_log_in_every_page_asks_for_it_and_leads_back(session: BrowserSession) -> None:
    for path in [*PAGES, "/overview/live", "/no/such/page"]:
        page = await session.get(path)
        assert page.status == 303
        assert page.location == ("/login" if path == "/" else f"/login?next={quote(path, safe='')}")


async def test_without_a_log_in_nothing_is_changed(session: BrowserSession, harness: DispatcherHarness) -> None:
    for path in CHANGES:
        page = await session.post(path, {"url": harness.receiver.url})
        assert (page.status, page.location) == (303, "/login?why=expired")
    assert await harness.pool.fetchval("SELECT count(*) FROM endpoints") == 0


async def test_every_answer_allows_nothing_inline_nothing_from_elsewhere_and_no_frame(session: BrowserSession) -> None:
    answers = [await session.get("/login")]
    await session.log_in()
    answers += [await session.get(path) for path in [*PAGES, "/no/such/page"]]
    for page in answers:
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "same-origin"
        for forbidden in ("<style", " style=", " onclick=", "javascript:", "http://www", "https://cdn"):
            assert forbidden not in page.text
        assert page.text.count("<script") == page.text.count('<script src="/console-assets/')
    assert [page.status for page in answers] == [200] * len(PAGES) + [200, 404]


async def test_style_and_script_are_kept_for_ever_under_an_address_that_changes_with_them(
    session: BrowserSession,
) -> None:
    page = await session.get("/login")
    for name, kind in (("console.css", "text/css"), ("console.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        start = page.text.index(f"/console-assets/{name}")
        address = page.text[start : page.text.index('"', start)]
        asset = await session.get(address)
        assert (asset.status, asset.headers["Content-Type"].partition(";")[0]) == (200, kind)
        assert "immutable" in asset.headers["Cache-Control"]
        assert (await session.get(f"/console-assets/{name}?v=older")).headers["Cache-Control"] == "no-cache"
    assert (await session.get("/console-assets/..%2Frender.py")).status == 404


async def test_the_session_cookie_is_out_of_reach_and_secure_over_https(session: BrowserSession) -> None:
    plain = (await session.log_in()).cookies["faxhook_session"]
    assert "HttpOnly" in plain
    assert "SameSite=Strict" in plain
    assert "Path=/" in plain
    assert f"Max-Age={SESSION_SECONDS:.0f}" in plain
    assert "Secure" not in plain
    session.http.cookie_jar.clear()
    page = await session.get("/login", **{"X-Forwarded-Proto": "https"})
    assert "Secure" in page.cookies["faxhook_login"]
    headers = {"X-Forwarded-Proto": "https", "Cookie": page.cookies["faxhook_login"].partition(";")[0]}
    entered = await session.post("/login", {"token": OPS_TOKEN}, **headers)
    assert "Secure" in entered.cookies["faxhook_session"]
    assert OPS_TOKEN not in str(entered.cookies)


async def test_a_wrong_token_is_refused_and_guessing_slowed_down(session: BrowserSession) -> None:
    statuses = [(await session.log_in("guess")).status for _ in range(6)]
    assert statuses == [401, 401, 401, 401, 401, 429]
    page = await session.log_in(OPS_TOKEN)
    assert page.status == 429, "a right token waits, too: else the wait would tell"
    assert int(page.headers["Retry-After"]) >= 1
    assert "faxhook_session" not in page.cookies


async def test_an_expired_log_in_says_so_changes_nothing_and_leads_back(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await session.log_in()
    past = Sessions(OPS_TOKEN, READ_TOKEN, lambda: 0.0).open(Role.OPERATOR, "")
    session.http.cookie_jar.update_cookies({"faxhook_session": past}, URL(session.url))
    page = await session.get("/faxes?provider=sinch")
    assert page.location == "/login?next=%2Ffaxes%3Fprovider%3Dsinch&why=expired"
    page = await session.post(
        "/endpoints/new", {"url": harness.receiver.url}, Referer=session.url + "/endpoints/new?scope=fax"
    )
    assert page.location == "/login?next=%2Fendpoints%2Fnew%3Fscope%3Dfax&why=expired"
    assert await harness.pool.fetchval("SELECT count(*) FROM endpoints") == 0
    login = await session.get(page.location)
    assert "Your session has expired" in login.text
    entered = await session.post("/login", {"token": OPS_TOKEN, "next": login.value("next")})
    assert (entered.status, entered.location) == (303, "/endpoints/new?scope=fax")


async def test_the_log_in_never_leads_to_another_site(session: BrowserSession) -> None:
    await session.get("/login?next=//evil.example/")
    page = await session.post("/login", {"token": OPS_TOKEN, "next": "https://evil.example/"})
    assert (page.status, page.location) == (303, "/")


async def test_a_form_of_another_site_is_refused_even_with_the_right_token(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await session.log_in()
    form = {
        "url": harness.receiver.url,
        "direction": "sent",
        "format": "phaxio-v2.1",
        "timeout_seconds": "15",
        "max_concurrent": "8",
    }
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ):
        page = await session.post("/endpoints/new", form, **headers)
        assert page.status == 403, headers
        assert "did not come from a page of this console" in page.text
        assert (await session.post("/logout", **headers)).status == 403
    assert await harness.pool.fetchval("SELECT count(*) FROM endpoints") == 0
    assert (await session.post("/endpoints/new", form)).status == 303


async def test_a_form_without_its_sessions_token_is_refused(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await session.log_in()
    for token in ("", "0" * 64, "\u00e9"):
        page = await session.post("/endpoints/new", {"url": harness.receiver.url, "form_token": token})
        assert page.status == 403
    assert await harness.pool.fetchval("SELECT count(*) FROM endpoints") == 0


async def test_a_body_that_is_not_a_form_is_refused(session: BrowserSession) -> None:
    await session.log_in()
    for content_type, body, status in (
        ("application/json", b"{}", 415),
        ("application/x-www-form-urlencoded", b"form_token=%ff%fe", 403),
        ("application/x-www-form-urlencoded", b"\xff\xfe=1", 400),
        ("application/x-www-form-urlencoded; charset=nonsense", b"a=b", 400),
        ("application/x-www-form-urlencoded", b"a=" + b"b" * 2_000_000, 413),
    ):
        async with session.http.post(
            session.url + "/endpoints/new",
            data=BytesIO(body),
            headers={"Content-Type": content_type, "Origin": session.origin},
        ) as response:
            assert response.status == status, content_type


async def test_a_read_only_session_sees_everything_and_changes_nothing(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint()
    await session.log_in(READ_TOKEN)
    for path in [*PAGES, f"/endpoints/{endpoint.id}"]:
        page = await session.get(path)
        assert page.status == (403 if path == "/endpoints/new" else 200), path
        posting = [part for part in page.text.split("<form")[1:] if 'method="post"' in part.partition(">")[0]]
        buttons = [button for part in posting for button in part.partition("</form>")[0].split("<button")[1:]]
        assert len(buttons) == 1, "the log-out's"
    for path in [
        "/dead/begin",
        "/endpoints/new",
        *(f"/endpoints/{endpoint.id}{each}" for each in ("", "/enabled", "/tokens", "/test", "/remove")),
    ]:
        page = await session.post(path, {"url": harness.receiver.url, "enabled": "", "rotation": "add"})
        assert page.status == 403, path
        assert "read-only token" in page.text
    row = await harness.pool.fetchrow("SELECT enabled, removed_at, cardinality(sealed_tokens) AS tokens FROM endpoints")
    assert dict(row) == {"enabled": True, "removed_at": None, "tokens": 1}
    assert (await session.post("/logout")).location == "/login?why=out"
    assert (await session.get("/faxes")).status == 303


async def test_logging_out_forgets_the_session(session: BrowserSession) -> None:
    await session.log_in()
    page = await session.post("/logout")
    assert page.location == "/login?why=out"
    assert "You are logged out" in (await session.get(page.location)).text
    assert (await session.get("/faxes")).status == 303


async def test_a_log_in_is_audited_with_its_name(session: BrowserSession, harness: DispatcherHarness) -> None:
    await session.log_in(name="Ada <Lovelace>")
    row = await harness.pool.fetchrow("SELECT who, what, subject FROM audit")
    assert dict(row) == {"who": "Ada <Lovelace> (console)", "what": "console.logged_in", "subject": "operator"}
    assert "Ada &lt;Lovelace&gt; (console)" in (await session.get("/audit")).text


async def test_without_an_ops_token_the_console_says_that_it_is_off_and_how_to_switch_it_on(
    dispatching: Dispatching, unused_tcp_port: int
) -> None:
    async with (
        dispatching(OPS_READ_TOKEN=READ_TOKEN),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        session = BrowserSession(http, f"http://127.0.0.1:{unused_tcp_port}")
        for path in ("/", "/login", "/dead"):
            page = await session.get(path)
            assert page.status == 503
            assert "OPS_TOKEN" in page.text
            assert "Content-Security-Policy" in page.headers
        assert (await session.post("/login", {"token": READ_TOKEN})).status == 503


async def test_the_rest_of_the_ops_port_is_as_it_was(session: BrowserSession) -> None:
    for path, status in (("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/v1/endpoints", 401)):
        assert (await session.get(path)).status == status
    assert TOKENS["OPS_TOKEN"] not in (await session.get("/metrics")).text
