"""A browser that tests have used leaves nothing behind in the folder of temporary files."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import chromium

USE = "from chromium import browsing\nwith browsing() as browser: browser.get('about:blank')"


def test_a_browser_leaves_nothing_behind() -> None:
    chromium.programs()
    with tempfile.TemporaryDirectory(prefix="t") as folder:  # not tmp_path: its name is too long for a socket in it
        support = str(Path(chromium.__file__).parent)
        environment = {**os.environ, "TMPDIR": folder, "PYTHONPATH": support}
        subprocess.run([sys.executable, "-c", USE], env=environment, check=True, timeout=60)
        assert list(Path(folder).iterdir()) == []
