"""In a real browser a dead delivery is found, understood, replayed and seen delivered."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from aiohttp import web
from browser_sessions import OPS_TOKEN, READ_TOKEN, TOKENS
from chromium import PHONE_WIDTH, browsing, complaints, resize
from dispatchers import DispatcherHarness, an_event
from page_checks import CONTRAST, LABELS, WIDER
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from dispatcher.policy.endpoint import Endpoint
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

REASON = "503 <script>window.hacked = true</script> the billing database is locked"
FAX = "5"


@pytest.fixture
def backoff() -> str:
    return "0.2s"


@pytest.fixture
async def site(harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int) -> AsyncIterator["Site"]:
    """A dispatcher whose application refused the events of three faxes until they were dead letters."""
    endpoint = await harness.endpoint(direction="sent", url=harness.receiver.url.replace("//", "//user:hunter2@"))
    harness.receiver.answer = lambda _received: web.Response(status=503, text=REASON)
    async with dispatching(**TOKENS):
        await harness.publish(*(an_event(number, to_number="+15550001111") for number in (4, 5, 6)))
        await harness.settled(3)
        harness.receiver.answer = lambda _received: 200
        yield Site(f"http://127.0.0.1:{unused_tcp_port}", harness, endpoint)


class Site:
    """The console's URL, and clicks on its pages, counted."""

    def __init__(self, url: str, harness: DispatcherHarness, endpoint: Endpoint) -> None:
        self.url = url
        self.harness = harness
        self.endpoint = endpoint
        self.clicks = 0

    async def told(self) -> int:
        count: int = await self.harness.pool.fetchval("SELECT count(*) FROM deliveries WHERE state = 'told'")
        return count

    def log_in(self, browser: WebDriver, token: str = OPS_TOKEN, path: str = "/") -> None:
        browser.get(self.url + path)
        browser.find_element(By.ID, "token").send_keys(token)
        browser.find_element(By.ID, "name").send_keys("Ada", Keys.ENTER)
        self.wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "nav"))
        self.clicks = 0

    def click(self, browser: WebDriver, selector: str, text: str = "") -> None:
        found = self.wait(
            browser, lambda: [each for each in browser.find_elements(By.CSS_SELECTOR, selector) if text in each.text]
        )
        self.clicks += 1
        found[0].click()

    def see(self, browser: WebDriver, text: str) -> None:
        self.wait(browser, lambda: text in browser.find_element(By.TAG_NAME, "main").text)

    @staticmethod
    def wait(browser: WebDriver, condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        ignored = (Exception,)  # a page that is being replaced by the next one
        return WebDriverWait(browser, seconds, 0.05, ignored).until(lambda _browser: condition())


async def in_browser(walk: Callable[[WebDriver], None], **how: Any) -> None:
    """Do *walk* beside the running dispatcher; afterwards no script must have failed, nothing been refused."""

    def work() -> None:
        with browsing(**how) as browser:
            walk(browser)
            assert complaints(browser) == []
            assert browser.execute_script("return window.hacked") is None

    await asyncio.to_thread(work)


async def test_with_its_id_it_is_one_click_to_why_a_fax_was_not_delivered(site: Site) -> None:
    def walk(browser: WebDriver) -> None:
        site.log_in(browser)
        site.click(browser, "#find")
        browser.switch_to.active_element.send_keys(FAX, Keys.ENTER)
        site.see(browser, "given up after 2 attempts: it answered 503")
        site.see(browser, "the billing database is locked")
        assert f"/faxes/phaxio/{FAX}" in browser.current_url
        assert site.clicks < 5

    await in_browser(walk)


async def test_without_its_id_it_is_three_clicks_to_why_a_fax_was_not_delivered(site: Site) -> None:
    def walk(browser: WebDriver) -> None:
        site.log_in(browser)
        site.click(browser, ".issues a.button", "Review")
        site.click(browser, ".letters a", f"fax {FAX}")
        site.click(browser, "dd a", f"phaxio {FAX}")
        site.see(browser, "given up after 2 attempts: it answered 503")
        assert site.clicks < 5

    await in_browser(walk)


async def test_a_dead_delivery_is_found_understood_replayed_and_seen_delivered(site: Site) -> None:
    def walk(browser: WebDriver) -> None:
        site.log_in(browser, path="/dead")
        site.click(browser, ".group a.button.first", "Replay")
        site.see(browser, "Replay 3 dead letters?")
        site.see(browser, "Nothing has been changed yet")
        site.click(browser, "form.confirm button", "Replay 3 dead letters")
        site.see(browser, "Replayed 3 of 3 dead letters")
        assert browser.title == "Replay: done · faxhook", "the tab says so, too"
        assert "hunter2" not in browser.page_source
        browser.get(f"{site.url}/faxes/phaxio/{FAX}")
        site.wait(
            browser, lambda: (browser.refresh(), browser.find_element(By.CSS_SELECTOR, ".deliveries .pill.good"))[1]
        )
        browser.get(f"{site.url}/dead")
        site.see(browser, "There are no dead letters.")
        browser.get(f"{site.url}/audit")
        site.see(browser, "Ada (console)")
        site.see(browser, "replayed dead letters")

    await in_browser(walk)
    assert await site.told() == 3


async def test_a_discard_wants_a_reason_and_the_audit_keeps_it(site: Site) -> None:
    def walk(browser: WebDriver) -> None:
        site.log_in(browser, path="/dead")
        site.click(browser, ".group a.quiet", "Discard")
        site.see(browser, "cannot be restored")
        site.click(browser, "form.confirm button.danger")
        assert "/dead/preview" in browser.current_url, "the browser asks for the reason"
        browser.find_element(By.ID, "reason").send_keys("the customer <b>left</b>", Keys.ENTER)
        site.see(browser, "Discarded 3 of 3 dead letters")
        site.see(browser, "the customer <b>left</b>")

    await in_browser(walk)
    assert await site.harness.pool.fetchval("SELECT count(*) FROM deliveries WHERE state = 'dead'") == 0


async def test_a_read_only_session_has_no_button_that_changes_anything(site: Site) -> None:
    def walk(browser: WebDriver) -> None:
        site.log_in(browser, READ_TOKEN)
        site.see(browser, "attention")
        for path in (
            "/dead",
            "/dead/list",
            "/dead/preview?cause=http_5xx",
            "/endpoints",
            f"/endpoints/{site.endpoint.id}",
        ):
            browser.get(site.url + path)
            texts = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "main button, main a.button")]
            assert not [
                text
                for text in texts
                if text.startswith(
                    ("Replay", "Discard", "Add", "Save", "Send", "Remove", "Enable", "Disable", "Make", "Drop")
                )
            ]
            assert browser.find_element(By.CSS_SELECTOR, ".role").text.endswith("read-only")

    await in_browser(walk)
    assert await site.told() == 0


async def test_everything_is_reached_by_keyboard_alone(site: Site) -> None:
    def press(browser: WebDriver, *keys: str) -> WebElement:
        browser.switch_to.active_element.send_keys(*keys)
        return browser.switch_to.active_element

    def tab_to(browser: WebDriver, text: str) -> None:
        for _ in range(60):
            element = press(browser, Keys.TAB)
            outline = element.value_of_css_property("outline-style")
            assert outline not in {"none", ""}, f"the focus is not seen on {element.text}"
            if element.text.startswith(text):
                return
        raise AssertionError(f"not reached by Tab: {text}")

    def walk(browser: WebDriver) -> None:
        browser.get(site.url)
        press(browser, OPS_TOKEN)  # the token's field has the focus
        press(browser, Keys.ENTER)
        site.wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "nav"))
        first = press(browser, Keys.TAB)
        assert first.text == "Skip to content"
        browser.find_element(By.TAG_NAME, "body").send_keys("/")
        assert browser.switch_to.active_element.get_attribute("id") == "find"
        press(browser, FAX, Keys.ENTER)
        site.see(browser, "given up after 2 attempts")
        tab_to(browser, "Review")
        press(browser, Keys.ENTER)
        site.see(browser, "2 attempts")
        tab_to(browser, "Replay")
        press(browser, Keys.ENTER)
        site.see(browser, "Replay 1 dead letter?")
        tab_to(browser, "Replay 1 dead letter")
        press(browser, Keys.ENTER)
        site.see(browser, "Replayed 1 of 1 dead letter")

    await in_browser(walk)


async def test_an_endpoint_is_added_tested_rotated_changed_switched_off_and_removed(site: Site) -> None:
    def walk(browser: WebDriver) -> None:
        site.log_in(browser, path="/endpoints")
        site.click(browser, "a.button", "Add")
        browser.find_element(By.ID, "url").send_keys("ftp://nowhere")
        site.click(browser, "button.first", "Add endpoint")
        site.see(browser, "must begin with http://")
        (refused,) = complaints(browser)
        assert "422" in refused["message"]
        assert browser.switch_to.active_element.get_attribute("id") == "url"
        browser.find_element(By.ID, "url").clear()
        browser.find_element(By.ID, "url").send_keys(site.harness.receiver.base_url + "/second")
        site.click(browser, "button.first", "Add endpoint")
        site.see(browser, "shown here once")
        token = browser.find_element(By.ID, "new-token").get_attribute("value")
        assert len(token) > 30
        browser.refresh()
        site.see(browser, "Webhooks are signed")
        assert token not in browser.page_source
        site.click(browser, "button", "Send test event")
        site.see(browser, "200")
        site.click(browser, "button", "Add a token")
        site.see(browser, "A token was added")
        second = browser.find_element(By.ID, "new-token").get_attribute("value")
        assert second != token
        site.click(browser, "button", "Make the newest the first")
        site.see(browser, "The newest token is the first now")
        site.click(browser, "summary", "Drop the older one")
        site.click(browser, "button.danger", f"Drop …{token[-4:]}")
        site.see(browser, "The older tokens were dropped")
        browser.find_element(By.ID, "inflight").click()
        site.click(browser, "button.first", "Save")
        site.see(browser, "The settings were saved")
        assert browser.find_element(By.ID, "inflight").is_selected()
        site.click(browser, "summary", "Disable")
        site.click(browser, "button.danger", "Disable 127.0.0.1")
        site.see(browser, "The endpoint is disabled")
        site.click(browser, "summary", "Remove")
        site.click(browser, "button.danger", "Remove 127.0.0.1")
        site.see(browser, "The endpoint was removed")

    await in_browser(walk)
    assert site.harness.receiver.received[-1].target.startswith("/second")
    whats = [row["what"] for row in await site.harness.pool.fetch("SELECT what FROM audit ORDER BY id")]
    assert whats == [
        "console.logged_in",
        "endpoint.added",
        "endpoint.tested",
        "endpoint.token_add",
        "endpoint.token_promote",
        "endpoint.token_drop",
        "endpoint.changed",
        "endpoint.changed",
        "endpoint.removed",
    ]


@pytest.mark.parametrize("dark", [False, True])
async def test_every_page_is_readable_labelled_and_fits_a_phone(site: Site, dark: bool) -> None:
    def walk(browser: WebDriver) -> None:
        browser.get(site.url + "/login")
        check(browser, "/login")
        site.log_in(browser)
        letter = site.letter_id
        for path in (
            "/", "/dead", "/dead/list", f"/dead/letters/{letter}", "/dead/preview?all=true&do=replay", "/dead/preview?all=true&do=discard",
            "/faxes", f"/faxes/phaxio/{FAX}", "/faxes?q=nothing-has-this-id", "/endpoints", "/endpoints/new",
            f"/endpoints/{site.endpoint.id}", "/accounts", "/audit",
        ):  # fmt: skip
            browser.get(site.url + path)
            check(browser, path)

    def check(browser: WebDriver, path: str) -> None:
        resize(browser, 1280, 900)
        assert browser.execute_script(CONTRAST) == [], path
        assert browser.execute_script(LABELS) == [], path
        resize(browser, PHONE_WIDTH, 844)
        assert browser.execute_script(WIDER) == [], path

    site.letter_id = await site.harness.pool.fetchval("SELECT id FROM deliveries LIMIT 1")
    await in_browser(walk, dark=dark)


async def test_pages_are_dark_where_the_browser_prefers_dark(site: Site) -> None:
    grounds = []

    def walk(browser: WebDriver) -> None:
        browser.get(site.url + "/login")
        grounds.append(browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color"))

    await in_browser(walk, dark=True)
    await in_browser(walk, dark=False)
    brightness = [sum(map(float, ground.partition("(")[2].strip(")").split(",")[:3])) for ground in grounds]
    assert brightness[0] < 150
    assert brightness[1] > 600


async def test_the_first_page_follows_what_happens_without_a_reload(site: Site) -> None:
    def walk(browser: WebDriver) -> None:
        site.log_in(browser)
        site.see(browser, "3 deliveries to 127.0.0.1")
        browser.execute_script("window.stays = true")
        asyncio.run_coroutine_threadsafe(more(), loop).result(20)
        site.wait(browser, lambda: "4 deliveries to 127.0.0.1" in browser.find_element(By.TAG_NAME, "main").text, 40)
        assert browser.execute_script("return window.stays") is True

    async def more() -> None:
        site.harness.receiver.answer = lambda _received: 503
        await site.harness.publish(an_event(9))
        await site.harness.settled(4)

    loop = asyncio.get_running_loop()
    await in_browser(walk)
