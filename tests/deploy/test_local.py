"""The command deploy/local.py: its exit codes and sentences; two at a time, or one interrupted, leave nothing behind."""

import os
import signal
import subprocess
import sys

import pytest
from local_stores import NO_BROKER, SCRIPT, ours, read_env, run, silent, without_stores

from deploy.services import control
from deploy.services.processes import is_alive, wait_until
from deploy.services.rabbitmq import find_installation


@pytest.fixture
def postgres_only(tmp_path):
    data = tmp_path / ".local"
    yield data
    control.reset(data, say=silent)


def test_down_of_nothing_says_so(tmp_path):
    answer = run("down", "--data", tmp_path / "none")
    assert (answer.returncode, answer.stdout) == (0, f"Nothing ran on {tmp_path / 'none'}.\n")
    assert not (tmp_path / "none").exists()


def test_given_urls_win_and_stay_out_of_the_file(tmp_path):
    data = tmp_path / ".local"
    given = NO_BROKER | {"DATABASE_URL": "postgresql://db.test/fax"}
    answer = run("up", "--data", data, environ=given)
    assert answer.returncode == 0
    assert "AMQP_URL is given: no private RabbitMQ is started." in answer.stdout
    assert set(read_env(data)) == {"MEDIA_URL"}
    assert not ours(data)
    services = control.up(data, environ=given, say=silent)
    assert (services.amqp_url, services.database_url) == (given["AMQP_URL"], given["DATABASE_URL"])
    assert run("status", "--data", data, environ=given).returncode == 0


def test_ups_at_the_same_time_start_one_server(postgres_only):
    command = [sys.executable, SCRIPT, "up", "--data", postgres_only]
    runs = [subprocess.Popen(command, env=without_stores() | NO_BROKER, stdout=subprocess.PIPE) for _ in range(3)]
    said = [process.communicate()[0].decode() for process in runs]
    assert [process.returncode for process in runs] == [0, 0, 0]
    assert sum("up already" in text for text in said) == 2


@pytest.mark.skipif(find_installation() is None, reason="no RabbitMQ to interrupt")
def test_ctrl_c_leaves_nothing_half_started(tmp_path):
    data = tmp_path / ".local"
    environment = {"PATH": os.environ["PATH"]}
    up = subprocess.Popen(
        [sys.executable, SCRIPT, "up", "--data", data],
        env=environment,
        stderr=subprocess.PIPE,
        # What a shell started in the background ignores it, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - it takes no lock
    )
    try:
        assert wait_until(lambda: any(process.runs("beam.smp") for process in ours(data).values()), 20)
        before = ours(data)
        up.send_signal(signal.SIGINT)
        assert "Interrupted" in up.communicate(timeout=20)[1].decode()
        assert up.returncode == 130
        assert not [process for process in before.values() if is_alive(process)]
        assert not ours(data)
    finally:
        up.kill()
        control.reset(data, say=silent)
