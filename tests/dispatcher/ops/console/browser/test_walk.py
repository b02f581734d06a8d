"""Every page of the console is readable, labelled, worked by keyboard and whole on a phone, light and dark.

The pages are those that the console registers: one that is not in the walk fails it. `WALK_PICTURES=folder python -m
pytest tests/dispatcher/ops/console/browser/test_walk.py` leaves a picture of each, to be looked at.
"""

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from browser_sessions import OPS_TOKEN, READ_TOKEN, TOKENS, BrowserSession
from chromium import complaints, resize
from console_in_browser import in_browser, log_in
from dispatchers import DispatcherHarness
from page_checks import CONTRAST, CUT_OFF, KEYBOARD, LABELS, WIDER, WORDS
from seeded_ledger import HistoryOfAnHour
from selenium.webdriver.remote.webdriver import WebDriver
from walked_console import fill_ledger, use_console

from dispatcher.ops.console.console import Console
from shared.backoff import DEFAULT_BACKOFF
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

DESK, PHONE = (1280, 900), (360, 780)

WALK: Final[dict[str, tuple[str, ...]]] = {
    "/": ("/",),
    "/dead": ("/dead", "/dead?provider=sinch"),
    "/dead/list": ("/dead/list", "/dead/list?cause=host_not_found&number=4477", "/dead/list?kind=callback"),
    "/dead/letters/{id}": ("/dead/letters/{letter}", "/dead/letters/{callback}"),
    "/dead/preview": (
        "/dead/preview?all=true&do=replay",
        "/dead/preview?all=true&do=discard",
        "/dead/preview?id={letter}&do=replay",
    ),
    "/dead/jobs/{id}": ("/dead/jobs/{job}",),
    "/faxes": ("/faxes", "/faxes?failed=true&since=yesterday", "/faxes?q=nothing-has-this-id", "/faxes?number=5"),
    "/faxes/{provider}/{fax_id}": ("/faxes/{fax}", "/faxes/{received}", "/faxes/phaxio/1001", "/faxes/phaxio/1002"),
    "/deliveries/resend": ("/deliveries/resend?id={told}", "/deliveries/resend?provider=phaxio&fax_id={fax_id}"),
    "/deliveries/{id}/attempts/{number}": (
        "/deliveries/{delivery}/attempts/1",
        "/deliveries/{told}/attempts/1",
        "/deliveries/{letter}/attempts/17",
    ),
    "/events": (
        "/events",
        "/events?endpoint_id={paused}",
        "/events?provider=telnyx",
        "/events?type=fax.failed&since=9d",
    ),
    "/deliveries": ("/deliveries", "/deliveries?state=dead&since=9d", "/deliveries?reason=none"),
    "/attempts": ("/attempts", "/attempts?endpoint_id={endpoint}&outcome=not_told", "/attempts?error=tls&since=1h"),
    "/endpoints": ("/endpoints", "/endpoints?scope=number", "/endpoints?q=none"),
    "/endpoints/new": ("/endpoints/new", "/endpoints/new?scope=number", "/endpoints/new?scope=fax&direction=sent"),
    "/endpoints/{id}": (
        "/endpoints/{endpoint}",
        "/endpoints/{paused}",
        "/endpoints/{disabled}",
        "/endpoints/{removed}",
    ),
    "/endpoints/{id}/recover": (
        "/endpoints/{endpoint}/recover",
        "/endpoints/{endpoint}/recover?since=7d&told=on",
        "/endpoints/{disabled}/recover?since=1h",
    ),
    "/endpoints/{id}/deliveries": (
        "/endpoints/{endpoint}/deliveries",
        "/endpoints/{endpoint}/deliveries?state=told&since=24h",
        "/endpoints/{paused}/deliveries?reason=timeout",
    ),
    "/accounts": ("/accounts", "/accounts?provider=telnyx"),
    "/alerts": ("/alerts", "/alerts?state=resolved"),
    "/audit": ("/audit", "/audit?who=Ada%20(console)"),
    "/tokens": ("/tokens",),
    "/{path}": ("/no/such/page", "/faxes?state=happy", "/dead/jobs/7", "/endpoints/7"),  # the page of an error
    "/login": ("/login",),
}
"""For each page of the console the addresses to be looked at."""

NO_PAGES: Final = {
    "/overview/live": "a part of the first page, for its script",
    "/dead/jobs/{id}/live": "a part of a job's page, for its script",
    "/documents/{key}/thumbnail": "an image, shown by the page of a fax",
    "/documents/{key}": "a file to be saved",
    "/exports/{name}": "a file to be saved",
    "/console-assets/{name}": "style, script and icon of the pages",
}


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The paths that the console answers GET at; filled when a dispatcher has started."""
    found: set[str] = set()
    add = Console.add_to

    def recording(console: Console, app: web.Application) -> None:
        before = {id(route) for route in app.router.routes()}
        add(console, app)
        new = [route for route in app.router.routes() if id(route) not in before and route.method == "GET"]
        found.update(route.resource.canonical for route in new if route.resource is not None)

    monkeypatch.setattr(Console, "add_to", recording)
    return found


@pytest.fixture
def backoff() -> str:
    """The table of the queues that the ledger's deliveries wait in."""
    return DEFAULT_BACKOFF


@pytest.fixture
async def names(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    unused_tcp_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    routes: set[str],
) -> Any:
    """The names in the addresses of a running console that has something to show on every page."""
    monkeypatch.setattr("dispatcher.ops.server.QueueHistory", HistoryOfAnHour)
    names = await fill_ledger(harness, tmp_path / "media")
    url = f"http://127.0.0.1:{unused_tcp_port}"
    mail = {"ACCOUNT_MAIL": "mailto:ops@example.com", "ACCOUNT_MAIL_AT": "00:00", "SMTP_URL": "smtp://127.0.0.1:9",
            "MAIL_FROM": "fax@example.net"}  # fmt: skip
    jar = aiohttp.CookieJar(unsafe=True)
    async with dispatching(**TOKENS, **mail), aiohttp.ClientSession(cookie_jar=jar) as http:
        yield {"url": url, **names, **await use_console(BrowserSession(http, url), names)}


async def test_no_page_is_left_out_of_the_walk(names: dict[str, str], routes: set[str]) -> None:
    assert names
    assert routes == {*WALK, *NO_PAGES}, "add a new page to WALK"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("token", [OPS_TOKEN, READ_TOKEN], ids=["operator", "reader"])
async def test_every_page_is_readable_labelled_worked_by_keyboard_and_whole_on_a_phone(
    names: dict[str, str], token: str, dark: bool
) -> None:
    wrong: list[str] = []
    pictures = os.environ.get("WALK_PICTURES")

    def walk(browser: WebDriver) -> None:
        browser.get(names["url"] + "/login")
        look(browser, "/login", "/login")
        log_in(browser, names["url"], token)
        for templates in WALK.values():
            for template in templates:
                path = template.format_map(names)
                browser.get(names["url"] + path)
                assert browser.get_cookies(), path
                look(browser, path, template)

    def look(browser: WebDriver, path: str, template: str) -> None:
        refusals = [each["message"] for each in complaints(browser)]
        wrong.extend(f"{path}: {each}" for each in refusals if "the server responded with a status of 4" not in each)
        browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
        for size, checks in ((DESK, (CONTRAST, LABELS, WORDS, KEYBOARD, WIDER, CUT_OFF)), (PHONE, (WIDER, CUT_OFF))):
            resize(browser, *size)
            wrong.extend(f"{path} at {size[0]}: {found}" for check in checks for found in browser.execute_script(check))
            if pictures and token == OPS_TOKEN:
                take_picture(browser, Path(pictures), f"{size[0]}-{'dark' if dark else 'light'}", template)

    await in_browser(walk, dark=dark)
    assert not wrong, "\n".join(wrong)


def take_picture(browser: WebDriver, folder: Path, kind: str, path: str) -> None:
    """Leave a picture of the whole page."""
    height = browser.execute_script("return document.documentElement.scrollHeight")
    width = browser.execute_script("return window.innerWidth")
    resize(browser, width, min(height, 6_000))
    name = "".join(each if each.isalnum() else "_" for each in path)[:90] or "_"
    (folder / f"{kind}-{name}.png").write_bytes(browser.get_screenshot_as_png())
