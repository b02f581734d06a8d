"""Whatever fails, a callback that was answered 200 is told, owed or dead, and is not told again.

The short set. `make faults SEEDS=200` runs every fault many times and prints the table.
"""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from fault import Fault
from fault_list import every_fault, short_set
from process_faults import DISPATCHER_POINTS, INGRESS_POINTS
from runner import run_fault
from stack_under_fault import StackUnderFault, open_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
_seeds = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StackUnderFault]:
    async with open_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.mark.parametrize("fault", short_set(), ids=lambda fault: fault.name)
async def test_accepted_is_told_or_owed_or_dead(stack: StackUnderFault, fault: Fault) -> None:
    account = await run_fault(stack, fault, next(_seeds))
    assert account.wrong == []
    assert account.lost == 0
    assert account.accepted == account.told + account.owed + account.dead
    assert account.accepted > 100


async def test_every_point_has_a_fault_with_a_name_of_its_own() -> None:
    names = [fault.name for fault in every_fault()]
    assert len(names) == len(set(names))
    assert all(f"ingress killed at {point}" in names for point in INGRESS_POINTS)
    assert all(f"dispatcher killed at {point}" in names for point in DISPATCHER_POINTS)
