"""What a provider finished and no callback told is found on its list and told once, whichever of the two comes first."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
from dispatchers import DispatcherHarness
from documents import PDF
from list_provider import ListProvider
from list_readings import ledger_events, read_again
from provider_fax import WORDS

from dispatcher.policy.endpoint import FaxMatch
from shared.domain import Event, EventType, Phase
from shared.media import MediaStore
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

CASES = [(name, ending) for name, words in WORDS.items() for ending in words if ending != "under way"]


async def test_each_type_of_each_provider_is_told_once_whichever_comes_first_the_list_or_the_callback(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    await harness.endpoint(format="standard-v1")
    list_first = [provider.fax(name, number, ending) for number, (name, ending) in enumerate(CASES, start=100)]
    async with dispatching(**often):
        # 1. The list first, the callbacks late.
        await harness.receiver.got(len(CASES))
        # 2. The callbacks first, then the same faxes on the list.
        callback_first = [provider.fax(name, number, ending) for number, (name, ending) in enumerate(CASES, start=200)]
        shown, provider.faxes = provider.faxes, [fax for fax in provider.faxes if fax not in callback_first]
        await harness.publish(*(fax.event_of_callback() for fax in callback_first))
        await harness.receiver.got(2 * len(CASES))
        provider.faxes = shown
        await harness.publish(*(fax.event_of_callback() for fax in list_first))
        telnyx = [fax for fax in list_first if fax.provider == "telnyx"]
        await harness.events(2 * len(CASES) + len(telnyx))
        await asyncio.gather(*(read_again(harness.pool, name) for name in WORDS))
        await harness.settled(2 * len(CASES))
    # 3. Each fax was told once, and its ending is in the ledger under every id that it came by.
    told = Counter(webhook.event_id for webhook in harness.receiver.received)
    assert set(told.values()) == {1}
    assert len(told) == 2 * len(CASES)
    found = await ledger_events(harness.pool)
    assert Counter(event.fax_id for event, is_repeated in found if not is_repeated) == Counter(
        fax.fax_id for fax in [*list_first, *callback_first]
    )
    assert {event.fax_id for event, is_repeated in found if is_repeated} == {fax.fax_id for fax in telnyx}
    assert {event.fax_id for event, _ in found if event.origin == "list"} == {fax.fax_id for fax in list_first}
    states = await harness.pool.fetch("SELECT fax_id, state, conflicting FROM faxes")
    assert {row["fax_id"]: row["state"] for row in states} == {
        fax.fax_id: fax.ending for fax in [*list_first, *callback_first]
    }
    assert not any(row["conflicting"] for row in states)
    # 4. The operator is to be told of what was missing.
    missing = await harness.pool.fetch("SELECT subject, count FROM alerts WHERE kind = 'gap_repaired'")
    assert dict(tuple(row) for row in missing) == Counter(fax.provider for fax in list_first)


async def test_a_received_fax_has_its_document_and_a_fax_in_its_grace_or_under_way_waits(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    provider: ListProvider,
    often: dict[str, str],
    store: MediaStore,
) -> None:
    await harness.endpoint(format="standard-v1")
    for name in WORDS:
        provider.fax(name, 1, "fax.received")
        provider.fax(name, 2, "fax.received", document=None)
        provider.fax(name, 3, "fax.delivered", ended_ago=30)
        provider.fax(name, 4, "under way")
    async with dispatching(**often | {"RECONCILE_GRACE": "10m"}):
        await harness.receiver.got(6)
        (early, *_) = [await read_again(harness.pool, name) for name in WORDS]
    found = {(event.provider.value, event.fax_id[-1]): event for event, _ in await ledger_events(harness.pool)}
    assert set(found) == {(name, number) for name in WORDS for number in "12"}
    for name in WORDS:
        with_document, without = found[name, "1"].media, found[name, "2"].media
        assert with_document is not None
        assert await store.get(with_document) == PDF
        assert without is None
        assert with_document.content_type == "application/pdf"
    assert early["known"] == 2
    assert early["missing"] == 0
    assert early["under_way"] == 1


async def test_an_application_that_asked_for_one_fax_by_its_job_is_told_by_the_list(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, often: dict[str, str]
) -> None:
    await harness.endpoint(scope="fax", direction="sent", match=FaxMatch(job_id="job-7"), format="standard-v1")
    fax = provider.fax("phaxio", 7, "fax.delivered")
    queued = fax.event_of_callback()
    # An earlier callback told the job; Phaxio's list does not.
    await harness.take(_as_queued(queued))
    async with dispatching(**often):
        (webhook,) = await harness.receiver.got(1)
    assert b'"job_id":"job-7"' in webhook.body


def _as_queued(event: Event) -> Event:
    return msgspec.structs.replace(
        event, id="phaxio:queued", type=EventType.QUEUED, phase=Phase.INFLIGHT, job_id="job-7", status="queued"
    )
