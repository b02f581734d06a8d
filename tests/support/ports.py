"""Ports for services that a test starts a little later."""

from collections.abc import Iterator
from itertools import cycle
from random import SystemRandom

from deploy.services.processes import PORTS, is_free

SHARES = 16
"""Into so many shares the ports are divided; there are fewer workers."""


def free_ports(worker: int) -> Iterator[int]:
    """Yield free ports without end.

    None is of those that the system gives to clients, nor of those that other workers get: in both cases it could be
    taken before the test opens it.
    """
    share = list(PORTS[worker % SHARES :: SHARES])
    SystemRandom().shuffle(share)
    return (port for port in cycle(share) if is_free(port))
