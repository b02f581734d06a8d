"""Pages in a browser, light and dark, looked at as wide as a desk's window and a phone's; what is wrong is gathered."""

from pathlib import Path
from typing import Final

from chromium import complaints, prefer, resize
from page_checks import CONTRAST, CUT_OFF, KEYBOARD, LABELS, WIDER, WORDS, all_of
from selenium.webdriver.remote.webdriver import WebDriver

DESK: Final = (1280, 900)
PHONE: Final = (360, 780)
REFUSED: Final = "the server responded with a status of 4"

ON_A_DESK: Final = all_of(CONTRAST, LABELS, WORDS, KEYBOARD, WIDER, CUT_OFF)
ON_A_PHONE: Final = all_of(WIDER, CUT_OFF)
LOOKS: Final = (
    ("light", DESK, ON_A_DESK),
    ("light", PHONE, ON_A_PHONE),
    ("dark", PHONE, ON_A_PHONE),
    ("dark", DESK, ON_A_DESK),
)
"""A page is loaded once for all of them: most of a walk's time is the loading."""


class LookedAt:
    """What is wrong with the pages that were looked at, a line each; pictures of them in *folder*, if one is named."""

    def __init__(self, folder: str | None = None) -> None:
        self.wrong: list[str] = []
        self._folder = None if folder is None else Path(folder)

    def look(self, browser: WebDriver, name: str) -> None:
        """Look at the page that *browser* shows, all that can be opened being open; *name* is what it is called."""
        refusals = [each["message"] for each in complaints(browser) if REFUSED not in each["message"]]
        self.wrong += [f"{name}: {each}" for each in refusals]
        browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
        for scheme, size, checks in LOOKS:
            prefer(browser, scheme)
            resize(browser, *size)
            self.wrong += [f"{name}, {scheme}, at {size[0]}: {found}" for found in browser.execute_script(checks)]
            if self._folder is not None:
                self._take_picture(browser, size[0], scheme, name)
        prefer(browser, "light")
        resize(browser, *DESK)

    def _take_picture(self, browser: WebDriver, width: int, scheme: str, name: str) -> None:
        height = browser.execute_script("return document.documentElement.scrollHeight")
        resize(browser, width, min(height, 6_000))
        file = "".join(each if each.isalnum() else "_" for each in name)[:90]
        assert self._folder is not None
        (self._folder / f"{width}-{scheme}-{file}.png").write_bytes(browser.get_screenshot_as_png())
