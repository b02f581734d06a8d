"""Opens the port of a service; a port or an address that cannot be had is a wrong setting, said in a sentence."""

import errno
import socket

from aiohttp import web

from shared.errors import Misconfigured


class CannotListen(Misconfigured):
    """The service cannot listen where its settings say."""

    code = "cannot_listen"


async def open_port(runner: web.BaseRunner, variables: str, host: str, port: int, backlog: int = 128) -> int:
    """Listen on *host*:*port* (0: any free port) and return the port.

    Args:
        runner: What serves the connections; its clean-up closes the port.
        variables: What both variables begin with: `INGRESS` for INGRESS_HOST and INGRESS_PORT.
        host: A name or an address.
        port: From 0 to 65,535.
        backlog: Connections that may wait to be accepted.

    Raises:
        CannotListen: Names the variable.
    """
    try:
        await web.TCPSite(runner, host, port, backlog=backlog).start()
    except (OSError, UnicodeError) as error:
        raise CannotListen(_sentence(variables, host, port, error)) from error
    return int(runner.addresses[0][1])


def _sentence(variables: str, host: str, port: int, error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError | socket.gaierror):
        return f"{variables}_HOST is wrong: `{host}` is not a name or an address of this machine"
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{variables}_PORT={port}: the port is taken on {host} by another program. Name another port, or end "
                "that program; INGRESS_PORT and OPS_PORT must differ"
            )
        case errno.EACCES | errno.EPERM:
            return f"{variables}_PORT={port}: this user may not listen on the port. Name one from 1024 on"
        case errno.EADDRNOTAVAIL | errno.EINVAL | None:  # asyncio of Python 3.13 gives no number
            return f"{variables}_HOST is wrong: `{host}` is not an address of this machine"
    return f"{variables}_HOST={host}, {variables}_PORT={port}: cannot listen there: {error.strerror or error}"
