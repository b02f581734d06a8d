"""Both images are built and run for real: small, without what they do not need, read-only, not root, and they tell."""

import asyncio
import json
import re
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import callbacks
import pytest
from container_engine import Engine, build_images, import_base, private_engine
from packaging.requirements import Requirement
from running_stack import TOKEN, RunningStack
from waiting import until

from deploy.images import PYTHON_VERSION, default_base
from deploy.services.processes import free_port

REPOSITORY = Path(__file__).parents[2]
SERVICES = ("ingress", "dispatcher")
MOST_MEGABYTES = {"ingress": 150, "dispatcher": 250}
PORT = {"ingress": "INGRESS_PORT", "dispatcher": "OPS_PORT"}
HOST = {"ingress": "INGRESS_HOST", "dispatcher": "OPS_HOST"}
LOCKED_DOWN = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host")

pytestmark = pytest.mark.timeout(900)  # the first test also makes the base and builds


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with private_engine() as running:
        import_base(running, default_base())
        build_images(running, REPOSITORY)
        yield running


def described(engine: Engine, service: str) -> dict:
    return json.loads(engine.docker("image", "inspect", f"faxhook-{service}"))[0]


def locked(service: str) -> dict[str, str]:
    """Return the versions that the lock file of *service* pins for this platform and the Python of the images."""
    lines = (REPOSITORY / f"requirements-{service}.lock").read_text().splitlines()
    pins = [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]
    of_the_image = {"python_version": PYTHON_VERSION, "python_full_version": f"{PYTHON_VERSION}.0"}
    return {pin.name: str(pin.specifier) for pin in pins if pin.marker is None or pin.marker.evaluate(of_the_image)}


@pytest.fixture(scope="module")
def files(engine: Engine) -> Iterator[dict[str, tarfile.TarFile]]:
    """The file system of each image."""
    with ExitStack() as stack:
        yield {service: stack.enter_context(exported(engine, service)) for service in SERVICES}


def exported(engine: Engine, service: str) -> tarfile.TarFile:
    """Return the file system of the image of *service*."""
    container = engine.docker("create", f"faxhook-{service}")
    archive = engine.folder / f"{service}.tar"
    engine.docker("export", "--output", str(archive), container)
    engine.docker("rm", container)
    return tarfile.open(archive)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_is_small_with_its_base(engine, service):
    assert described(engine, service)["Size"] < MOST_MEGABYTES[service] * 1_000_000


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_says_what_it_is_runs_as_a_fixed_user_and_asks_itself_by_python(engine, service):
    config = described(engine, service)["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["python", "-m", service]
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "shared.runtime.healthcheck", service]
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels["title"] == f"faxhook {service}"
    assert labels["base.name"] == default_base()
    assert re.fullmatch(r"\d+\.\d+\.\d+", labels["version"])
    assert re.fullmatch(r"[0-9a-f]{40}", labels["revision"])


def test_the_ingress_holds_nothing_of_the_dispatcher(files):
    names = {name.rpartition("site-packages/")[2] for name in files["ingress"].getnames() if "site-packages/" in name}
    tops = {name.partition("/")[0] for name in names}
    assert {"ingress", "shared", "aiohttp"} <= tops
    assert not tops & {"dispatcher", "sqlalchemy", "alembic", "asyncpg", "rich", "typer", "jinja2", "aiosmtplib"}
    assert not any(name.startswith("shared/sql") for name in names)
    assert "app/bin/faxhook" not in files["ingress"].getnames()


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_no_shell_no_package_manager_and_nothing_set_uid(files, service):
    programs = {Path(name).name for name in files[service].getnames() if re.search(r"(^|/)s?bin/", name)}
    assert {"python3", f"faxhook-{service}"} <= programs
    assert not programs & {"sh", "bash", "dash", "apt", "apt-get", "dpkg", "pip", "pip3", "perl", "curl"}
    assert not [member.name for member in files[service] if member.isfile() and member.mode & 0o6000]
    assert not [name for name in files[service].getnames() if "/site-packages/pip/" in name]


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_lists_its_components_those_of_the_lock_file_and_ourselves(files, service):
    bill = json.load(files[service].extractfile("app/sbom.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX"
    components = {each["name"].lower().replace("_", "-"): f"=={each['version']}" for each in bill["components"]}
    ours = components.pop("faxhook", None) or f"=={bill['metadata']['component']['version']}"
    assert ours.startswith("==")
    assert components == {name.lower(): version for name, version in locked(service).items()}
    packages = files[service].extractfile("var/lib/dpkg/status").read().decode()
    assert "Package: libc6\n" in packages
    assert "Package: apt\n" not in packages


@pytest.mark.parametrize("service", SERVICES)
def test_no_index_and_no_path_of_the_build_is_in_an_image(engine, files, service):
    history = engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", f"faxhook-{service}")
    assert "http" not in history
    names = files[service].getnames()
    assert not [name for name in names if name.endswith(("pip.conf", "sources.list")) or ".whl" in name]
    for member in files[service]:
        if member.name.endswith("direct_url.json"):
            assert b"http" not in files[service].extractfile(member).read(), member.name


@asynccontextmanager
async def container(engine: Engine, service: str, environment: dict[str, str], media: Path) -> AsyncIterator[str]:
    """Run *service* locked down and yield its id once it is healthy; its documents are kept in *media*."""
    variables = {**environment, HOST[service]: "127.0.0.1", "MEDIA_URL": "file:///var/lib/faxhook/media"}
    options = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    volume = ("--volume", f"{media}:/var/lib/faxhook")
    # The image's health check, more often: the tests wait for it.
    started = await asyncio.to_thread(
        engine.docker, "run", "--detach", *LOCKED_DOWN, *volume, *options, "--health-interval=1s", f"faxhook-{service}"
    )

    def is_healthy() -> bool:
        state = json.loads(engine.docker("inspect", "--format", "{{json .State}}", started))
        assert state["Running"], engine.run("logs", started)
        return state["Health"]["Status"] == "healthy"

    try:
        await until(is_healthy, f"{service} healthy")
        yield started
    finally:
        await asyncio.to_thread(engine.docker, "rm", "--force", started)


async def seconds_to_stop(engine: Engine, started: str) -> tuple[float, int]:
    """Send SIGTERM; return how long the process took to end, and its exit code."""
    begin = time.monotonic()
    await asyncio.to_thread(engine.docker, "kill", "--signal=TERM", started)
    code = await asyncio.to_thread(engine.docker, "wait", started)
    return time.monotonic() - begin, int(code)


PROBE = """
import os
status = dict(line.split(":", 1) for line in open("/proc/1/status"))
def refused(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
print(os.getuid(), status["CapEff"].strip(), status["NoNewPrivs"].strip(), refused("/app/x"), refused("/tmp/x"), sep=",")
"""


async def test_a_callback_through_both_containers_is_told_and_both_end_on_sigterm_in_less_than_two_seconds(
    engine: Engine, running_stack: RunningStack, tmp_path: Path
) -> None:
    await running_stack.endpoint()
    media = tmp_path / "documents"
    media.mkdir()
    media.chmod(0o777)  # a bind mount keeps the host's owner; a named volume gets the image's
    ports = [free_port()]
    ports.append(free_port(ports))
    settings = {
        service: {**getattr(running_stack, service), PORT[service]: str(port)}
        for service, port in zip(SERVICES, ports, strict=True)
    }
    async with (
        container(engine, "ingress", settings["ingress"], media) as ingress,
        container(engine, "dispatcher", settings["dispatcher"], media) as dispatcher,
    ):
        for started in (ingress, dispatcher):
            probed = await asyncio.to_thread(engine.docker, "exec", started, "python", "-c", PROBE)
            assert probed == "65532,0000000000000000,1,Read-only file system,Read-only file system"
        status, answer = await callbacks.phaxio(79).send(running_stack.http, f"http://127.0.0.1:{ports[0]}")
        assert (status, answer["status"]) == (200, "accepted")
        (webhook,) = await running_stack.receiver.got(1)
        await until(lambda: running_stack.count_of("told"), "told in the ledger")
        assert webhook.event_id == answer["event_id"]
        assert webhook.phaxio_signature_matches(running_stack.receiver.url, TOKEN)
        for started in (ingress, dispatcher):
            seconds, code = await seconds_to_stop(engine, started)
            assert code == 0, engine.run("logs", started)
            assert seconds < 2
    assert len(running_stack.receiver.received) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_knows_the_certificate_authorities_that_applications_use(engine, service):
    count = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    ran = engine.docker("run", "--rm", *LOCKED_DOWN, "--entrypoint=python", f"faxhook-{service}", "-c", count)
    assert int(ran) > 50


@pytest.mark.parametrize(("service", "first"), [("ingress", "AMQP_URL"), ("dispatcher", "DATABASE_URL")])
def test_a_container_without_its_settings_says_which_one_is_missing_and_exits_78(engine, service, first):
    ended = engine.run("run", "--rm", *LOCKED_DOWN, f"faxhook-{service}", check=False)
    assert ended.returncode == 78
    assert re.fullmatch(rf"{service}: {first} is not set: .+\n", ended.stderr)


def test_a_container_whose_document_folder_is_not_mounted_says_so_and_exits_78(engine, running_stack):
    variables = {**running_stack.ingress, "MEDIA_URL": "file:///documents"}
    options = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    ended = engine.run("run", "--rm", *LOCKED_DOWN, *options, "faxhook-ingress", check=False)
    assert ended.returncode == 78
    assert "ingress: MEDIA_URL is wrong: " in ended.stderr


def test_the_dispatcher_s_image_holds_the_command_line(engine, running_stack):
    variables = ("--env", f"DATABASE_URL={running_stack.database_url}", "--env", f"AMQP_URL={running_stack.amqp_url}")
    command = (*LOCKED_DOWN, *variables, "--entrypoint=faxhook", "faxhook-dispatcher", "migrate", "--json")
    revisions = json.loads(engine.docker("run", "--rm", *command))
    assert revisions["before"] == revisions["after"]
