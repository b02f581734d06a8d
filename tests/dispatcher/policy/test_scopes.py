"""The more specific supersedes, and a fax's endpoint gets its events whenever it was registered."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import permutations
from typing import Any

import msgspec
import pytest
from dispatchers import SECRETS_KEY, STORE, DispatcherHarness, an_event
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from dispatcher.policy.routing import route
from shared.domain import Direction, Event, EventType, Provider
from shared.ids import uuid7
from shared.runtime.service import Stop
from shared.seal import Seal

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

NUMBER = "+15551230000"
MATCHES = [
    {},
    {"scope": "number", "match": NUMBER},
    {"scope": "number", "match": "+19999999999"},
    {"scope": "fax", "match": FaxMatch(provider=Provider.PHAXIO, fax_id="1")},
    {"scope": "fax", "match": FaxMatch(provider=Provider.TELNYX, fax_id="1")},
    {"scope": "fax", "match": FaxMatch(job_id="job")},
    {"scope": "fax", "match": FaxMatch(job_id="other")},
]


def endpoint(**fields: object) -> Endpoint:
    return Endpoint(**{"id": uuid7(), "url": "https://example.com/", **fields})


def told(event: Event, endpoints: list[Endpoint]) -> list[Endpoint]:
    return [owed.endpoint for owed in route(event, endpoints) if owed.endpoint.enabled]


def test_a_sent_fax_goes_to_its_own_endpoints_else_to_the_global_ones_and_never_to_a_numbers() -> None:
    everything, number, by_id, by_job = (endpoint(**MATCHES[n]) for n in (0, 1, 3, 5))
    event = an_event(1, to_number=NUMBER, job_id="job")
    for order in permutations([everything, number, by_id, by_job]):
        assert {each.id for each in told(event, list(order))} == {by_id.id, by_job.id}
    assert told(an_event(2, to_number=NUMBER), [everything, number, by_id, by_job]) == [everything]


def test_a_received_fax_goes_to_its_numbers_endpoints_else_to_the_global_ones_and_never_to_a_faxs() -> None:
    everything, number, by_id = (endpoint(**MATCHES[n]) for n in (0, 1, 3))
    event = an_event(1, EventType.RECEIVED, to_number=NUMBER)
    assert told(event, [everything, number, by_id]) == [number]
    assert told(an_event(1, EventType.RECEIVED, to_number="+1"), [everything, number, by_id]) == [everything]


@pytest.mark.parametrize(
    ("match", "event"),
    [
        (MATCHES[1], an_event(1, EventType.RECEIVED, to_number=NUMBER)),
        (MATCHES[1], an_event(1, EventType.RECEIVE_FAILED, to_number=NUMBER)),
        (MATCHES[3], an_event(1)),
        (MATCHES[5], an_event(2, EventType.FAILED, job_id="job")),
    ],
)
def test_an_endpoint_that_is_off_supersedes_and_the_event_is_recorded_for_it(
    match: dict[str, object], event: Event
) -> None:
    everything, off, on = endpoint(), endpoint(**match, enabled=False), endpoint(**match)
    (recorded,) = route(event, [everything, off])
    assert (recorded.endpoint, recorded.skipped) == (off, "endpoint_disabled")
    assert [(each.endpoint, each.skipped) for each in route(event, [off, everything, on])] == [
        (off, "endpoint_disabled"),
        (on, None),
    ]
    assert told(event, [everything]) == [everything], "once it is removed"


def test_an_endpoint_for_the_other_direction_supersedes_nothing() -> None:
    everything = endpoint()
    event = an_event(1, EventType.RECEIVED, to_number=NUMBER)
    assert told(event, [everything, endpoint(**MATCHES[1], direction="sent")]) == [everything]


def test_the_specific_one_supersedes_for_inflight_events_too_though_it_wants_none() -> None:
    event = an_event(1, EventType.PAGE_SENT)
    assert told(event, [endpoint(inflight=True), endpoint(**MATCHES[3], inflight=False)]) == []


@given(
    chosen=st.lists(st.tuples(st.sampled_from(MATCHES), st.booleans(), st.booleans()), max_size=8),
    event_type=st.sampled_from(EventType),
    number=st.sampled_from([None, NUMBER]),
    job_id=st.sampled_from([None, "job"]),
)
def test_all_of_exactly_one_level_are_told_and_none_of_a_lower_one(
    chosen: list[tuple[dict[str, object], bool, bool]], event_type: EventType, number: str | None, job_id: str | None
) -> None:
    endpoints = [endpoint(**match, enabled=enabled, inflight=inflight) for match, enabled, inflight in chosen]
    event = an_event(1, event_type, to_number=number, job_id=job_id)
    # One that wants no inflight events, or is off, supersedes all the same.
    matching = [each for each in endpoints if told(event, [msgspec.structs.replace(each, inflight=True, enabled=True)])]
    level = max((each.scope for each in matching), key=["global", "number", "fax"].index, default=None)
    found = told(event, endpoints)
    assert found == [each for each in matching if each.scope == level and told(event, [each])]
    assert all(owed.endpoint.enabled or owed.skipped for owed in route(event, endpoints)), "never owed while it is off"
    if event.direction is Direction.SENT:
        assert not any(each.scope == "number" for each in found)


async def test_a_faxs_endpoint_registered_before_its_first_event_supersedes_the_global_one(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    by_job = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j1"))
    by_id = await harness.endpoint(scope="fax", match=FaxMatch(provider=Provider.PHAXIO, fax_id="2"))
    everything = (await STORE.everything(harness.pool))[0]
    await harness.publish(an_event(1, job_id="j1"), an_event(2), an_event(3))
    async with dispatching():
        deliveries = await harness.settled(3)
    assert {each["event_id"]: each["endpoint_id"] for each in deliveries} == {
        an_event(1).id: by_job.id,
        an_event(2).id: by_id.id,
        an_event(3).id: everything.id,
    }


async def test_a_faxs_endpoint_registered_late_gets_what_was_owed_to_no_endpoint(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.take(an_event(1, job_id="j1"), an_event(2, job_id="j2"))
    late = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j1"))
    assert await intake(harness).owe_registered(late) == 1
    assert await intake(harness).owe_registered(late) == 0, "owed once"
    async with dispatching():
        (delivery,) = await harness.settled(1)
    assert (delivery["event_id"], delivery["state"]) == (an_event(1).id, "told")


async def test_what_a_global_endpoint_was_owed_is_not_owed_again_to_a_faxs_endpoint(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    await harness.take(an_event(1, job_id="j1"))
    late = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j1"))
    assert await intake(harness).owe_registered(late) == 0


async def test_an_endpoint_registered_while_the_first_events_are_taken_in_is_found_by_one_of_both(
    harness: DispatcherHarness,
) -> None:
    event = an_event(1, job_id="j1")

    class RegisteredMeanwhile(EndpointStore):
        """Another transaction registers the endpoint after this one has looked for it."""

        registered = False

        async def of_events(self, connection: Any, events: Any) -> list[Endpoint]:
            found = await super().of_events(connection, events)
            if not self.registered:
                self.registered = True
                late = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j1"))
                assert await intake(harness).owe_registered(late) == 0, "the event is not committed yet"
            return found

    store = RegisteredMeanwhile(Seal([SECRETS_KEY]))
    taking = Intake(harness.pool, store)
    assert (await taking.take([event])).deliveries == []
    (owed,) = (await taking.owe_unowed([event.id], leased=True)).deliveries
    assert (owed.event.id, owed.attempt) == (event.id, 1)


async def test_events_that_came_again_after_a_crash_are_owed_to_an_endpoint_registered_in_between(
    harness: DispatcherHarness,
) -> None:
    event = an_event(1, job_id="j1")
    await harness.take(event)
    await harness.endpoint(scope="fax", match=FaxMatch(job_id="j1"))
    assert len((await harness.take(event)).deliveries) == 1


async def test_what_was_recorded_for_endpoints_that_are_off_is_owed_to_a_faxs_endpoint_that_comes_late(
    harness: DispatcherHarness,
) -> None:
    general = await harness.endpoint(enabled=False)
    await harness.take(an_event(1, job_id="j1"), an_event(2))
    assert [(each["state"], each["reason"]) for each in await harness.deliveries()] == [
        ("skipped", "endpoint_disabled"),
        ("skipped", "endpoint_disabled"),
    ]
    late = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j1"))
    assert await intake(harness).owe_registered(late) == 1
    rows = {(each["event_id"], each["endpoint_id"]): each["reason"] for each in await harness.deliveries()}
    assert rows == {
        (an_event(1).id, general.id): "superseded",  # or it could be recovered, and told twice
        (an_event(1).id, late.id): None,
        (an_event(2).id, general.id): "endpoint_disabled",
    }


async def test_what_died_because_its_endpoint_was_off_is_not_owed_to_another_one(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    await harness.take(an_event(1, job_id="j1"))
    await harness.pool.execute("UPDATE deliveries SET state = 'dead', reason = 'endpoint_disabled'")
    late = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j1"))
    assert await intake(harness).owe_registered(late) == 0


def intake(harness: DispatcherHarness) -> Intake:
    return Intake(harness.pool, STORE)
