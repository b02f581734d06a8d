"""The filter of a list: always there on a desk; on a phone folded, the list before it, until it is opened or set."""

import pytest
from browser_sessions import BrowserSession
from chromium import resize
from console_in_browser import in_browser, log_in, wait
from dispatchers import DispatcherHarness, an_event
from looked_at import DESK, PHONE
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

LISTS = {
    "/faxes": "provider=phaxio",
    "/events": "provider=phaxio",
    "/deliveries": "state=dead",
    "/attempts": "outcome=told",
    "/endpoints": "scope=number",
    "/dead": "kind=event",
    "/dead/list": "kind=event",
    "/accounts": "provider=phaxio",
    "/alerts": "state=open",
    "/audit": "who=Ada",
}


@pytest.mark.parametrize("path", LISTS)
async def test_a_filter_is_open_where_it_is_set(session: BrowserSession, path: str) -> None:
    await session.log_in()
    assert '<details class="filters">' in (await session.get(path)).text
    assert '<details class="filters" open>' in (await session.get(f"{path}?{LISTS[path]}")).text


async def test_a_phone_shows_the_list_first_and_the_filter_when_it_is_asked_for(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await harness.take(an_event(1))

    def shown(browser: WebDriver) -> bool:
        return bool(browser.execute_script("return document.querySelector('.filter [name=number]').checkVisibility()"))

    def walk(browser: WebDriver) -> None:
        log_in(browser, session.url)
        resize(browser, *DESK)
        browser.get(f"{session.url}/faxes")
        assert shown(browser)
        assert not browser.find_element(By.CSS_SELECTOR, ".filters > summary").is_displayed()
        resize(browser, *PHONE)
        browser.get(f"{session.url}/faxes")
        assert not shown(browser)
        top = browser.execute_script("return document.querySelector('.rows li').getBoundingClientRect().top")
        assert top < PHONE[1], "the latest fax is seen at once"
        browser.find_element(By.CSS_SELECTOR, ".filters > summary").send_keys(Keys.ENTER)
        wait(browser, lambda: shown(browser))
        browser.find_element(By.NAME, "number").send_keys("5550102", Keys.ENTER)
        wait(browser, lambda: "number=5550102" in browser.current_url)
        assert shown(browser), "what narrows the list is seen beside it"

    await in_browser(walk)
