"""What local.py remembers about a data folder: the password, the ports, and which paths it made itself."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from threading import RLock
from typing import Final

from deploy.services.processes import LocalError, free_port, is_free

STATE_NAME: Final = "local.json"
LOCK_NAME: Final = "local.lock"


@dataclass
class State:
    """What is remembered of one data folder, in its `local.json`, which only its owner can read.

    Attributes:
        password: Of both services; generated once. Hex digits, so that no URL or configuration must escape it.
        ports: By what they are for. Kept, so that URLs stay the same over restarts.
        made: The folders that we created and may remove; relative to the data folder, if they are in it.
        up: Names of the services that should be running.
        broker: How RabbitMQ runs here: `node` or `container`; None before the first time.
    """

    data: Path
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    ports: dict[str, int] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    up: list[str] = field(default_factory=list)
    broker: str | None = None

    def __post_init__(self) -> None:
        self._guard = RLock()  # the services are started by threads

    @property
    def marker(self) -> str:
        """An argument of all our processes of this data folder, and of no others: `faxhook-` and 10 hex digits."""
        return "faxhook-" + hashlib.sha256(os.fsencode(self.data)).hexdigest()[:10]

    @property
    def logs(self) -> Path:
        """The folder of the services' logs."""
        return self.data / "log"

    def save(self) -> None:
        """Write `local.json`."""
        with self._guard:
            kept = asdict(self) | {"data": str(self.data)}
            write_private(self.data / STATE_NAME, json.dumps(kept, indent=2) + "\n")

    def mark_up(self, name: str, is_up: bool) -> None:
        """Remember whether the service *name* should be running."""
        with self._guard:
            self.up = sorted({*self.up, name} if is_up else {*self.up} - {name})
            self.save()

    def port(self, purpose: str) -> int:
        """Return the port for *purpose*; 0 if none was chosen yet."""
        return self.ports.get(purpose, 0)

    def choose_ports(self, *purposes: str) -> None:
        """Have a free port for each of *purposes*: the remembered one, unless it was taken meanwhile."""
        with self._guard:
            for purpose in purposes:
                if not self.port(purpose) or not is_free(self.port(purpose)):
                    self.ports[purpose] = free_port(self.ports.values())
            self.save()

    def make_folder(self, path: Path, mode: int = 0o700) -> Path:
        """Create the folder *path*, remembering that it is ours; one that we made before stays as it is.

        Raises:
            LocalError: It is there, and not ours.
        """
        with self._guard:
            name = os.path.relpath(path, self.data) if path.is_relative_to(self.data) else str(path)
            if not path.is_dir():
                self.made = sorted({*self.made, name})
                self.save()  # first: a folder that we made and forgot could never be removed
                path.mkdir(mode)
                path.chmod(mode)  # mkdir heeds the umask
            elif name not in self.made:
                raise LocalError(f"{path} was not made by local.py. Move it away, or name another folder with --data.")
            return path


def load(data: Path) -> State | None:
    """Return what is remembered of *data*; None if nothing was ever started there."""
    path = data / STATE_NAME
    try:
        kept = json.loads(path.read_bytes())
        if kept["data"] != str(data):  # copied or moved here: folders outside belong to the original
            kept["made"] = [name for name in kept["made"] if not Path(name).is_absolute()]
            kept["up"] = []
        return State(**kept | {"data": data})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise LocalError(f"{path} cannot be understood ({error}). Remove {data} by hand, then run `up`.") from error


def write_private(path: Path, text: str) -> None:
    """Write *text* to *path* in one step, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Let one local.py at a time work on *data*, which must exist. What it starts does not inherit the lock."""
    path = data / LOCK_NAME
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                flock(descriptor, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                print(f"Another local.py is at work on {data}; waiting for it.", flush=True)
                flock(descriptor, LOCK_EX)
            if not _is_same_file(descriptor, path):  # a reset removed it while we waited
                data.mkdir(parents=True, exist_ok=True)
                continue
            yield
            return
        finally:
            os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
