"""With a broker of three nodes, a callback that was answered 200 is told, owed or dead, whichever nodes are away.

The short set, on this machine's own RabbitMQ. `make cluster-faults` does all of it, on two releases, partitions included.
"""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from cluster import running_cluster
from cluster_faults import faults_on_loopback, partitions, short_set
from cluster_network import Loopback
from cluster_node import installed_release
from fault import Fault
from runner import run_fault
from stack_under_fault import StackUnderFault, open_stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.alone, pytest.mark.cluster]
_seeds = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StackUnderFault]:
    folder = tmp_path_factory.mktemp("cluster")
    async with (
        running_cluster(installed_release(), Loopback(), folder / "nodes") as cluster,
        open_stack(folder, cluster, has_balancer=False) as one,
    ):
        yield one


@pytest.mark.parametrize("fault", short_set(), ids=lambda fault: fault.name)
async def test_accepted_is_told_or_owed_or_dead(stack: StackUnderFault, fault: Fault) -> None:
    account = await run_fault(stack, fault, next(_seeds))
    assert account.wrong == []
    assert account.lost == 0
    assert account.accepted == account.told + account.owed + account.dead
    assert account.accepted > 50


async def test_every_fault_has_a_name_of_its_own() -> None:
    names = [fault.name for fault in (*faults_on_loopback(), *partitions())]
    assert len(names) == len(set(names))
    assert {fault.name for fault in short_set()} <= set(names)
