"""In a real browser the first page follows what happens, dark where that is preferred; a reader changes nothing."""

import asyncio

from browser_sessions import READ_TOKEN
from console_in_browser import Site, in_browser
from dispatchers import an_event
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver


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
