"""Ask the service in this container whether it is ready: the images' health check, which needs no shell and no curl.

    python -m shared.runtime.healthcheck ingress | dispatcher

Exit code 0: `/readyz` says 200. 1: it does not; the sentence on stdout is what `docker inspect` shows.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Final

ADDRESSES: Final = {"ingress": ("INGRESS_HOST", "INGRESS_PORT", 8080), "dispatcher": ("OPS_HOST", "OPS_PORT", 8081)}

LOOPBACK_OF: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on

TIMEOUT_SECONDS: Final = 2.0

READY: Final = 200


def address(service: str, environ: Mapping[str, str]) -> tuple[str, int]:
    """Return host and port on which *service* can be asked from its own machine.

    >>> address("ingress", {"INGRESS_HOST": "0.0.0.0"})
    ('127.0.0.1', 8080)
    """
    host_name, port_name, default_port = ADDRESSES[service]
    host = environ.get(host_name, "").strip()
    return LOOPBACK_OF.get(host, host), int(environ.get(port_name, "").strip() or default_port)


def ask(host: str, port: int) -> tuple[bool, str]:
    """Return whether the service is ready, and what it answered."""
    connection = HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status == READY, answer.read(1000).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return False, f"no answer on {host} port {port}: {error or type(error).__name__}"
    finally:
        connection.close()


def main(arguments: Sequence[str]) -> int:
    """Run the health check; return its exit code."""
    if len(arguments) != 1 or arguments[0] not in ADDRESSES:
        print(__doc__)  # noqa: T201
        return 1
    is_ready, sentence = ask(*address(arguments[0], os.environ))
    print(sentence)  # noqa: T201
    return 0 if is_ready else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
