"""Background work does not touch the ledger before its schema is verified."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from dispatchers import DispatcherHarness

from dispatcher.maintenance.retention import Retention
from dispatcher.maintenance.sampler import Sampler
from dispatcher.maintenance.sweeper import Sweeper
from dispatcher.metrics import Metrics
from dispatcher.ops.dead.jobs.runner import JobRunner
from dispatcher.ops.dead.service import open_dead_letters
from dispatcher.settings import DeadSettings
from shared.media import MediaStore
from shared.settings import load

Part = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


class NotYetKnown(Exception):
    """Raised in place of the wait; it ends the part that waits."""


async def _not_yet() -> None:
    raise NotYetKnown


async def _nothing_waits() -> bool:
    return True


@pytest.fixture(params=["sampler", "sweeper", "retention", "jobs"])
async def part(request: pytest.FixtureRequest, harness: DispatcherHarness) -> AsyncIterator[Part]:
    # Another's ledger: the first statement that touches a table of ours would fail with another error.
    await harness.pool.execute("DROP SCHEMA public CASCADE")
    media = MediaStore(harness.environment["MEDIA_URL"])
    async with open_dead_letters(load(DeadSettings, harness.environment), "test") as dead:
        made: dict[str, Sampler | Sweeper | Retention | JobRunner] = {
            "sampler": Sampler(harness.pool, Metrics()),
            "sweeper": Sweeper(harness.pool, harness.publisher, Metrics(), lambda: None),
            "retention": Retention(harness.pool, media, _nothing_waits, 90),
            "jobs": dead.jobs,
        }
        yield made[request.param].run


async def test_a_part_waits_until_the_ledger_is_known(part: Part) -> None:
    with pytest.raises(NotYetKnown):
        await part(_not_yet)
