"""Choose how RabbitMQ runs here, and install what is missing: RabbitMQ by apt-get or brew, PostgreSQL's system user."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.services.broker import MINIMUM_VERSION
from deploy.services.container import Container, has_engine, has_image
from deploy.services.processes import StartFailed, Unavailable
from deploy.services.rabbitmq import Installation, Node, find_installation, search_path
from deploy.services.state import State

PACKAGE: Final = "rabbitmq-server"
POLICY: Final = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT: Final = (
    "#!/bin/sh\n# Put here for a moment by faxhook's deploy/local.py: no service is started on installing.\nexit 101\n"
)
APT_OPTIONS: Final = ("-o", "DPkg::Lock::Timeout=120")  # seconds; another apt-get may be at work
INSTALL_SECONDS: Final = 900.0

Broker = Node | Container
Say = Callable[[str], None]


def choose_broker(
    state: State,
    say: Say,
    *,
    find: Callable[[], Installation | None] = find_installation,
    has_container: Callable[[Say], bool] = lambda say: has_engine() and has_image(say),
    install: Callable[[Say], None] | None = None,
) -> Broker:
    """Return the broker to start: what was used before, else an installed one, else a container, else install one.

    Args:
        state: Of the data folder; remembers the choice, because the data go with it.
        say: Called before anything is downloaded or installed.
        find: Finds an installed rabbitmq-server.
        has_container: Says whether a container could run.
        install: Installs a rabbitmq-server, or raises; None means `install_package`.

    Raises:
        Unavailable: RabbitMQ cannot run on this machine.
    """
    installation = find()
    is_usable = installation is not None and installation.version >= MINIMUM_VERSION
    broker: Broker
    if is_usable and state.broker != Container.kind:
        broker = Node(state, installation)
    elif has_container(say):
        broker = Container(state)
    elif is_usable:
        broker = Node(state, installation)
    elif installation is not None:
        raise Unavailable(_too_old(f"The installed RabbitMQ {'.'.join(map(str, installation.version))}"))
    else:
        (install or install_package)(say)
        installation = find()
        if installation is None:
            raise StartFailed(f"{PACKAGE} was installed, but its programs are not found. Set AMQP_URL to a RabbitMQ.")
        broker = Node(state, installation)
    state.broker = broker.kind
    state.save()
    return broker


def remembered_broker(state: State) -> Broker:
    """Return the broker that was used before, to ask or to end it. Nothing is looked for."""
    return Container(state) if state.broker == Container.kind else Node(state, find_installation())


def install_package(say: Say) -> None:
    """Install RabbitMQ with the system's package manager.

    Raises:
        Unavailable: There is no package manager that we can use, or it failed.
    """
    if shutil.which("apt-get"):
        if os.geteuid() != 0:
            raise Unavailable(
                "RabbitMQ is missing, and only root may install it. Run `sudo apt-get install -y "
                f"--no-install-recommends {PACKAGE}` (and `sudo systemctl disable --now {PACKAGE}` if no system broker "
                "is wanted), or start Docker, or set AMQP_URL to a RabbitMQ."
            )
        say(f"RabbitMQ is missing: installing {PACKAGE} with apt-get (as root, without starting a system broker) ...")
        with _no_service_starts():
            _run(["apt-get", "update"])
            _check_candidate()
            _run(["apt-get", *APT_OPTIONS, "install", "-y", "--no-install-recommends", PACKAGE])
        _keep_off_after_boot(say)
    elif shutil.which("brew"):
        say("RabbitMQ is missing: installing it with `brew install rabbitmq` ...")
        _run(["brew", "install", "rabbitmq"])
    else:
        raise Unavailable(
            f"RabbitMQ is missing, and there is no Docker, apt-get or brew to get it with. Install RabbitMQ "
            f"{'.'.join(map(str, MINIMUM_VERSION))} or newer (the program rabbitmq-server, with Erlang), or set "
            "AMQP_URL to one."
        )


def _run(command: list[str]) -> None:
    environment = dict(os.environ) | {"PATH": search_path(), "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    try:
        result = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`{' '.join(command)}` did not end within {INSTALL_SECONDS:.0f} s.") from None
    if result.returncode != 0:
        output = "\n".join(f"  | {line}" for line in result.stdout.splitlines()[-15:])
        raise Unavailable(
            f"`{' '.join(command)}` failed, so RabbitMQ cannot be had. Install {PACKAGE} by hand, start Docker, or set "
            f"AMQP_URL. It said:\n{output}"
        )


def _check_candidate() -> None:
    """Refuse what the distribution offers if it is too old, before it is installed (Ubuntu 22.04: 3.9)."""
    program = shutil.which("apt-cache", path=search_path()) or "apt-cache"
    listing = subprocess.run([program, "policy", PACKAGE], capture_output=True, text=True, check=False).stdout
    offered = re.search(r"Candidate: (?:\d+:)?(\d+)\.(\d+)", listing)
    if offered and tuple(map(int, offered.groups())) < MINIMUM_VERSION:
        raise Unavailable(_too_old(f"The RabbitMQ {'.'.join(offered.groups())} that apt-get offers"))


def _too_old(which: str) -> str:
    minimum = ".".join(map(str, MINIMUM_VERSION))
    return (
        f"{which} is too old: {minimum} or newer is needed. Install a newer one, start Docker, or set AMQP_URL to one."
    )


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Let Debian's package scripts start no service meanwhile. A policy that is there already stays untouched."""
    try:
        is_ours = POLICY.read_text() == POLICY_TEXT  # left over from a run that was killed
    except OSError:
        is_ours = not POLICY.exists()
    if is_ours:
        POLICY.write_text(POLICY_TEXT)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if is_ours:
            POLICY.unlink(missing_ok=True)


def _keep_off_after_boot(say: Say) -> None:
    # The package also enables its service for the next boot. No one asked for that.
    program = shutil.which("update-rc.d", path=search_path())
    if program is None:
        return
    subprocess.run([program, PACKAGE, "disable"], capture_output=True, check=False)
    say(f"The system's own {PACKAGE} service was left switched off.")


def ensure_system_user(name: str) -> tuple[int, int]:
    """Return user and group id of the system user *name*; created if it is missing. Only root can do this.

    Raises:
        Unavailable: It cannot be created.
    """
    import pwd  # noqa: PLC0415  (Unix only)

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        program = shutil.which("useradd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or "useradd"
        command = [program, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unavailable(
                "PostgreSQL does not run as root, and useradd cannot make a user for it. Run this as an ordinary "
                "user, or set DATABASE_URL."
            ) from error
        entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid
