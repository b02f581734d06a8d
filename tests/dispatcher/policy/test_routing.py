"""Who is told: global endpoints by direction, endings by default, and words that a format lacks are recorded."""

from dispatchers import an_event
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.formats import FORMATS
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.routing import Owed, route, skip_overtaken
from shared.domain import Event, EventType, Phase, Provider
from shared.ids import uuid7

URL = "https://example.com/hook"


def endpoint(**fields: object) -> Endpoint:
    return Endpoint(**{"id": uuid7(), "url": URL, **fields})


types = st.sampled_from(EventType)
endpoints = st.builds(
    endpoint,
    direction=st.sampled_from(["sent", "received", "any"]),
    inflight=st.booleans(),
    enabled=st.booleans(),
    types=st.just(()) | st.lists(types, min_size=1, max_size=3, unique=True).map(tuple),
)


def wanted_unnamed(event: Event, each: Endpoint) -> bool:
    """Does it get *event* though it names no types? `fax.stalled` is told only where it is named."""
    return event.type is not EventType.STALLED and (each.inflight or event.phase is Phase.POSTFLIGHT)


@given(event_type=types, known=st.lists(endpoints, max_size=6))
def test_every_endpoint_that_applies_is_owed_once_and_no_other_and_one_that_is_off_only_recorded(
    event_type: EventType, known: list[Endpoint]
) -> None:
    event = an_event(1, event_type)
    owed = route(event, known)
    expected = [
        each.id
        for each in known
        if each.direction in ("any", event.direction)
        and (event_type in each.types if each.types else wanted_unnamed(event, each))
    ]
    assert [each.endpoint.id for each in owed] == expected
    for each in owed:
        has_word = FORMATS[each.endpoint.format].has_word_for(event)
        is_off = None if each.endpoint.enabled else "endpoint_disabled"
        assert each.skipped == (is_off if has_word else "no_equivalent")


@given(event_type=types, rank=st.integers(0, 100), overtaken=st.sampled_from(["skip", "deliver"]))
def test_only_inflight_events_of_lower_rank_are_skipped_and_only_where_asked_for(
    event_type: EventType, rank: int, overtaken: str
) -> None:
    event = an_event(1, event_type)
    owed = Owed(event=event, endpoint=endpoint(overtaken=overtaken))
    (after,) = skip_overtaken([owed], {(event.provider, event.fax_id): rank})
    news_until = 99 if event_type is EventType.STALLED else event_type.rank  # it is no stage of a fax
    is_old_news = event.phase is Phase.INFLIGHT and event_type is not EventType.UNKNOWN and news_until < rank
    assert after.skipped == ("overtaken" if is_old_news and overtaken == "skip" else None)


@given(event_type=types, format_name=st.sampled_from(sorted(FORMATS)))
def test_a_mail_has_a_word_for_every_event_but_unknown_whatever_the_format(
    event_type: EventType, format_name: str
) -> None:
    event = an_event(1, event_type)
    mails = endpoint(url="mailto:a@example.com", format=format_name, types=(event_type,))
    (owed,) = route(event, [mails])
    assert owed.skipped == ("no_equivalent" if event_type is EventType.UNKNOWN else None)


@given(format_name=st.sampled_from(sorted(FORMATS)), provider=st.sampled_from(Provider))
def test_a_stalled_fax_has_a_word_in_standard_v1_alone(format_name: str, provider: Provider) -> None:
    own = {"event_type": "fax.sending.started", "payload": {}}  # telnyx-v2 says all that Telnyx said
    event = an_event(1, EventType.STALLED, provider=provider, fields=own)
    (owed,) = route(event, [endpoint(format=format_name, types=(EventType.STALLED,))])
    assert owed.skipped == (None if format_name == "standard-v1" else "no_equivalent")


def test_what_has_no_word_stays_so_when_it_is_overtaken_too() -> None:
    owed = Owed(event=an_event(1, EventType.QUEUED), endpoint=endpoint(), skipped="no_equivalent")
    (after,) = skip_overtaken([owed], {("phaxio", "1"): 100})
    assert after.skipped == "no_equivalent"


def test_a_lease_outlives_the_url_and_its_failover_timing_out() -> None:
    assert endpoint(timeout_seconds=60.0).lease_seconds > 120
