"""Where the nodes of a cluster live: all on loopback, or each in a network namespace of its own, which can be cut off."""

import secrets
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from deploy.services.processes import LOOPBACK


@dataclass(frozen=True)
class Place:
    """An address, and the words before a command that run it there."""

    address: str
    enter: tuple[str, ...] = ()


@dataclass
class Loopback:
    """All nodes on 127.0.0.1, told apart by their ports. Needs no rights; knows no partition."""

    def place(self, _number: int) -> Place:
        """Return the place of node *number*."""
        return Place(LOOPBACK)

    def remove(self) -> None:
        """Remove nothing."""


@dataclass
class Namespaces:
    """A network namespace for each node on a bridge of this machine, in a range that is never routed (RFC 2544).

    Needs root on Linux. No packet leaves the machine: the bridge has no other member, and nothing is forwarded.
    """

    tag: str = field(default_factory=lambda: f"fh{secrets.token_hex(2)}")
    subnet: str = field(default_factory=lambda: f"198.18.{secrets.randbelow(254) + 1}")
    _places: dict[int, Place] = field(default_factory=dict)

    def place(self, number: int) -> Place:
        """Return the place of node *number*, 1 to 9; made at the first call."""
        if not self._places:
            _ip(f"link add {self.tag} type bridge")
            _ip(f"link set {self.tag} up")
            _ip(f"addr add {self.subnet}.1/24 dev {self.tag}")
        if number not in self._places:
            name = self._name(number)
            _ip(f"netns add {name}")
            _ip(f"link add {name} type veth peer name eth0 netns {name}")
            _ip(f"link set {name} master {self.tag} up")
            for command in (f"addr add {self._address(number)}/24 dev eth0", "link set eth0 up", "link set lo up"):
                _ip(f"-n {name} {command}")
            self._places[number] = Place(self._address(number), ("nsenter", f"--net=/run/netns/{name}"))
        return self._places[number]

    def sever(self, some: Iterable[int], others: Iterable[int]) -> None:
        """Drop every packet between *some* nodes and the *others*; clients still reach all of them."""
        others = list(others)
        for one in some:
            for other in others:
                _ip(f"-n {self._name(one)} route add blackhole {self._address(other)}/32")
                _ip(f"-n {self._name(other)} route add blackhole {self._address(one)}/32")

    def unplug(self, number: int) -> None:
        """Cut a node off from the others and from its clients, without a word to either."""
        _ip(f"link set {self._name(number)} down")

    def heal(self) -> None:
        """Undo every cut."""
        for number in self._places:
            _ip(f"-n {self._name(number)} route flush type blackhole")
            _ip(f"link set {self._name(number)} up")

    def remove(self) -> None:
        """Remove namespaces and bridge."""
        for number in self._places:
            with suppress(subprocess.CalledProcessError):
                _ip(f"netns del {self._name(number)}")
        if self._places:
            _ip(f"link del {self.tag}")
        self._places.clear()

    def _name(self, number: int) -> str:
        return f"{self.tag}n{number}"

    def _address(self, number: int) -> str:
        return f"{self.subnet}.{10 + number}"


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, timeout=20)
