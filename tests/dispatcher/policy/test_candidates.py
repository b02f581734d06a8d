"""The candidates for an event are the endpoints that match its fax, its job, its number or everything, on or off."""

from dispatchers import an_event
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.policy.candidates import Candidates
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from dispatcher.policy.routing import route
from shared.domain import EventType, Provider
from shared.ids import uuid7

NUMBERS = ["+15551", "+15552"]
MATCHES = [
    {},
    *({"scope": "number", "match": number} for number in NUMBERS),
    *({"scope": "fax", "match": FaxMatch(provider=provider, fax_id="1")} for provider in list(Provider)[:2]),
    *({"scope": "fax", "match": FaxMatch(job_id=job_id)} for job_id in ("a", "b")),
]


@given(
    chosen=st.lists(st.tuples(st.sampled_from(MATCHES), st.booleans()), max_size=10),
    provider=st.sampled_from(list(Provider)[:2]),
    event_type=st.sampled_from([EventType.DELIVERED, EventType.RECEIVED]),
    number=st.sampled_from([None, *NUMBERS]),
    job_id=st.sampled_from([None, "a", "b"]),
)
def test_routing_among_the_candidates_is_routing_among_all(
    chosen: list[tuple[dict[str, object], bool]],
    provider: Provider,
    event_type: EventType,
    number: str | None,
    job_id: str | None,
) -> None:
    endpoints = [Endpoint(**{"id": uuid7(), "url": "https://x/", "enabled": on, **match}) for match, on in chosen]
    event = an_event(1, event_type, provider=provider, to_number=number, job_id=job_id)
    candidates = Candidates(endpoints)
    among_all = {owed.endpoint.id for owed in route(event, endpoints)}
    assert {owed.endpoint.id for owed in route(event, candidates.of(event))} == among_all
    assert all(each.scope == "fax" for each in candidates.of_fax(event))
    assert len(candidates.of(event)) <= len(endpoints), "each once"
