"""In a real browser an endpoint is added, tested, rotated, changed, switched off and removed."""

from chromium import complaints
from console_in_browser import Site, in_browser
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver


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
