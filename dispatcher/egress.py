"""Where webhooks may go: public addresses, and networks that were named. Checked on the address connected to.

A check of the URL's text would miss names that resolve, or resolve again a moment later, to an inner address.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class EgressRefused(OSError):
    """The address that a URL leads to is none that webhooks may reach."""


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks from `10.0.0.0/8`, `::1/128` and the like; ValueError names what is none."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_allowed(address: str, networks: Sequence[Network]) -> bool:
    """May a webhook be sent to this address?"""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if any(ip.version == network.version and ip in network for network in networks):
        return True
    return ip.is_global and not ip.is_multicast


def guarded_socket(networks: Sequence[Network]) -> Callable[[Any], socket.socket]:
    """Return a socket factory for aiohttp's connector: it sees each address just before it is connected to."""

    def make(address_info: Any) -> socket.socket:
        family, kind, protocol, _, address = address_info
        if not is_allowed(address[0], networks):
            raise EgressRefused(f"{address[0]} is not a public address and EGRESS_ALLOW_NETWORKS does not name it")
        return socket.socket(family=family, type=kind, proto=protocol)

    return make
