"""Retention: documents go with the last event that names them, and not before."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dispatchers import DispatcherHarness, an_event
from documents import document_url, received
from old_events import AGE, an_old_event, in_state
from receiver import Receiver
from stores import take_all

from dispatcher.delivery.documents import Documents
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks
from dispatcher.ledger.faxes.documents import keep_document
from dispatcher.maintenance.retention import Retention, nothing_waits
from shared.broker import DEAD_EVENT, FAX_DEAD, FAX_IN
from shared.domain import Media
from shared.media import MediaStore


async def stored(store: MediaStore, tmp_path: Path, content: bytes, age: timedelta = AGE) -> Media:
    """Keep a document as if *age* ago."""
    media = await store.put(content, "application/pdf")
    then = (datetime.now(UTC) - age).timestamp()
    os.utime(tmp_path / "media" / str(media.key), (then, then))
    return media


@pytest.fixture
def is_kept(tmp_path: Path) -> Callable[[Media], bool]:
    return lambda media: (tmp_path / "media" / str(media.key)).exists()


async def test_a_document_that_only_pruned_events_name_is_deleted_and_no_other(
    harness: DispatcherHarness,
    retention: Retention,
    store: MediaStore,
    tmp_path: Path,
    is_kept: Callable[[Media], bool],
) -> None:
    await harness.endpoint()
    over, fetched, shared_with_dead, dead, quarantined = [
        await stored(store, tmp_path, content) for content in (b"1", b"2", b"3", b"4", b"5")
    ]
    again = await stored(store, tmp_path, b"6", timedelta(days=2))
    await in_state(harness, an_old_event(1, media=over), "told")
    await in_state(harness, an_old_event(2, media=Media(url="https://provider.example/")), "told")
    await keep_document(harness.pool, an_event(2).id, fetched)
    await in_state(harness, an_old_event(3, media=shared_with_dead), "told")
    await in_state(harness, an_old_event(4, media=shared_with_dead), "dead")
    await in_state(harness, an_old_event(5, media=dead), "dead")
    await in_state(harness, an_old_event(6, media=again), "told")
    assert (await retention.prune()).documents == 2
    assert [is_kept(each) for each in (over, fetched, shared_with_dead, dead, quarantined, again)] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]
    # Once a person has decided about the dead one, nothing holds it any more.
    await harness.pool.execute("UPDATE deliveries SET state = 'told' WHERE state = 'dead'")
    assert (await retention.prune()).documents == 2
    assert [is_kept(each) for each in (shared_with_dead, dead)] == [False, False]


async def test_a_document_whose_event_was_replayed_late_is_kept_though_it_was_stored_long_ago(
    harness: DispatcherHarness,
    retention: Retention,
    store: MediaStore,
    tmp_path: Path,
    is_kept: Callable[[Media], bool],
) -> None:
    await harness.endpoint()
    document = await stored(store, tmp_path, b"1")
    await in_state(harness, an_old_event(1, media=document), "told")
    await harness.take(an_old_event(2, media=document))
    await retention.prune()
    assert is_kept(document)


async def test_a_copy_that_a_later_event_of_the_fax_took_over_is_kept_for_as_long_as_that_event(
    harness: DispatcherHarness,
    retention: Retention,
    store: MediaStore,
    storage: Receiver,
    tmp_path: Path,
    is_kept: Callable[[Media], bool],
) -> None:
    await harness.endpoint()
    document = await stored(store, tmp_path, b"1")
    url = document_url(storage)
    old = received(url, id="telnyx:old", seconds_ago=AGE.total_seconds())
    await in_state(harness, old, "told")
    await keep_document(harness.pool, old.id, document)
    late = received(url, id="telnyx:late")
    await harness.take(late)
    storage.answer = lambda _asked: 403
    client = EgressClient(parse_networks(["127.0.0.0/8"]))
    assert (await Documents(harness.pool, store, client).of(late, 1))[1] == b"1"
    assert (await retention.prune()).events == 1
    assert is_kept(document)
    assert (await Documents(harness.pool, store, client).of(late, 2))[1] == b"1"
    await client.close()


@pytest.mark.parametrize(
    ("exchange", "key"), [(FAX_DEAD, DEAD_EVENT), (FAX_DEAD, "callback"), (FAX_IN, "phaxio.fax.received")]
)
async def test_while_a_message_that_the_ledger_does_not_know_may_name_it_no_document_is_deleted(
    harness: DispatcherHarness,
    store: MediaStore,
    tmp_path: Path,
    is_kept: Callable[[Media], bool],
    exchange: str,
    key: str,
) -> None:
    await harness.endpoint()
    document = await stored(store, tmp_path, b"1")
    await in_state(harness, an_old_event(1, media=document), "told")
    retention = Retention(harness.pool, store, lambda: nothing_waits(harness.amqp_url), 30)
    await harness.publisher.publish(exchange, key, b"{}", {})
    assert (await retention.prune()).events == 1
    assert is_kept(document)
    for queue in ("work.events", "dead.events", "dead.callbacks"):
        await take_all(harness.amqp_url, queue)
    assert (await retention.prune()).documents == 1
    assert not is_kept(document)


async def test_a_broker_that_is_away_says_nothing_about_what_waits(unused_tcp_port: int) -> None:
    assert not await nothing_waits(f"amqp://127.0.0.1:{unused_tcp_port}/")
