"""`make run` keeps its secrets from run to run, and runs once for each data folder."""

import subprocess

import pytest

from deploy.demo.settings import make_secrets, only_run, run_environment, secrets_key, used_variables, write_run_env
from deploy.services.control import Services
from deploy.services.processes import Unavailable
from dispatcher.ops.simulator.settings import read_env_file
from dispatcher.settings import DispatcherSettings
from ingress.settings import IngressSettings
from shared.settings import load
from shared.signatures import telnyx_public_key

SERVICES = Services("amqp://u:p@127.0.0.1:1/v", "postgresql://u:p@127.0.0.1:2/d", None, "file:///media")


def silent(_line):
    pass


def test_secrets_are_made_once_kept_for_their_owner_and_mean_the_same_to_a_shell(tmp_path):
    first = run_environment(tmp_path, SERVICES, {}, silent)
    write_run_env(tmp_path, first)
    second = run_environment(tmp_path, SERVICES, {}, silent)
    assert {name: second[name] for name in make_secrets()} == {name: first[name] for name in make_secrets()}
    path = tmp_path / "run.env"
    assert path.stat().st_mode & 0o777 == 0o600
    said = subprocess.run(
        ["sh", "-c", 'set -a; . "$1"; env', "sh", path], env={}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {f"{name}={value}" for name, value in read_env_file(path).items()} <= set(said)
    assert read_env_file(path) == first


def test_given_secrets_win_and_a_given_telnyx_key_has_no_seed(tmp_path):
    key = telnyx_public_key(bytes(32))
    given = {"TELNYX_PUBLIC_KEY": key, "PHAXIO_CALLBACK_TOKEN": "it's mine", "PUBLIC_URL": "https://a.example"}
    variables = run_environment(tmp_path, SERVICES, given, silent)
    assert given.items() <= variables.items()
    assert "TELNYX_SIMULATE_SEED" not in variables
    write_run_env(tmp_path, variables)
    assert read_env_file(tmp_path / "run.env") == variables


def test_one_run_at_a_time_uses_a_folder(tmp_path):
    with only_run(tmp_path), pytest.raises(Unavailable, match="already"), only_run(tmp_path):
        pass
    with only_run(tmp_path):
        pass


def test_the_key_of_a_ledger_is_the_given_one_else_kept_from_run_to_run(tmp_path):
    first = secrets_key(tmp_path, {})
    assert secrets_key(tmp_path, {}) == first
    assert secrets_key(tmp_path, {"SECRETS_KEY": "given"}) == "given"
    assert secrets_key(tmp_path, {}) == first


def test_the_file_holds_what_the_services_use_and_the_table_of_waits(tmp_path):
    variables = run_environment(tmp_path, SERVICES, {}, silent)
    given = {"RETENTION_DAYS": "7", "EGRESS_ALLOW_NETWORKS": "127.0.0.0/8", "SMTP_URL": "smtp://127.0.0.1:25"}
    others = {"PATH": "/bin", "HOME": "/root", "BACKOFF": "", "LISTEN_TOKEN": variables["LISTEN_TOKEN"]}
    environment = {**others, **variables, **given, "MAIL_FROM": "fax@localhost", "ASTERISK_INBOUND_SECRET_FILE": "/x"}
    used = used_variables(environment)
    assert given.items() <= used.items()
    assert used["BACKOFF"] == "5m,10m,20m,30m,6h*12"
    assert used_variables({**environment, "BACKOFF": "1s*3"})["BACKOFF"] == "1s*3"
    assert used["ASTERISK_INBOUND_SECRET_FILE"] == "/x"
    assert not {"PATH", "HOME"} & set(used)
    for kind in (IngressSettings, DispatcherSettings):
        assert load(kind, used) == load(kind, environment)
