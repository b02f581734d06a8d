"""Each service runs with the libraries of its own lock file and no others; a program without them says so and exits 78."""

import ast
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[2]

IMPORT_ALL = """
import pkgutil
without, *packages = sys.argv[1:]
from importlib import import_module
for package in packages:
    for module in pkgutil.walk_packages(import_module(package).__path__, package + "."):
        if not module.name.startswith(without):
            import_module(module.name)
"""

RUN = """
from shared import programs
sys.exit(getattr(programs, sys.argv[1])())
"""


def pinned(service: str) -> Iterator[Requirement]:
    """Yield what the lock file of *service* pins for this platform."""
    for line in (REPOSITORY / f"requirements-{service}.lock").read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement


def install(folder: Path, packages: tuple[str, ...], locks: tuple[str, ...]) -> Path:
    """Make *folder* hold our *packages* and the libraries of *locks*, as links to what is installed here."""
    for package in packages:
        (folder / package).symlink_to(REPOSITORY / package)
    requirements = {each.name: each for lock in locks for each in pinned(lock)}
    for name, requirement in requirements.items():
        installed = distribution(name)
        assert requirement.specifier.contains(installed.version), f"{name} is {installed.version} here"
        for top in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
            (folder / top).symlink_to(Path(str(installed.locate_file(top))))
    return folder


def python(folder: Path, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run *code* where nothing can be imported but the standard library and what *folder* holds."""
    script = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("service", "without"),
    [
        ("ingress", "shared.sql"),  # the ledger's schema is the dispatcher's
        ("dispatcher", "shared.sql.migrations."),  # alembic runs them; nothing imports them
    ],
)
def test_every_module_of_a_service_imports_with_its_own_libraries_only(tmp_path, service, without):
    answer = python(install(tmp_path, (service, "shared"), (service,)), IMPORT_ALL, without, service, "shared")
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("service", ["ingress", "dispatcher"])
def test_a_service_gets_to_its_settings_with_its_own_libraries_only(tmp_path, service):
    answer = python(install(tmp_path, (service, "shared"), (service,)), RUN, f"faxhook_{service}")
    assert answer.returncode == 78
    assert re.search(r"(AMQP|DATABASE)_URL is not set", answer.stderr)


@pytest.mark.parametrize(
    ("locks", "program", "extra"),
    [
        ((), "faxhook-ingress", "ingress"),
        ((), "faxhook-dispatcher", "dispatcher"),
        ((), "faxhook", "dispatcher"),
        (("ingress",), "faxhook-dispatcher", "dispatcher"),
        (("ingress",), "faxhook", "dispatcher"),
    ],
)
def test_a_program_without_its_libraries_says_what_to_install(tmp_path, locks, program, extra):
    folder = install(tmp_path, ("ingress", "dispatcher", "shared"), locks)
    answer = python(folder, RUN, program.replace("-", "_"))
    assert answer.returncode == 78
    sentence = rf"{program} needs the {extra}'s libraries: pip install 'faxhook\[{extra}\]' \(\w+ is missing\)\n"
    assert re.fullmatch(sentence, answer.stderr)


RUN_MODULE = """
import runpy
runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("module", "extra"), [("ingress", "ingress"), ("dispatcher", "dispatcher"), ("dispatcher.ops", "dispatcher")]
)
def test_a_module_run_without_its_libraries_says_what_to_install(tmp_path, module, extra):
    answer = python(install(tmp_path, ("ingress", "dispatcher", "shared"), ()), RUN_MODULE, module)
    assert answer.returncode == 78
    assert re.fullmatch(
        rf"faxhook\S* needs the {extra}'s libraries: pip install 'faxhook\[{extra}\]' \(\w+ is missing\)\n",
        answer.stderr,
    )


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("{ctrl_c}; print('not reached')", -signal.SIGINT),  # while it imports
        ("def main(): {ctrl_c}; print('not reached')", 130),
        ("def main(): return 3", 3),
    ],
)
def test_ctrl_c_is_never_a_traceback_however_early_it_comes(tmp_path, module, code):
    ctrl_c = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    (tmp_path / "slow.py").write_text(module.format(ctrl_c=ctrl_c))
    (tmp_path / "shared").symlink_to(REPOSITORY / "shared")
    answer = python(tmp_path, "from shared import programs\nsys.exit(programs.run_program('it', 'dev', 'slow'))")
    assert (answer.returncode, answer.stdout, answer.stderr) == (code, "", "")


@pytest.mark.parametrize("script", ["deploy/run.py", "deploy/local.py"])
def test_a_script_of_the_makefile_imports_no_library_before_it_is_guarded(script):
    watch = """
import runpy
from importlib import import_module
from shared import programs
before = set(sys.modules)
programs.run_program = lambda *_: sorted(set(sys.modules) - before)
try:
    runpy.run_path(sys.argv[1], run_name="__main__")
except SystemExit as end:
    print(end.code)
"""
    answer = python(REPOSITORY, watch, str(REPOSITORY / script))
    assert answer.stdout.startswith("["), answer.stderr
    assert not {"asyncio", "argparse", "subprocess", "deploy.services"} & set(ast.literal_eval(answer.stdout))


def test_traces_without_their_extra_are_one_sentence(tmp_path):
    environment = {
        "AMQP_URL": "amqp://guest:guest@127.0.0.1:1/",
        "MEDIA_URL": tmp_path.as_uri(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
    }
    answer = python(install(tmp_path, ("ingress", "shared"), ("ingress",)), RUN, "faxhook_ingress", **environment)
    assert answer.returncode == 78
    assert answer.stderr == (
        "ingress: OTEL_EXPORTER_OTLP_ENDPOINT is set, and its libraries are not installed: "
        "pip install 'faxhook[otel]' (opentelemetry is missing)\n"
    )


@pytest.mark.parametrize("service", ["ingress", "dispatcher"])
def test_a_service_does_not_import_what_only_the_command_line_uses(service):
    answer = python(
        REPOSITORY,
        f"""
import site
site.addsitedir({str(Path(pytest.__file__).parents[1])!r})
import {service}.__main__
print(sorted({{"typer", "alembic", "sqlalchemy", "dispatcher.ops.cli"}} & set(sys.modules)))
""",
    )
    assert answer.stdout == "[]\n", answer.stderr


def test_the_ingress_needs_nothing_that_only_the_dispatcher_uses():
    names = {requirement.name for requirement in pinned("ingress")}
    assert not names & {
        "sqlalchemy", "alembic", "asyncpg", "rich", "typer", "jinja2", "aiosmtplib", "aio-pika", "greenlet", "mako",
    }  # fmt: skip


def test_the_lock_for_development_pins_what_the_services_lock():
    development = {requirement.name: requirement.specifier for requirement in pinned("dev")}
    for service in ("ingress", "dispatcher", "otel"):
        for requirement in pinned(service):
            assert development[requirement.name] == requirement.specifier
