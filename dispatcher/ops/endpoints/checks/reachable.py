"""Whether a URL's host may be reached by webhooks: checked when an endpoint is set, and again at every connection."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from dispatcher.egress.guard import EgressRefused, Network, check_host, is_allowed
from dispatcher.ops.endpoints.urls import BadEndpoint

RESOLVE_TIMEOUT_SECONDS: Final = 5.0


async def check_reachable(field: str, url: str, networks: Sequence[Network], *, proxied: bool = False) -> None:
    """Refuse a host that does not resolve, or resolves to an address that is neither public nor in *networks*.

    Behind a proxy (*proxied*) only an address in the URL itself is checked: the proxy resolves names and checks their
    addresses, and they may not resolve here.

    Raises:
        BadEndpoint: Names *field* and says what would help.
    """
    host = urlsplit(url).hostname
    if not host:  # mailto
        return
    try:
        check_host(host, networks)
    except EgressRefused:
        raise BadEndpoint(
            field, f"the host {host} is an address that is not public; EGRESS_ALLOW_NETWORKS can allow it"
        ) from None
    if proxied:
        return
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_SECONDS):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise BadEndpoint(field, f"the host {host} does not resolve") from None
    for address in {str(info[4][0]) for info in found}:
        if not is_allowed(address, networks):
            raise BadEndpoint(
                field, f"the host {host} leads to {address}, which is not public; EGRESS_ALLOW_NETWORKS can allow it"
            )
