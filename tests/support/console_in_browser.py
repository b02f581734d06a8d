"""The console as a person meets it in a real browser: pages, clicks counted, the keyboard."""

import asyncio
from collections.abc import Callable
from typing import Any

from browser_sessions import OPS_TOKEN
from chromium import browsing, complaints
from dispatchers import DispatcherHarness
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from dispatcher.policy.endpoint import Endpoint

REASON = "503 <script>window.hacked = true</script> the billing database is locked"
FAX = "5"


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
        log_in(browser, self.url, token, path)
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
        return wait(browser, condition, seconds)


def wait(browser: WebDriver, condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until *condition* is true; return what it returned."""
    ignored = (Exception,)  # a page that is being replaced by the next one
    return WebDriverWait(browser, seconds, 0.05, ignored).until(lambda _browser: condition())


def log_in(browser: WebDriver, url: str, token: str = OPS_TOKEN, path: str = "/") -> None:
    """Log Ada in at the console at *url*, on the way to the page *path*."""
    browser.get(url + path)
    browser.find_element(By.ID, "token").send_keys(token)
    browser.find_element(By.ID, "name").send_keys("Ada", Keys.ENTER)
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "nav"))


async def in_browser(walk: Callable[[WebDriver], None], **how: Any) -> None:
    """Do *walk* beside the running dispatcher; afterwards no script must have failed, nothing been refused."""

    def work() -> None:
        with browsing(**how) as browser:
            walk(browser)
            assert complaints(browser) == []
            assert browser.execute_script("return window.hacked") is None

    await asyncio.to_thread(work)
