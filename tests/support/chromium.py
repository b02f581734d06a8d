"""A real, headless Chromium for tests of pages: Debian's package, installed as root where it is missing."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.remote.webdriver import WebDriver

PACKAGES = ("chromium", "chromium-driver")
PROGRAMS = (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
INSTALL_SECONDS = 600.0
PHONE_WIDTH = 390


def programs() -> tuple[str, str]:
    """Return browser and driver; install them if they are missing and we may, else skip the test (in CI: fail)."""
    found = _found()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        sys.stderr.write(f"Chromium is missing: installing {' and '.join(PACKAGES)} with apt-get ...\n")
        for command in (
            ["update"],
            ["-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends", *PACKAGES],
        ):
            subprocess.run(
                ["apt-get", *command],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdout=subprocess.DEVNULL,
                check=False,
                timeout=INSTALL_SECONDS,
            )
        found = _found()
    if found is None:
        why = f"the console is tested in a browser: install {' and '.join(PACKAGES)} (Debian's packages)"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


_idle: list[WebDriver] = []
"""Browsers that are not in use: starting one takes longer than most tests."""


@contextmanager
def browsing(*, dark: bool = False, width: int = 1280, height: int = 900, scale: float = 1.0) -> Iterator[WebDriver]:
    """Lend a browser that reaches this machine only and has no cookies; up to a phone's *width* it behaves like one."""
    lent = _idle.pop() if _idle else _started()
    try:
        lent.execute_cdp_cmd("Network.clearBrowserCookies", {})
        prefer(lent, "dark" if dark else "light")
        resize(lent, width, height, scale)
        complaints(lent)
        yield lent
        lent.get("about:blank")
    except BaseException:
        lent.quit()
        raise
    _idle.append(lent)


def _started() -> WebDriver:
    browser, driver = programs()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (
        "--headless=new",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    environment = {**os.environ, "TMPDIR": str(_folder())}
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver, env=environment))


@cache
def _folder() -> Path:
    """Make a folder for what browsers leave behind; a short name, since a socket's has 107 bytes at most."""
    return Path(tempfile.mkdtemp(prefix="chromium-"))


@atexit.register
def _quit_all() -> None:
    for browser in _idle:
        browser.quit()
    if _folder.cache_info().currsize:
        shutil.rmtree(_folder(), ignore_errors=True)


def resize(browser: WebDriver, width: int, height: int, scale: float = 1.0) -> None:
    """Give the page exactly this many pixels."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width <= PHONE_WIDTH}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(browser: WebDriver, scheme: str) -> None:
    """Let the page be "light" or "dark", at once, and without the transitions that a person may see."""
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def complaints(browser: WebDriver) -> list[dict[str, Any]]:
    """Return the new lines of the browser's console: errors of scripts, refusals by the Content-Security-Policy."""
    log: list[dict[str, Any]] = browser.get_log("browser")
    return [entry for entry in log if entry["level"] in {"SEVERE", "WARNING"}]


def _found() -> tuple[str, str] | None:
    paths = [next(filter(None, map(shutil.which, names)), None) for names in PROGRAMS]
    browser, driver = paths
    return None if browser is None or driver is None else (browser, driver)
