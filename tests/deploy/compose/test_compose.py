"""The compose file is valid, runs two of each service with no more rights than they need, and reads only what is made."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.compose import up
from deploy.compose.prepared import prepare
from dispatcher.configuration.broker import TopologySettings
from dispatcher.settings import DispatcherSettings, MigrateSettings
from ingress.settings import IngressSettings
from shared.settings import describe

COMPOSE = Path(sys.executable).parent / "docker-compose"
FOLDER = up.COMPOSE_FILE.parent
SERVICES = {
    "ingress": IngressSettings,
    "dispatcher": DispatcherSettings,
    "migrate": MigrateSettings,
    "topology": TopologySettings,
}


def config(*files: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    options = [word for file in (up.COMPOSE_FILE, *files) for word in ("--file", str(file))]
    command = [COMPOSE, *options, "config", "--format", "json"]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compose")
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def composed(prepared) -> dict:
    done = config(FAXHOOK_DIR=str(prepared))
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return json.loads(done.stdout)


def test_without_its_folder_it_names_the_variable():
    done = config()
    assert done.returncode != 0
    assert "FAXHOOK_DIR" in done.stderr
    assert "make up sets it" in done.stderr


def test_two_of_each_service_run_without_rights_and_have_time_to_drain(composed):
    for service, grace in {"ingress": "30s", "dispatcher": "2m30s"}.items():
        found = composed["services"][service]
        assert found["deploy"]["replicas"] == 2
        assert found["read_only"]
        assert found["cap_drop"] == ["ALL"]
        assert found["security_opt"] == ["no-new-privileges"]
        assert found["stop_grace_period"] == grace
        assert "ports" not in found


def test_the_jobs_run_once_as_the_owner_before_the_services(composed):
    services = composed["services"]
    for job, url in {"migrate": "owner_database_url", "topology": "owner_amqp_url"}.items():
        assert services[job]["restart"] == "no"
        assert [secret["source"] for secret in services[job]["secrets"]] == [url]
        assert services["dispatcher"]["depends_on"][job]["condition"] == "service_completed_successfully"
    for service in ("ingress", "dispatcher"):
        assert not [secret for secret in services[service]["secrets"] if "owner" in secret["source"]]


def test_migrate_grants_the_role_that_the_services_connect_as_and_nothing_else_does(composed):
    role = composed["services"]["migrate"]["environment"]["DATABASE_APPLICATION_ROLE"]
    url = Path(composed["secrets"]["application_database_url"]["file"]).read_text()
    assert url.startswith(f"postgresql://{role}:")
    made = (FOLDER / "roles.sh").read_text()
    assert f"CREATE ROLE {role} LOGIN" in made
    assert f"GRANT USAGE ON SCHEMA public TO {role};" in made  # the schema is not the owner's to give
    assert "TABLES" not in made


def test_the_ingress_and_the_stores_have_no_way_out(composed):
    assert composed["networks"]["inside"]["internal"]
    for service in ("ingress", "broker", "ledger", "migrate", "topology"):
        assert list(composed["services"][service]["networks"]) == ["inside"]


def test_nothing_but_loopback_is_published_unless_an_address_is_given(composed, prepared):
    ports = [port for service in composed["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    opened = json.loads(config(FAXHOOK_DIR=str(prepared), BIND_ADDRESS="0.0.0.0").stdout)  # noqa: S104
    ports = [port for service in opened["services"].values() for port in service.get("ports", [])]
    assert [port["target"] for port in ports if port["host_ip"] == "0.0.0.0"] == [8080]  # noqa: S104


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_given_variables_that_it_has_and_all_that_it_requires(composed, service):
    rows = describe(SERVICES[service])
    given = {name.removesuffix("_FILE") for name in composed["services"][service]["environment"]}
    assert given <= {name for name, _, _ in rows}
    assert {name for name, default, _ in rows if default == "required"} <= given


def test_phaxio_signs_the_port_that_is_published_unless_a_url_is_given(prepared):
    for given, url in {
        (): "http://127.0.0.1:8080",
        (("INGRESS_PORT", "9000"),): "http://127.0.0.1:9000",
        (("INGRESS_PORT", "9000"), ("PUBLIC_URL", "https://fax.example.com")): "https://fax.example.com",
    }.items():
        ingress = json.loads(config(FAXHOOK_DIR=str(prepared), **dict(given)).stdout)["services"]["ingress"]
        assert ingress["environment"]["PUBLIC_URL"] == url


def test_every_secret_and_every_file_that_is_mounted_is_there(composed):
    for secret in composed["secrets"].values():
        assert Path(secret["file"]).read_text().strip()
    used = {secret["source"] for service in composed["services"].values() for secret in service.get("secrets", [])}
    assert used == set(composed["secrets"])
    mounts = [mount for service in composed["services"].values() for mount in service.get("volumes", [])]
    for mount in mounts:
        assert mount["type"] == "volume" or Path(mount["source"]).is_file(), mount["source"]


def test_an_image_is_named_with_a_version(composed):
    others = set(composed["services"]) - set(SERVICES)
    for service in others:
        assert re.search(r":(v?\d+[\w.-]*)$", composed["services"][service]["image"])


def test_the_stand_ins_of_debian_fit_the_compose_file(prepared):
    done = config(Path(__file__).with_name("debian.yaml"), FAXHOOK_DIR=str(prepared))
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def test_the_proxy_lets_the_providers_routes_in_and_no_internal_one():
    cfg = (FOLDER / "haproxy.cfg").read_text()
    (allowed,) = re.findall(r"deny_status 404 unless \{ path -m str ([^}]+) \}", cfg)
    design = {"/phaxio-callback", "/phaxio-inbound", "/telnyx-webhook", "/sinch-inbound"}
    assert set(allowed.split()) == design


def test_prometheus_scrapes_both_services_and_the_queues():
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert {job["job_name"] for job in scraped} == {"ingress", "dispatcher", "broker", "queues"}


@pytest.fixture
def no_docker(tmp_path, monkeypatch):
    """Leave nothing in the PATH but a shell."""
    (tmp_path / "sh").symlink_to(shutil.which("sh"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_an_engine_it_says_so(no_docker, capsys):
    assert up.main(["down"]) == 69
    assert capsys.readouterr().err == "No Docker engine answers: start one, or set DOCKER_HOST to one.\n"


def test_without_compose_it_says_what_to_install(no_docker, monkeypatch, capsys):
    program = no_docker / "docker"
    program.write_text('#!/bin/sh\n[ "$1" = info ] && echo 20.10\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(no_docker / "python"))
    assert up.main(["down"]) == 69
    assert (
        capsys.readouterr().err
        == "Docker Compose is missing: install Docker's compose plugin, version 2.20 or newer.\n"
    )


def test_a_start_that_fails_says_what_failed(no_docker, monkeypatch, capsys):
    program = no_docker / "docker"
    program.write_text('#!/bin/sh\ncase "$1" in info|compose) [ "$2" != --file ] && echo 2.26 ;; esac\n')
    program.chmod(0o755)
    assert up.main(["down"]) == 70
    assert capsys.readouterr().err.startswith("Compose could not down; see above")
