"""What happens to a cluster of three RabbitMQ nodes: members away, restarted, cut off, added and removed."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable

import aiohttp
import callbacks
from cluster import Cluster
from cluster_network import Namespaces
from cluster_node import NET_TICK_SECONDS, ClusterNode
from fault import Fault, it_lasts
from stack_under_fault import StackUnderFault
from waiting import until

from shared.broker import WORK_DELIVERIES, WORK_EVENTS

AWAY_SECONDS = 5.0
"""A node stays away for so long before it is started again."""

CUT_SECONDS = 2.0 * NET_TICK_SECONDS
"""Long enough for both sides to notice, and for a minority to pause."""

ActOnCluster = Callable[[StackUnderFault, Cluster, random.Random], Awaitable[None]]


def cluster_fault(name: str, act: ActOnCluster) -> Fault:
    """Return a fault under lasting traffic; it ends when the cluster is whole again by itself."""

    async def act_and_wait(stack: StackUnderFault, dice: random.Random) -> None:
        cluster = stack.cluster
        assert cluster is not None, "this fault needs a cluster"
        await act(stack, cluster, dice)
        await cluster.wait_whole()

    return Fault(name, act_and_wait, lasts=True)


async def _away(nodes: list[ClusterNode], number: signal.Signals) -> None:
    for node in nodes:
        await asyncio.to_thread(node.end, number)


def _back(nodes: list[ClusterNode]) -> None:
    for node in nodes:
        node.start()


def leader_killed(queue: str) -> Fault:
    async def act(_stack: StackUnderFault, cluster: Cluster, _dice: random.Random) -> None:
        leader = await cluster.leader(queue)
        await _away([leader], signal.SIGKILL)
        await cluster.leader(queue)  # another one, for this one does not run
        await it_lasts(AWAY_SECONDS)
        _back([leader])

    return cluster_fault(f"node that leads {queue} killed", act)


async def one_away(_stack: StackUnderFault, cluster: Cluster, dice: random.Random) -> None:
    node = dice.choice(cluster.nodes)
    await _away([node], signal.SIGTERM)
    await it_lasts(AWAY_SECONDS)
    _back([node])


async def two_away(stack: StackUnderFault, cluster: Cluster, dice: random.Random) -> None:
    """Kill two of three: what cannot be kept by a majority must be answered 503, by every ingress."""
    nodes = dice.sample(cluster.nodes, 2)
    await _away(nodes, signal.SIGKILL)
    await refuses_all(stack)
    await it_lasts(AWAY_SECONDS)
    _back(nodes)


async def all_away(stack: StackUnderFault, cluster: Cluster, _dice: random.Random) -> None:
    nodes = list(cluster.nodes)
    await _away(nodes, signal.SIGKILL)
    await refuses_all(stack)
    _back(nodes)


async def rolling_restart(_stack: StackUnderFault, cluster: Cluster, _dice: random.Random) -> None:
    """Restart each node when the queues can do without it, as an operator or an upgrade does."""
    for node in list(cluster.nodes):
        await cluster.wait_whole()
        await _away([node], signal.SIGTERM)
        _back([node])


async def split(_stack: StackUnderFault, cluster: Cluster, dice: random.Random) -> None:
    """Cut one node off from its peers; clients still reach it, and must get no 200 from it."""
    network = _namespaces(cluster)
    alone = await cluster.leader(dice.choice((WORK_EVENTS, WORK_DELIVERIES)))
    network.sever([alone.number], [each.number for each in cluster.nodes if each is not alone])
    await it_lasts(CUT_SECONDS)
    network.heal()


async def unplugged(_stack: StackUnderFault, cluster: Cluster, _dice: random.Random) -> None:
    """Cut the leader off from everything; no connection to it is reset."""
    network = _namespaces(cluster)
    network.unplug((await cluster.leader(WORK_EVENTS)).number)
    await it_lasts(CUT_SECONDS)
    network.heal()


async def all_apart(stack: StackUnderFault, cluster: Cluster, _dice: random.Random) -> None:
    network = _namespaces(cluster)
    first, second, third = (each.number for each in cluster.nodes)
    network.sever([first], [second, third])
    network.sever([second], [third])
    await refuses_all(stack)
    await it_lasts(CUT_SECONDS)
    network.heal()


async def member_replaced(stack: StackUnderFault, cluster: Cluster, dice: random.Random) -> None:
    """Add a member, give every queue a replica on it, and remove another one for good."""
    old = dice.choice(cluster.nodes)
    new = cluster.add()
    new.start()
    await cluster.wait_whole()
    stack.amqp_proxy.targets = cluster.targets
    await asyncio.to_thread(new.run, "rabbitmq-queues", "grow", new.name, "all")
    await cluster.wait_whole()
    await asyncio.to_thread(new.run, "rabbitmq-queues", "shrink", old.name)
    await _away([old], signal.SIGTERM)
    await asyncio.to_thread(new.run, "rabbitmqctl", "forget_cluster_node", old.name)
    cluster.retire(old)
    stack.amqp_proxy.targets = cluster.targets


async def refuses_all(stack: StackUnderFault) -> None:
    """Wait until each ingress answers 503 to a callback that it would otherwise accept."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=4.0)) as http:
        for number, url in enumerate(stack.urls()):

            async def is_refused(url: str = url, number: int = number) -> bool:
                status, _ = await callbacks.phaxio(9_000_000 + number).send(http, url)
                return status == 503

            await until(is_refused, f"{url} answers 503", 60)


def _namespaces(cluster: Cluster) -> Namespaces:
    assert isinstance(cluster.network, Namespaces), "a partition needs network namespaces: run it as root on Linux"
    return cluster.network


def faults_on_loopback() -> list[Fault]:
    """Return the faults that need no rights."""
    return [
        leader_killed(WORK_EVENTS),
        leader_killed(WORK_DELIVERIES),
        cluster_fault("one node stopped and started", one_away),
        cluster_fault("two nodes killed and started", two_away),
        cluster_fault("rolling restart", rolling_restart),
        cluster_fault("a member added, another removed", member_replaced),
        cluster_fault("all three nodes killed and started", all_away),
    ]


def partitions() -> list[Fault]:
    """Return the faults that need a network namespace for each node."""
    return [
        cluster_fault("a leader cut off from its peers, not from its clients", split),
        cluster_fault("a leader cut off from everything", unplugged),
        cluster_fault("no node sees another", all_apart),
    ]


def short_set() -> list[Fault]:
    """Return what every test run does."""
    return [leader_killed(WORK_EVENTS), cluster_fault("two nodes killed and started", two_away)]
