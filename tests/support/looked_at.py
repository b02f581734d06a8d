"""Pages in a browser, looked at as wide as a desk's window and a phone's; what is wrong is gathered, a line each."""

from pathlib import Path
from typing import Final

from chromium import complaints, resize
from page_checks import CONTRAST, CUT_OFF, KEYBOARD, LABELS, WIDER, WORDS
from selenium.webdriver.remote.webdriver import WebDriver

DESK: Final = (1280, 900)
PHONE: Final = (360, 780)
REFUSED: Final = "the server responded with a status of 4"


class LookedAt:
    """What is wrong with the pages that were looked at; pictures of them in *folder*, if one is named."""

    def __init__(self, folder: str | None = None, kind: str = "") -> None:
        self.wrong: list[str] = []
        self._folder = None if folder is None else Path(folder)
        self._kind = kind

    def look(self, browser: WebDriver, name: str) -> None:
        """Look at the page that *browser* shows, all that can be opened being open; *name* is what it is called."""
        refusals = [each["message"] for each in complaints(browser) if REFUSED not in each["message"]]
        self.wrong += [f"{name}: {each}" for each in refusals]
        browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
        for size, checks in ((DESK, (CONTRAST, LABELS, WORDS, KEYBOARD, WIDER, CUT_OFF)), (PHONE, (WIDER, CUT_OFF))):
            resize(browser, *size)
            for check in checks:
                self.wrong += [f"{name} at {size[0]}: {found}" for found in browser.execute_script(check)]
            if self._folder is not None:
                self._take_picture(browser, size[0], name)
        resize(browser, *DESK)

    def _take_picture(self, browser: WebDriver, width: int, name: str) -> None:
        height = browser.execute_script("return document.documentElement.scrollHeight")
        resize(browser, width, min(height, 6_000))
        file = "".join(each if each.isalnum() else "_" for each in name)[:90]
        assert self._folder is not None
        (self._folder / f"{width}-{self._kind}-{file}.png").write_bytes(browser.get_screenshot_as_png())
