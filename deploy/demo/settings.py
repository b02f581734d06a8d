"""What `make run` runs with: ports that are free, secrets that are made once, all of it in `.local/run.env`.

The file is for the second terminal: `faxhook simulate … --env .local/run.env`, or `set -a; . .local/run.env` before
any other command. Variables of the environment win over what the file holds.
"""

import base64
import fcntl
import os
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from deploy.demo.ports import chosen_ports
from deploy.services.control import Services
from deploy.services.processes import LOOPBACK, Unavailable, is_free
from deploy.services.state import write_private
from dispatcher.ops.simulator.settings import TELNYX_SEED, read_env_file
from dispatcher.settings import DispatcherSettings
from ingress.settings import IngressSettings
from shared.backoff import DEFAULT_BACKOFF
from shared.signatures import telnyx_public_key

RUN_ENV: Final = "run.env"
RUN_LOCK: Final = "run.lock"
LISTEN_TOKEN: Final = "LISTEN_TOKEN"  # noqa: S105 - a variable's name
LISTEN_PORT: Final = "LISTEN_PORT"

_HEADER: Final = """\
# Written by `make run` at every start: what its services run with. Its secrets are made once and are good for nothing
# but this machine. Use: faxhook simulate … --env FILE, or: set -a; . FILE
"""

_GIVEN_VARIABLES: Final = (
    "PHAXIO_CALLBACK_TOKEN",
    "PHAXIO_API_SECRET",
    "TELNYX_PUBLIC_KEY",
    TELNYX_SEED,
    "SINCH_INBOUND_BASIC_USER",
    "SINCH_INBOUND_BASIC_PASS",
    "SINCH_INBOUND_HMAC_SECRET",
    "ASTERISK_INBOUND_SECRET",
    "SECRETS_KEY",
    "OPS_TOKEN",
)


def make_secrets() -> dict[str, str]:
    """Return fresh secrets for every provider and for the listener."""
    seed = secrets.token_bytes(32)
    return {
        "PHAXIO_CALLBACK_TOKEN": secrets.token_hex(16),
        "TELNYX_PUBLIC_KEY": telnyx_public_key(seed),
        TELNYX_SEED: base64.b64encode(seed).decode(),
        "SINCH_INBOUND_BASIC_USER": "sinch",
        "SINCH_INBOUND_BASIC_PASS": secrets.token_hex(16),
        "ASTERISK_INBOUND_SECRET": secrets.token_hex(16),
        "SECRETS_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "OPS_TOKEN": secrets.token_hex(16),
        LISTEN_TOKEN: secrets.token_hex(16),
    }


def run_environment(
    data: Path, services: Services, environ: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, str]:
    """Choose the ports, make what secrets are missing; return the variables of the services, simulate and listen."""
    kept = read_env_file(data / RUN_ENV) if (data / RUN_ENV).exists() else {}
    ports = {variable: str(port) for variable, port in chosen_ports(environ, say).items()}
    wanted = make_secrets()
    wanted |= {name: kept[name] for name in wanted if kept.get(name)}
    if environ.get("TELNYX_PUBLIC_KEY", "").strip():
        del wanted[TELNYX_SEED]  # it is not that key's
    wanted |= {name: given for name in _GIVEN_VARIABLES if (given := environ.get(name, "").strip())}
    listen_port = kept.get(LISTEN_PORT, "")
    return {
        **wanted,
        **ports,
        "PUBLIC_URL": environ.get("PUBLIC_URL", "").strip() or f"http://{LOOPBACK}:{ports['INGRESS_PORT']}",
        LISTEN_PORT: listen_port if listen_port.isdigit() and is_free(int(listen_port)) else "0",
        **store_variables(services),
    }


def used_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the services, `simulate` and `listen` read of *environment*; BACKOFF also where it is the default."""
    kinds = (IngressSettings, DispatcherSettings)
    names = {field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)}
    names |= {TELNYX_SEED, LISTEN_TOKEN, LISTEN_PORT}
    used = {name: value for name, value in environment.items() if name.removesuffix("_FILE") in names and value.strip()}
    return {"BACKOFF": DEFAULT_BACKOFF, **used}


def secrets_key(data: Path, environ: Mapping[str, str]) -> str:
    """Return the key that seals the ledger's tokens: the given one, that of an earlier run, or a new one that is kept.

    A ledger that was given outlives us, and its tokens cannot be opened with another key.
    """
    if given := environ.get("SECRETS_KEY", "").strip():
        return given
    kept = read_env_file(data / RUN_ENV) if (data / RUN_ENV).exists() else {}
    if not kept.get("SECRETS_KEY"):
        kept["SECRETS_KEY"] = make_secrets()["SECRETS_KEY"]
        write_run_env(data, kept)
    return kept["SECRETS_KEY"]


def store_variables(services: Services) -> dict[str, str]:
    """Return the variables that name the stores."""
    variables = {
        "AMQP_URL": services.amqp_url,
        "DATABASE_URL": services.database_url,
        "MEDIA_URL": services.media_url,
        "RABBITMQ_API_URL": services.rabbitmq_api_url or "",
    }
    return {name: value for name, value in variables.items() if value}


def write_run_env(data: Path, variables: Mapping[str, str]) -> None:
    """Write `run.env`, readable by its owner only, so that a shell and `simulate --env` read the same from it."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())]
    write_private(data / RUN_ENV, _HEADER + "".join(lines))


@contextmanager
def only_run(data: Path) -> Iterator[None]:
    """Let one `make run` at a time use *data*: two would take the listener's endpoint from each other.

    Raises:
        Unavailable: Another one runs.
    """
    descriptor = os.open(data / RUN_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"A `make run` is running on {data} already. End it first.") from None
        yield
    finally:
        os.close(descriptor)
