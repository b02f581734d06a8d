"""In a real browser rows are ticked, and only they are replayed, discarded or sent again."""

from collections.abc import Sequence

from console_in_browser import FAX, Site, in_browser
from dispatchers import an_event
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver


async def ids_of(site: Site, *faxes: str) -> list[str]:
    rows = await site.harness.pool.fetch(
        "SELECT id FROM deliveries WHERE event_id = ANY($1) ORDER BY event_id",
        [f"phaxio:{fax}-fax.delivered" for fax in faxes],
    )
    return [str(row["id"]) for row in rows]


async def states(site: Site) -> list[str]:
    return [row["state"] for row in await site.harness.deliveries()]


def tick(browser: WebDriver, ids: Sequence[str]) -> None:
    """Tick the boxes of these rows by keyboard, as they are reached."""
    for each in ids:
        box = browser.find_element(By.CSS_SELECTOR, f'input[name="id"][value="{each}"]')
        box.send_keys(Keys.SPACE)
        assert box.is_selected()


async def test_only_the_ticked_letters_are_replayed(site: Site) -> None:
    ticked = await ids_of(site, "4", "6")

    def walk(browser: WebDriver) -> None:
        site.log_in(browser, path="/dead/list")
        site.see(browser, f"fax {FAX}")
        tick(browser, ticked)
        site.click(browser, "button", "Replay selected…")
        site.see(browser, "Replay 2 dead letters?")
        site.click(browser, "form.confirm button", "Replay 2 dead letters")
        site.see(browser, "Replayed 2 of 2 dead letters")

    await in_browser(walk)
    await site.harness.receiver.got(2 + 6)
    assert sorted(await states(site)) == ["dead", "told", "told"]
    assert [row["state"] for row in await site.harness.deliveries() if str(row["id"]) in ticked] == ["told", "told"]


async def test_only_the_ticked_letters_are_discarded(site: Site) -> None:
    ticked = await ids_of(site, FAX)

    def walk(browser: WebDriver) -> None:
        site.log_in(browser, path="/dead/list?cause=http_503")
        tick(browser, ticked)
        site.click(browser, "button.quiet", "Discard selected…")
        site.see(browser, "Discard 1 dead letter?")
        browser.find_element(By.ID, "reason").send_keys("sent twice", Keys.ENTER)
        site.see(browser, "Discarded 1 of 1 dead letter")
        browser.get(f"{site.url}/dead/list")
        assert not browser.find_elements(By.CSS_SELECTOR, f'input[value="{ticked[0]}"]')
        assert len(browser.find_elements(By.CSS_SELECTOR, '.letters input[name="id"]')) == 2

    await in_browser(walk)
    assert await site.told() == 0


async def test_only_the_ticked_deliveries_are_sent_again(site: Site) -> None:
    await site.harness.publish(an_event(7), an_event(8))
    await site.harness.settled(5)
    before = len(site.harness.receiver.received)
    ticked = await ids_of(site, "8")

    def walk(browser: WebDriver) -> None:
        site.log_in(browser, path=f"/endpoints/{site.endpoint.id}/deliveries?state=told")
        tick(browser, ticked)
        site.click(browser, "button", "Send selected again…")
        site.see(browser, "Send 1 delivery again?")
        site.click(browser, "form.confirm button", "Send 1 delivery again")
        site.see(browser, "Sent again 1 of 1 delivery")

    await in_browser(walk)
    await site.harness.receiver.got(before + 1)
    assert [str(each.delivery_id) for each in site.harness.receiver.received[before:]] == ticked
    assert site.harness.receiver.received[-1].attempt == 2


async def test_nothing_ticked_is_a_sentence_and_never_everything(site: Site) -> None:
    def walk(browser: WebDriver) -> None:
        site.log_in(browser, path="/dead/list")
        for button in ("Replay selected…", "Discard selected…"):
            browser.get(f"{site.url}/dead/list")
            site.click(browser, "button", button)
            site.see(browser, "Nothing is selected")
        browser.get_log("browser")  # the two answers 422

    await in_browser(walk)
    assert await states(site) == ["dead"] * 3
