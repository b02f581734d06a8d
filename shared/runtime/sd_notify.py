"""Tell systemd how the service is, where it runs us as `Type=notify`; elsewhere these calls do nothing.

The protocol (man sd_notify): datagrams of lines `VARIABLE=value` to the socket that NOTIFY_SOCKET names.
"""

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
ALIVE: Final = "WATCHDOG=1"


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send *state*. A socket that does not take it is no trouble of the service: systemd has its own time limits."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path  # Linux's abstract names
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(state.encode(), address)
