"""In a real browser a dead delivery is found, understood, replayed or discarded, and seen delivered."""

from console_in_browser import FAX, Site, in_browser
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver


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
