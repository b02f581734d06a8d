"""Where RabbitMQ is missing: what is installed, found or refused, and in which words."""

import os

import pytest
from local_stores import ours, silent

from deploy.services import control
from deploy.services.container import Container, has_engine, has_image
from deploy.services.install import choose_broker
from deploy.services.processes import Unavailable
from deploy.services.rabbitmq import Installation
from deploy.services.state import State

# --- RabbitMQ is missing ----------------------------------------------------------------------------------------------


def choosing(**finders):
    """A choice of broker on a machine where only what *finders* find exists."""
    nothing = {"find": lambda: None, "has_container": lambda _say: False}
    return lambda state, say: choose_broker(state, say, **(nothing | finders))


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_where_nothing_helps_the_refusal_says_what_to_do(tmp_path, bare):
    data = tmp_path / ".local"
    with pytest.raises(Unavailable, match=r"Install RabbitMQ 3\.10 or newer .* or set\s+AMQP_URL") as refusal:
        control.up(data, environ={}, say=silent, choose=choosing())
    assert refusal.value.exit_code == 69
    assert not ours(data), "PostgreSQL is ended again: all or nothing"
    control.reset(data, say=silent)


def test_a_user_is_told_what_root_would_install(tmp_path, bare, monkeypatch):
    program(bare, "apt-get", "exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unavailable, match="sudo apt-get install -y --no-install-recommends rabbitmq-server"):
        choosing()(State(tmp_path), silent)


def test_root_installs_after_saying_so_and_no_system_broker_starts(tmp_path, bare, monkeypatch):
    policy = tmp_path / "policy-rc.d"
    program(bare, "apt-get", f'echo "$@ $DEBIAN_FRONTEND" >>{tmp_path}/calls; {policy} && exit 5; exit 0')
    program(bare, "apt-cache", "echo '  Candidate: 3.10.8-1.1+deb12u1'")
    program(bare, "update-rc.d", f'echo "$@" >>{tmp_path}/calls')
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("deploy.services.install.POLICY", policy)
    said = []
    finds = iter([None, Installation(tmp_path, (4, 0, 5))])
    broker = choosing(find=lambda: next(finds))(State(tmp_path), said.append)
    assert broker.kind == "node"
    assert "installing rabbitmq-server with apt-get" in said[0]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [
        "update noninteractive",
        "-o DPkg::Lock::Timeout=120 install -y --no-install-recommends rabbitmq-server noninteractive",
        "rabbitmq-server disable",
    ]
    assert not policy.exists()


def test_what_apt_offers_is_not_installed_if_it_is_too_old(tmp_path, bare, monkeypatch):
    program(bare, "apt-get", '[ "$1" = update ]')
    program(bare, "apt-cache", "echo '  Candidate: 3.9.13-1ubuntu0.22.04.2'")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("deploy.services.install.POLICY", tmp_path / "policy-rc.d")
    with pytest.raises(Unavailable, match=r"RabbitMQ 3\.9 that apt-get offers is too old"):
        choosing()(State(tmp_path), silent)


def test_what_apt_said_is_shown_when_it_fails(tmp_path, bare, monkeypatch):
    program(bare, "apt-get", "echo no network here; exit 100")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("deploy.services.install.POLICY", tmp_path / "policy-rc.d")
    with pytest.raises(Unavailable, match="no network here"):
        choosing()(State(tmp_path), silent)


def test_a_too_old_rabbitmq_is_refused_by_its_version(tmp_path):
    old = Installation(tmp_path, (3, 9, 13))
    with pytest.raises(Unavailable, match=r"3\.9\.13 is too old"):
        choosing(find=lambda: old)(State(tmp_path), silent)


def test_an_installed_rabbitmq_comes_before_a_container(tmp_path):
    new = Installation(tmp_path, (3, 10))
    everything = choosing(find=lambda: new, has_container=lambda _say: True)
    assert everything(State(tmp_path), silent).kind == "node"
    assert choosing(has_container=lambda _say: True)(State(tmp_path), silent).kind == "container"
    # Where a container holds the data, the container stays.
    assert everything(State(tmp_path, broker="container"), silent).kind == "container"


def test_the_container_is_asked_for_without_its_password_in_the_arguments(tmp_path, bare):
    program(bare, "docker", f'echo "$@" >>{tmp_path}/calls; [ "$1" != run ] || [ -n "$RABBITMQ_DEFAULT_PASS" ]')
    state = State(tmp_path)
    state.choose_ports("amqp", "api")
    assert has_image(silent)
    Container(state)._run()
    calls = (tmp_path / "calls").read_text()
    assert f"--publish 127.0.0.1:{state.port('amqp')}:5672" in calls
    assert state.password not in calls


def test_docker_that_hangs_or_fails_is_no_engine(bare):
    assert not has_engine()
    program(bare, "docker", "exit 1")
    assert not has_engine()
