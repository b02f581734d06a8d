"""The recorder writes every record, many at a time, and lets go of a delivery only when its record is written."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from delivering import a_delivery, new_held
from dispatchers import DispatcherHarness, an_event
from waiting import until

from dispatcher.delivery import recorder as module
from dispatcher.delivery.recorder import Recorder
from dispatcher.ledger import deliveries
from dispatcher.ledger.deliveries import Record
from dispatcher.ledger.pool import LedgerAway
from dispatcher.policy.linger import Linger
from shared.runtime.service import end


def told(delivery: Any) -> Record:
    return Record(
        delivery_id=delivery.delivery_id, attempt=1, state="told", outcome="told", started_at=datetime.now(UTC)
    )


async def test_what_waits_is_written_in_batches_and_freed(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PER_BATCH", 10)
    await harness.endpoint()
    leased = (await harness.take(*(an_event(number) for number in range(25)))).deliveries
    held, sizes, write = new_held(), [], deliveries.record

    async def noted(pool: Any, records: Any) -> None:
        sizes.append(len(records))
        await write(pool, records)

    monkeypatch.setattr(deliveries, "record", noted)
    recorder = Recorder(harness.pool, held)
    for delivery in leased:
        held.hold(delivery.delivery_id, delivery)
        recorder.record(told(delivery))
    assert (recorder.waiting, recorder.progress()) == (25, (25, 0))
    running = asyncio.create_task(recorder.run())
    await recorder.drained()
    await end({running})
    assert sizes == [10, 10, 5]
    assert {row["state"] for row in await harness.deliveries()} == {"told"}
    assert held.progress() == (0, 25)


@pytest.mark.parametrize(
    "error",
    [
        LedgerAway("no connection"),
        asyncpg.PostgresIOError("could not read block 7"),
        asyncpg.IndexCorruptedError("unexpected zero page"),
        asyncpg.InsufficientPrivilegeError("permission denied for table attempts"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_record_that_the_ledger_cannot_take_is_held_and_tried_again_until_it_does(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("dispatcher.ledger.retry.RETRY_SECONDS", 0.01)
    written: list[Any] = []
    is_away = True

    async def write(_pool: Any, records: Any) -> None:
        if is_away:
            raise error
        written.extend(records)

    monkeypatch.setattr(deliveries, "record", write)
    held, delivery = new_held(), a_delivery(1)
    held.hold(delivery.delivery_id, delivery)
    recorder = Recorder(None, held)  # type: ignore[arg-type]  # the statement is replaced above
    running = asyncio.create_task(recorder.run())
    recorder.record(told(delivery))
    await until(lambda: recorder.progress()[1] >= 3, "tried a few times")
    assert recorder.progress()[0] == 1
    assert held.holds(delivery.delivery_id)
    is_away = False
    await recorder.drained()
    await end({running})
    assert [each.delivery_id for each in written] == [delivery.delivery_id]
    assert not held.holds(delivery.delivery_id)


async def test_a_small_batch_waits_for_what_comes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    async def write(_pool: Any, records: Any) -> None:
        sizes.append(len(records))

    monkeypatch.setattr(deliveries, "record", write)
    held = new_held()
    recorder = Recorder(None, held)  # type: ignore[arg-type]  # the statement is replaced above

    class Waiting(Linger):
        def wait_seconds(self, waiting: int, _now: float) -> float:
            if waiting == 1:
                recorder.record(told(a_delivery(2)))  # it comes while the first one waits
            return 0.001

    recorder._linger = Waiting()
    running = asyncio.create_task(recorder.run())
    recorder.record(told(a_delivery(1)))
    await recorder.drained()
    await end({running})
    assert sizes == [2]
