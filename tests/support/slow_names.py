"""`python -m slow_names`: the dispatcher, on a machine on which names that end with `.slow.invalid` resolve slowly."""

import socket
import sys
import time
from typing import Any

from dispatcher.__main__ import main

SLOW_SECONDS = 20.0
"""About as long as the system's resolver asks name servers that do not answer."""

_resolve = socket.getaddrinfo


def _resolve_slowly(host: Any, *arguments: Any, **options: Any) -> Any:
    if str(host).endswith(".slow.invalid"):
        time.sleep(SLOW_SECONDS)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")
    return _resolve(host, *arguments, **options)


if __name__ == "__main__":
    socket.getaddrinfo = _resolve_slowly
    sys.exit(main())
