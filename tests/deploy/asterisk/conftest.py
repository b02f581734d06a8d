"""A PBX beside a real ingress, or beside a receiver that answers as the test says."""

import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ingresses import RunningIngress, serving_ingress
from pbx import Pbx
from processes import SECRETS
from receiver import Receiver

ASTERISK = Path(__file__).parents[3] / "deploy" / "asterisk"


@pytest.fixture(scope="module")
def reporter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the one file that is copied onto a PBX, made by the README's own command."""
    (command,) = re.findall(r"`(python3 -m zipapp [^`]+)`", (ASTERISK / "README.md").read_text())
    words = shlex.split(command)
    made = tmp_path_factory.mktemp("reporter") / "faxhook-report"
    assert words[-1] == made.name
    subprocess.run([sys.executable, *words[1:-1], str(made)], cwd=ASTERISK, check=True)
    return made


@pytest.fixture
def pbx(tmp_path: Path, unused_tcp_port: int, reporter: Path) -> Pbx:
    faxes, reports = tmp_path / "fax", tmp_path / "reports"
    faxes.mkdir()
    environment = {
        "FAXHOOK_URL": f"http://127.0.0.1:{unused_tcp_port}",
        "FAXHOOK_SECRET": SECRETS["ASTERISK_INBOUND_SECRET"],
        "FAXHOOK_FAX_DIR": str(faxes),
        "FAXHOOK_REPORT_DIR": str(reports),
        "FAXHOOK_REPORT_ENV": str(tmp_path / "none.env"),
    }
    return Pbx(faxes, reports, reporter, environment)


@pytest.fixture
async def ingress(amqp_url: str, pbx: Pbx, tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[RunningIngress]:
    settings = {**SECRETS, "ASTERISK_SPOOL_DIR": str(pbx.faxes)}
    async with serving_ingress(amqp_url, tmp_path / "media", unused_tcp_port, **settings) as running:
        yield running


@pytest.fixture
def faxhook(receiver: Receiver, pbx: Pbx) -> Receiver:
    pbx.environment["FAXHOOK_URL"] = receiver.base_url
    return receiver
