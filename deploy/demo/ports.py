"""The ports of `make run`: those that are asked for, else 8080 and 8081, else free ones.

    python deploy/demo/ports.py

refuses what is asked for and cannot be had, before anything is set up: it needs the standard library only.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script

from deploy.services.processes import LocalError, Unavailable, free_port, is_free
from shared.errors import FaxhookError, Misconfigured

DEFAULT_PORTS: Final = {"INGRESS_PORT": 8080, "OPS_PORT": 8081}
MOST_PORT: Final = 65_535


def check_ports(environ: Mapping[str, str]) -> None:
    """Refuse the ports that *environ* asks for and that cannot be had.

    Raises:
        Unavailable: One of them is taken.
        Misconfigured: A variable is not a port, or both are the same one.
    """
    asked = {variable: environ.get(variable, "").strip() for variable in DEFAULT_PORTS}
    given_ports(asked, {variable: 0 for variable, text in asked.items() if text})
    for variable, text in asked.items():
        if text and int(text) and not is_free(int(text)):
            raise Unavailable(
                f"{variable}={text}: the port is taken by another program. Name another, or none to have a free one."
            )


def given_ports(environ: Mapping[str, str], defaults: Mapping[str, int]) -> dict[str, int]:
    """Return the port of each variable of *defaults*: the one that *environ* names, else the default one.

    Raises:
        Misconfigured: A variable is not a port, or two are the same one; 0 may be asked for twice.
    """
    ports: dict[str, int] = {}
    for variable, default in defaults.items():
        text = environ.get(variable, "").strip() or str(default)
        if not (text.isascii() and text.isdigit() and int(text) <= MOST_PORT):
            raise Misconfigured(f"{variable} is wrong: `{text}` is not a port")
        same = next((name for name, port in ports.items() if port == int(text) != 0), None)
        if same is not None:
            raise Misconfigured(f"{same} and {variable} are both {int(text)}: they must differ")
        ports[variable] = int(text)
    return ports


def chosen_ports(environ: Mapping[str, str], say: Callable[[str], None]) -> dict[str, int]:
    """Return a port for each variable of `DEFAULT_PORTS`, all different; *say* is told of a default that is taken.

    Raises:
        Unavailable, Misconfigured: As `check_ports`.
    """
    check_ports(environ)
    asked = {variable: environ.get(variable, "").strip() for variable in DEFAULT_PORTS}
    chosen = {variable: int(text) for variable, text in asked.items() if text and int(text)}
    for variable, default in DEFAULT_PORTS.items():
        if variable in chosen:
            continue
        port = default
        if asked[variable] or default in chosen.values() or not is_free(default):
            port = free_port({*DEFAULT_PORTS.values(), *chosen.values()})
            if not asked[variable]:
                say(f"Port {default} is taken by another program: {variable} is {port} this time.")
        chosen[variable] = port
    return {variable: chosen[variable] for variable in DEFAULT_PORTS}


def main() -> int:
    """Check what the environment asks for; return the exit code."""
    try:
        check_ports(os.environ)
    except (LocalError, FaxhookError) as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
