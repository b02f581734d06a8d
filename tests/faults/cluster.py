"""A RabbitMQ cluster of this machine that faults strike, and the balancer before it."""

import asyncio
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from cluster_network import Loopback, Namespaces
from cluster_node import ClusterNode, Release
from waiting import until

from deploy.services.broker import USER, VHOST
from deploy.services.processes import free_port

UP_SECONDS: Final = 90.0
"""For a node to come up on a busy machine."""


@dataclass(eq=False)
class Cluster:
    """Nodes of one release on one network. *nodes* are the members now, *former* those that were removed."""

    release: Release
    network: Loopback | Namespaces
    data: Path
    nodes: list[ClusterNode] = field(default_factory=list)
    former: list[ClusterNode] = field(default_factory=list)
    _password: str = field(default_factory=lambda: secrets.token_hex(16))
    _cookie: str = field(default_factory=lambda: secrets.token_hex(16))
    _epmd_port: int = field(default_factory=free_port)
    _epmds: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def targets(self) -> list[tuple[str, int]]:
        """Where clients may connect: every member, whether it runs or not."""
        return [(node.place.address, node.ports["amqp"]) for node in self.nodes]

    def add(self) -> ClusterNode:
        """Return a new node, configured to join the members, not yet started."""
        number = len(self.nodes) + len(self.former) + 1
        node = ClusterNode(
            number,
            self.release,
            self.network.place(number),
            self.data / f"node{number}",
            self._password,
            self._cookie,
            self._epmd_port,
        )
        self.nodes.append(node)
        for each in self.nodes:
            each.configure(self.nodes)
        if node.place.address not in self._epmds:
            self._epmds[node.place.address] = node.epmd()
        return node

    async def missing(self) -> str:
        """Return what it lacks to be whole; empty: every member runs, sees the others, and no queue needs it to go on.

        A member that ended by itself is started again.
        """
        for node in self.nodes:
            if not node.is_running:
                node.start_again()
                return f"{node.name} ended by itself"
            try:
                rows = await self.ask(node, "nodes")
                await self.ask(node, "health/checks/node-is-quorum-critical")
                await _takes_connections(node)
            except (OSError, aiohttp.ClientError, TimeoutError) as error:
                return f"{node.name}: {error!r}"
            names = {row["name"] for row in rows if row["running"] and not row.get("partitions")}
            if names != {each.name for each in self.nodes}:
                return f"{node.name} sees {names}"
        return ""

    async def wait_whole(self) -> None:
        """Wait until it is whole."""
        last = ""

        async def is_whole() -> bool:
            nonlocal last
            last = await self.missing()
            return not last

        try:
            await until(is_whole, "the cluster is whole", UP_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}{''.join(node.log_tail() for node in self.nodes)}") from None

    async def leader(self, queue: str) -> ClusterNode:
        """Return the running node that leads *queue*, as soon as a running node knows it."""

        async def known() -> ClusterNode | None:
            for node in self.nodes:
                with suppress(OSError, aiohttp.ClientError, TimeoutError):
                    # During an election 3.10 names none.
                    name = (await self.ask(node, f"queues/{VHOST}/{queue}")).get("leader")
                    return next((each for each in self.nodes if each.name == name and each.is_running), None)
            return None

        found = await until(known, f"{queue} has a leader", 30)
        assert isinstance(found, ClusterNode)
        return found

    async def ask(self, node: ClusterNode, path: str) -> Any:
        """Return an answer of the management API of *node*.

        Raises:
            aiohttp.ClientError: It is no 2xx.
        """
        timeout = aiohttp.ClientTimeout(total=5.0)
        headers = {"Authorization": aiohttp.encode_basic_auth(USER, self._password)}
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, raise_for_status=True) as http,
            http.get(f"{node.api_url}/api/{path}") as response,
        ):
            return await response.json()

    def running(self) -> ClusterNode:
        """Return a member whose process is there."""
        return next(node for node in self.nodes if node.is_running)

    def retire(self, node: ClusterNode) -> None:
        """Take *node*, which ended and was forgotten by the others, out of the members."""
        assert not node.is_running
        self.nodes.remove(node)
        self.former.append(node)
        for each in self.nodes:
            each.configure(self.nodes)

    def remove(self) -> None:
        """End everything that this started."""
        for node in [*self.nodes, *self.former]:
            node.end(signal.SIGKILL)
        for epmd in self._epmds.values():
            epmd.kill()
            epmd.wait()
        self.network.remove()


async def _takes_connections(node: ClusterNode) -> None:
    # 3.10 answers over HTTP before it listens for AMQP.
    _, writer = await asyncio.open_connection(node.place.address, node.ports["amqp"])
    writer.close()


@asynccontextmanager
async def running_cluster(
    release: Release, network: Loopback | Namespaces, data: Path, size: int = 3
) -> AsyncIterator[Cluster]:
    """Yield a cluster that is whole, with data in *data*; end it afterwards."""
    cluster = Cluster(release, network, data)
    try:
        for _ in range(size):
            cluster.add()
        for node in cluster.nodes:
            node.start()
        await cluster.wait_whole()
        yield cluster
    finally:
        await asyncio.to_thread(cluster.remove)
