"""systemd is told when a service is ready, that it lives, and when it stops; without systemd nothing is sent anywhere."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import running

from shared.runtime.sd_notify import ALIVE, READY, STOPPING, notify

REPOSITORY = Path(__file__).parents[3]
UNITS = sorted((REPOSITORY / "deploy/systemd").glob("*.service"))


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """The socket on which systemd listens, by a path or by an abstract name, and what NOTIFY_SOCKET says then."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@faxhook-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0"))
        listening.settimeout(20)
        yield listening, name


def test_a_state_arrives_as_one_datagram(manager):
    listening, name = manager
    notify(READY, {"NOTIFY_SOCKET": name})
    assert listening.recv(100) == b"READY=1"


@pytest.mark.parametrize("name", ["", "/nowhere/notify", "@no-listener"])
def test_without_a_listener_nothing_happens(name):
    notify(READY, {"NOTIFY_SOCKET": name})


def test_a_listener_that_takes_nothing_more_holds_nothing_up(manager):
    _, name = manager
    started = time.monotonic()
    for _ in range(2000):
        notify(ALIVE, {"NOTIFY_SOCKET": name})
    assert time.monotonic() - started < 20


async def test_a_service_says_ready_alive_and_stopping_in_this_order(manager, tmp_path, amqp_url):
    listening, name = manager
    environment = {"AMQP_URL": amqp_url, "MEDIA_URL": tmp_path.as_uri(), "INGRESS_PORT": "0", "NOTIFY_SOCKET": name}
    async with running("ingress", environment) as ingress:
        states = [listening.recv(100).decode()]
        while {READY, ALIVE} - set(states):
            states.append(listening.recv(100).decode())
        ingress.process.send_signal(signal.SIGTERM)
        while states[-1] != STOPPING:
            states.append(listening.recv(100).decode())
        assert await ingress.ended() == 0
    assert states.count(READY) == states.count(STOPPING) == 1
    assert states.index(READY) < len(states) - 1


def test_a_loop_that_does_not_turn_is_not_said_to_live(manager):
    listening, name = manager
    code = """
import asyncio, time
from shared.runtime.hang_detector import HangDetector
async def main():
    HangDetector("service", asyncio.get_running_loop(), lambda: False, turn_seconds=0.05).start()
    await asyncio.sleep(0.5)  # ten turns, which are told
    print("blocked", flush=True)
    time.sleep(1.5)  # thirty turns that do not come
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code], env={"NOTIFY_SOCKET": name}, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        listening.setblocking(False)
        said = drained(listening)
        assert said
        process.wait(30)
    assert len(drained(listening)) <= 2  # the turns that were under way


def drained(listening):
    found = []
    while True:
        try:
            found.append(listening.recv(100))
        except BlockingIOError:
            return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_notifies_restarts_unless_a_setting_is_wrong_and_gives_time_to_drain(unit):
    text = unit.read_text()
    assert "\nType=notify\n" in text
    assert "\nRestartPreventExitStatus=78\n" in text
    assert f"\nExecStart=/opt/faxhook/venv/bin/{unit.stem}\n" in text
    seconds = int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1])
    assert seconds == {"faxhook-ingress": 30, "faxhook-dispatcher": 150}[unit.stem]


def test_there_is_a_unit_for_each_service():
    assert [unit.stem for unit in UNITS] == ["faxhook-dispatcher", "faxhook-ingress"]
