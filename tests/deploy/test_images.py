"""Building images says in a sentence what is missing: the engine, the base image, a wheel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import images
from deploy.services.processes import StartFailed, Unavailable

SCRIPT = Path(images.__file__)

DOCKER = """#!/bin/sh
case "$1 $2" in
  "info "*) {info} ;;
  "image inspect") {inspect} ;;
  "pull "*) {pull} ;;
  "build "*) {build} ;;
esac
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Put a `docker` into the PATH, each command of which does as told; the builds' arguments go to a file."""

    def installed(*, info="echo 20.10", inspect="echo 1000000", pull="exit 1", build='echo "$@" >> "$0.built"'):
        program = tmp_path / "docker"
        program.write_text(DOCKER.format(info=info, inspect=inspect, pull=pull, build=build))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "docker.built"

    return installed


def test_the_command_ends_with_69_and_one_sentence_where_no_engine_answers(tmp_path):
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none"}
    ended = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 69
    assert ended.stderr == "No Docker engine answers: start one, or set DOCKER_HOST to one.\n"


def test_a_base_image_that_is_not_there_and_cannot_be_pulled_is_named(docker):
    built = docker(inspect="exit 1")
    with pytest.raises(Unavailable, match=r"^The base image nowhere:1 is not here and cannot be pulled: "):
        images.build("nowhere:1", "latest")
    assert not built.exists()


def test_a_base_image_that_can_be_pulled_is_built_on(docker):
    built = docker(inspect='[ "$3" = base:1 ] && exit 1 || echo 1000000', pull="echo pulled")
    images.build("base:1", "v1")
    lines = built.read_text().splitlines()
    assert [line.split("--target ")[1].split()[:3] for line in lines] == [
        ["ingress", "--tag", "faxhook-ingress:v1"],
        ["dispatcher", "--tag", "faxhook-dispatcher:v1"],
    ]
    assert all("--build-arg BASE=base:1" in line for line in lines)


def test_an_extra_is_passed_to_both_builds(docker, monkeypatch):
    built = docker()
    monkeypatch.setattr(sys, "argv", ["images.py", "--extra", "otel"])
    assert images.main() == 0
    assert [" EXTRA=otel " in f"{line} " for line in built.read_text().splitlines()] == [True, True]


def test_a_build_that_fails_names_the_image(docker):
    docker(build="exit 1")
    with pytest.raises(StartFailed, match=r"^The image faxhook-ingress:latest was not built"):
        images.build("base:1", "latest")


def test_wheels_that_cannot_be_downloaded_leave_no_folder_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "WHEELS", tmp_path / "wheels")
    monkeypatch.setattr(images, "LOCKS", ("requirements-none.lock",))
    with pytest.raises(Unavailable, match=r"requirements-none\.lock"):
        images.fetch_wheels()
    assert not (tmp_path / "wheels").exists()


def test_the_base_is_the_one_that_the_dockerfile_names():
    assert images.default_base().startswith("python:3.11-")
