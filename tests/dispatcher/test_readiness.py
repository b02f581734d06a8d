"""A dispatcher is ready when it can take events in and tell applications; otherwise it says in sentences why not."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from dispatcher.readiness import Readiness
from shared.runtime.service import Stop


def parts(**changed: Any) -> Readiness:
    """Return the readiness of a dispatcher that is well, but for what is *changed*."""
    well = {"publisher": True, "topology": True, "ledger": True, "consumers": (True, True)}
    given = {**well, **changed}
    checked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    if given["topology"]:
        checked.set_result(None)
    consumers: Any = [SimpleNamespace(is_consuming=each) for each in given["consumers"]]
    publisher: Any = SimpleNamespace(is_ready=given["publisher"])
    health: Any = SimpleNamespace(is_answering=given["ledger"])
    stop = Stop()
    if changed.get("stopping"):
        stop.set()
    return Readiness(publisher, checked, health, consumers, stop)  # type: ignore[arg-type]  # a future is enough


async def test_a_dispatcher_that_is_well_has_no_problems() -> None:
    readiness = parts()
    assert readiness.problems() == []
    assert not readiness.is_store_away()


@pytest.mark.parametrize(
    ("changed", "problem", "is_store_away"),
    [
        ({"publisher": False}, "the broker is away or takes no messages", True),
        ({"topology": False}, "the broker's queues are not checked yet", False),
        ({"ledger": False}, "the ledger is away", True),
        ({"consumers": (True, False)}, "a queue is not consumed", False),
        ({"stopping": True}, "the service is stopping", False),
    ],
)
async def test_each_part_that_is_missing_is_named(
    changed: dict[str, Any], problem: str, *, is_store_away: bool
) -> None:
    readiness = parts(**changed)
    assert readiness.problems() == [problem]
    assert readiness.is_store_away() == is_store_away
