"""The pictures of the console in the documentation can be taken, and stay small.

`PICTURES=docs python -m pytest tests/dispatcher/ops/console/test_pictures.py` writes them.
"""

import asyncio
import base64
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from browser_sessions import OPS_TOKEN, TOKENS
from chromium import PHONE_WIDTH, browsing, resize
from dispatchers import DispatcherHarness
from seeded_accounts import seed_accounts, seed_mail
from seeded_ledger import HistoryOfAnHour, seed_ledger
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from shared.domain import utc_now
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

MOST_BYTES = 300_000
WIDTH = 1180
PHONE_HEIGHT = 780

PHONES = """<!doctype html><style>body{{margin:0;padding:24px;display:flex;gap:24px;background:#d9d7cf}}
img{{border-radius:22px;border:7px solid #1c2422}}</style><img src="{0}"><img src="{1}"><img src="{2}">"""


async def test_the_pictures_of_the_documentation_can_be_taken(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    unused_tcp_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path(os.environ.get("PICTURES") or tmp_path)
    monkeypatch.setattr("dispatcher.ops.server.QueueHistory", HistoryOfAnHour)
    fax_id = await seed_ledger(harness, tmp_path / "media")
    await seed_accounts(harness.pool, days_ago=2)  # a dispatcher without a list counts the last two days anew
    addresses = ("ops@example.com", "desk@example.com")
    for address in addresses:
        await seed_mail(harness.pool, (utc_now() - timedelta(days=1)).date(), address)
    mail = {"ACCOUNT_MAIL": ",".join(f"mailto:{each}" for each in addresses), "ACCOUNT_MAIL_AT": "00:00",
            "SMTP_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "fax@example.net"}  # fmt: skip
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with dispatching(**TOKENS, **mail):
        await asyncio.to_thread(take_pictures, url, fax_id, folder)
    pictures = sorted(folder.glob("console-*.png"))
    assert [picture.stem for picture in pictures] == [
        "console-accounts", "console-dead", "console-endpoint", "console-fax", "console-overview", "console-phone",
    ]  # fmt: skip
    for picture in pictures:
        assert 10_000 < picture.stat().st_size < MOST_BYTES, picture.name


def take_pictures(url: str, fax_id: str, folder: Path) -> None:
    """Take the pages light, dark and on a phone."""
    shots: dict[str, bytes] = {}
    for mode, dark, width in (("light", False, WIDTH), ("dark", True, WIDTH), ("phone", False, PHONE_WIDTH)):
        with browsing(dark=dark, width=width) as browser:
            _log_in(browser, url)
            for name, path in (
                ("overview", "/"), ("fax", f"/faxes/phaxio/{fax_id}"), ("dead", "/dead"), ("endpoint", "/endpoints"), ("accounts", "/accounts"),
            ):  # fmt: skip
                browser.get(url + path)
                shots[f"{name}-{mode}"] = _shot(browser, width, PHONE_HEIGHT if mode == "phone" else None)
    with browsing(width=WIDTH) as browser:
        (folder / "console-accounts.png").write_bytes(shots["accounts-light"])
        (folder / "console-fax.png").write_bytes(shots["fax-light"])
        (folder / "console-dead.png").write_bytes(shots["dead-dark"])
        (folder / "console-endpoint.png").write_bytes(shots["endpoint-light"])
        (folder / "console-overview.png").write_bytes(shots["overview-light"])
        phones = (shots["overview-phone"], shots["fax-phone"], shots["dead-phone"])
        wide = 3 * (PHONE_WIDTH + 14) + 4 * 24
        (folder / "console-phone.png").write_bytes(_composed(browser, PHONES, phones, wide, PHONE_HEIGHT + 62))


def _log_in(browser: WebDriver, url: str) -> None:
    browser.get(url)
    browser.find_element(By.ID, "token").send_keys(OPS_TOKEN)
    browser.find_element(By.ID, "name").send_keys("Ada", Keys.ENTER)


def _shot(browser: WebDriver, width: int, height: int | None) -> bytes:
    whole = browser.execute_script("return document.querySelector('main').getBoundingClientRect().bottom + scrollY")
    resize(browser, width, height or round(whole) - 24)
    shot: bytes = browser.get_screenshot_as_png()
    return shot


def _composed(browser: WebDriver, page: str, shots: tuple[bytes, ...], width: int, height: int) -> bytes:
    sources = [f"data:image/png;base64,{base64.b64encode(shot).decode()}" for shot in shots]
    resize(browser, width, height)
    browser.get("about:blank")
    browser.execute_script("document.write(arguments[0]); document.close()", page.format(*sources))
    browser.execute_async_script("Promise.all([...document.images].map((i) => i.decode())).then(arguments[0])")
    composed: bytes = browser.get_screenshot_as_png()
    return composed
