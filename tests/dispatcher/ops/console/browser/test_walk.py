"""Every page of the console is readable, labelled, worked by keyboard and whole on a phone, light and dark.

The pages are those that the console registers: one that is not in the walk fails it. `WALK_PICTURES=folder python -m
pytest tests/dispatcher/ops/console/browser/test_walk.py` leaves a picture of each, to be looked at.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from browser_sessions import OPS_TOKEN, READ_TOKEN, TOKENS, BrowserSession
from console_in_browser import in_browser, log_in, wait
from dispatchers import DispatcherHarness
from looked_at import LookedAt
from seeded_ledger import HistoryOfAnHour
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from walked_console import UNBROKEN, fill_ledger, use_console

from dispatcher.ops.console.console import Console
from shared.backoff import DEFAULT_BACKOFF
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

PICTURES: Final = os.environ.get("WALK_PICTURES")

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


async def test_no_page_is_left_out_of_the_walk(routes: set[str], dispatching: Dispatching) -> None:
    async with dispatching(**TOKENS):
        assert routes == {*WALK, *NO_PAGES}, "add a new page to WALK"


@pytest.mark.parametrize("token", [OPS_TOKEN, READ_TOKEN], ids=["operator", "reader"])
async def test_every_page_is_readable_labelled_worked_by_keyboard_and_whole_on_a_phone(
    names: dict[str, str], token: str
) -> None:
    looked_at = LookedAt(PICTURES if token == OPS_TOKEN else None)

    def walk(browser: WebDriver) -> None:
        browser.get(names["url"] + "/login")
        looked_at.look(browser, "logged out")
        log_in(browser, names["url"], token)
        for templates in WALK.values():
            for template in templates:
                browser.get(names["url"] + template.format_map(names))
                looked_at.look(browser, template)

    await in_browser(walk)
    assert not looked_at.wrong, "\n".join(looked_at.wrong)


async def test_what_a_form_answers_is_as_readable(names: dict[str, str]) -> None:
    """What is refused, with every field wrong; and what is shown once."""
    looked_at = LookedAt(PICTURES)

    def send(browser: WebDriver, path: str, fields: Mapping[str, str], button: str, answer: str) -> None:
        browser.get(names["url"] + path.format_map(names))
        for name, value in fields.items():
            field = browser.find_element(By.NAME, name)
            browser.execute_script("arguments[0].value = arguments[1]; arguments[0].required = false", field, value)
        (found,) = [each for each in browser.find_elements(By.CSS_SELECTOR, "button") if each.text == button]
        found.click()
        wait(browser, lambda: answer in browser.find_element(By.TAG_NAME, "main").text)
        looked_at.look(browser, f"{path} {button} {answer}")

    wrong = {"url": f"ftp://{UNBROKEN}", "failover_url": UNBROKEN, "timeout_seconds": "soon", "max_concurrent": "x"}
    wrong |= {"types": "fax.lost", "headers": f"Host: {UNBROKEN}"}
    token = {"name": "gateway of the accounting department in the north"}

    def walk(browser: WebDriver) -> None:
        send(browser, "/", {"token": UNBROKEN}, "Log in", "The token is neither the ops token")
        log_in(browser, names["url"])
        send(browser, "/endpoints/new", wrong, "Add endpoint", "must begin with http://")
        send(browser, "/endpoints/{paused}", wrong, "Save", "must begin with http://")
        send(browser, "/endpoints/{endpoint}", {}, "Add a token", "A token was added")
        send(browser, "/tokens", token, "Create", "It is shown here once")
        send(browser, "/tokens", token, "Create", "There is a token gateway of the")
        send(browser, "/dead/preview?all=true&do=discard", {"reason": " "}, "Discard 21 dead letters", "Enter a reason")

    await in_browser(walk)
    assert not looked_at.wrong, "\n".join(looked_at.wrong)
