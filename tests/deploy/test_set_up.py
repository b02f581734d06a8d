"""The set-up says how far it is, shows a program's lines only if it fails, and is interrupted without a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy import set_up
from deploy.set_up import Progress, StepFailed, run_step

SCRIPT = Path(set_up.__file__)


def test_a_long_step_says_how_far_it_is_and_for_how_long_it_runs(capsys, monkeypatch):
    monkeypatch.setattr(set_up, "SAY_EVERY_SECONDS", 0.05)
    slow = "import time; print('Collecting one==1\\n  Collecting two==2', flush=True); time.sleep(0.3)"
    run_step("fetching libraries", [sys.executable, "-c", slow], Progress(3))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "fetching libraries …"
    assert "  2 of 3 libraries fetched, 0 s" in said
    assert not [line for line in said if line.startswith("Collecting")]


def test_what_pip_installs_is_counted_and_never_more_than_there_is():
    progress = Progress(2)
    for line in ("Collecting a==1 (from -r x)\n", "Collecting b==1\n", "Collecting c==1\n"):
        progress.take(line)
    assert str(progress) == "2 of 2 libraries fetched"
    progress.take("Installing collected packages: a, b, c\n")
    assert str(progress) == "installing 3 libraries"


def test_a_step_that_fails_shows_its_last_lines():
    with pytest.raises(StepFailed, match=r"(?s)making it failed with exit code 3:\nno disk"):
        run_step("making it", [sys.executable, "-c", "print('no disk'); raise SystemExit(3)"])


def test_it_is_interrupted_with_a_sentence(tmp_path):
    setting_up = subprocess.Popen(
        [sys.executable, SCRIPT, tmp_path / "venv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
        process_group=0,
    )
    assert setting_up.stdout is not None
    while "making the environment" not in setting_up.stdout.readline():
        pass
    deadline = time.monotonic() + 20
    while not (tmp_path / "venv").exists() and time.monotonic() < deadline:
        pass
    os.killpg(setting_up.pid, signal.SIGINT)  # as a terminal does
    _, errors = setting_up.communicate()
    assert setting_up.returncode == 130
    assert errors == "Interrupted. The same command begins again.\n"
