"""In a real browser everything is reached by keyboard alone, and the focus is seen."""

from browser_sessions import OPS_TOKEN
from console_in_browser import FAX, Site, in_browser
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement


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
