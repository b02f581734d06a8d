"""Where requests may go: public addresses, and networks that were named. Checked on the address connected to.

A check of the URL's text would miss names that resolve, or resolve again a moment later, to an inner address. So the
guard sits where the connector makes its socket, which sees every address just before it is connected to: literals,
fresh and remembered answers of the resolver alike. What is allowed is decided by lists of our own, because Python's
`is_global` differs between its versions and takes 64:ff9b::7f00:1 (NAT64 of 127.0.0.1) for a public address.
"""

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class EgressRefused(OSError):
    """The address is not public, and EGRESS_ALLOW_NETWORKS does not name it."""

    def __init__(self) -> None:
        # The same words for every address: of several failures on the way to one host, the connector hands on the
        # first only if all say the same, and a nameless error otherwise.
        super().__init__(" ".join((EgressRefused.__doc__ or "").split()))


_NOT_PUBLIC_V4: Final = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT; a cloud's metadata too
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, public by its number only
        "169.254.0.0/16",  # link-local; the clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_PUBLIC_V6: Final = ipaddress.IPv6Network("2000::/3")
"""All that was ever handed out; outside are loopback, link-local, unique and site local, multicast, IPv4-compatible."""

_NOT_PUBLIC_V6: Final = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo, ORCHID: whatever IPv4 address hides in there
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in another form, no longer in use
        "3fff::/20",
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Where IPv4 is reached through NAT64, every public name leads here: it depends on the address inside."""

_ODD_DOTS: Final = re.compile("[\u3002\uff0e\uff61]")
_LOOKS_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.IGNORECASE | re.DOTALL)


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks from `10.0.0.0/8`, `::1/128` and the like; ValueError names what is not a network."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_allowed(address: str, networks: Sequence[Network]) -> bool:
    """May a request be sent to this address? What is no address may not."""
    try:
        ip: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if any(ip.version == network.version and ip in network for network in networks):
        return True
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_V4)
    if ip in _NAT64:
        return is_allowed(str(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)), networks)
    return ip in _PUBLIC_V6 and not any(ip in network for network in _NOT_PUBLIC_V6)


def check_host(host: str, networks: Sequence[Network]) -> None:
    """Check the host of a URL as text, before it is resolved: a proxy resolves it out of our sight.

    Numbers in any other than the usual form (2130706433, 0177.0.0.1, 0x7f.1, 127.1) are refused whatever they lead to.

    Raises:
        EgressRefused: It is an address that may not be reached, or hides one.
    """
    if not host.isascii():
        host = _ODD_DOTS.sub(".", unicodedata.normalize("NFKC", host))
    host = host.rstrip(".").lower()
    if ":" in host:
        literal = host
    elif host == "localhost" or host.endswith(".localhost"):
        literal = "127.0.0.1"
    elif "%" in host:
        raise EgressRefused
    elif _LOOKS_NUMERIC.fullmatch(host):
        literal = host  # other than in the usual form it is no address to Python
    else:
        return
    if not is_allowed(literal, networks):
        raise EgressRefused


def guarded_socket(networks: Sequence[Network]) -> Callable[[Any], socket.socket]:
    """Return a socket factory for aiohttp's connector: it sees each address just before it is connected to."""

    def make(address_info: Any) -> socket.socket:
        family, kind, protocol, _, address = address_info
        if not is_allowed(address[0], networks):
            raise EgressRefused
        return socket.socket(family=family, type=kind, proto=protocol)

    return make
