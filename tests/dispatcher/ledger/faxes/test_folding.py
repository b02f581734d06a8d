"""An ending that a callback and a list tell under two ids is owed once, in every order, batch and concurrency."""

import asyncio

import msgspec
import pytest
from dispatchers import DispatcherHarness, an_event

from dispatcher.policy.endpoint import FaxMatch
from shared.domain import Event, EventType, Provider

CALLBACK = an_event(1, EventType.RECEIVED, id="telnyx:callback", provider=Provider.TELNYX)
LISTED = msgspec.structs.replace(CALLBACK, id="telnyx:list", origin="list")
OTHER_ENDING = msgspec.structs.replace(LISTED, id="telnyx:failed", type=EventType.RECEIVE_FAILED)
SECOND_CALLBACK = msgspec.structs.replace(CALLBACK, id="telnyx:callback-2")


async def marks(harness: DispatcherHarness) -> dict[str, bool]:
    rows = await harness.pool.fetch("SELECT id, repeated_by_list FROM events")
    return {row["id"]: row["repeated_by_list"] for row in rows}


@pytest.mark.parametrize(
    ("batches", "told"),
    [
        ([[LISTED], [CALLBACK]], LISTED),
        ([[CALLBACK], [LISTED]], CALLBACK),
        ([[LISTED, CALLBACK]], CALLBACK),
        ([[CALLBACK, LISTED]], CALLBACK),
        ([[LISTED], [CALLBACK, SECOND_CALLBACK]], LISTED),
        ([[LISTED], [LISTED], [CALLBACK], [CALLBACK]], LISTED),
    ],
    ids=["list first", "callback first", "in one batch", "in one batch, turned", "two callbacks", "with repetitions"],
)
async def test_one_of_both_is_owed_and_the_other_is_recorded(
    harness: DispatcherHarness, batches: list[list[Event]], told: Event
) -> None:
    await harness.endpoint()
    taken = [await harness.take(*batch) for batch in batches]
    assert [row["event_id"] for row in await harness.deliveries()] == [told.id]
    repeated = frozenset().union(*(each.repeated for each in taken))
    assert await marks(harness) == {event.id: event.id in repeated for batch in batches for event in batch}
    assert told.id not in repeated


async def test_the_same_at_two_dispatchers_at_once(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    for number in range(25):
        callback = msgspec.structs.replace(CALLBACK, id=f"telnyx:c{number}", fax_id=f"f{number}")
        listed = msgspec.structs.replace(LISTED, id=f"telnyx:l{number}", fax_id=f"f{number}")
        await asyncio.gather(harness.take(listed), harness.take(callback))
    assert len(await harness.deliveries()) == 25
    assert sum((await marks(harness)).values()) == 25


async def test_another_ending_is_told_and_the_fax_is_conflicting(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    await harness.take(CALLBACK)
    await harness.take(OTHER_ENDING)
    assert len(await harness.deliveries()) == 2
    assert await harness.pool.fetchval("SELECT conflicting FROM faxes")


async def test_two_callbacks_with_two_ids_and_no_list_are_told_as_before(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    await harness.take(CALLBACK)
    await harness.take(SECOND_CALLBACK)
    assert len(await harness.deliveries()) == 2


async def test_an_endpoint_that_is_registered_later_is_not_owed_the_repetition(harness: DispatcherHarness) -> None:
    callback = msgspec.structs.replace(CALLBACK, type=EventType.DELIVERED, direction="sent")
    listed = msgspec.structs.replace(LISTED, type=EventType.DELIVERED, direction="sent")
    await harness.take(listed)
    await harness.take(callback)
    match = FaxMatch(provider=Provider.TELNYX, fax_id=CALLBACK.fax_id)
    await harness.endpoint(scope="fax", direction="sent", match=match)
    await harness.take(callback, listed)
    assert [row["event_id"] for row in await harness.deliveries()] == [listed.id]
