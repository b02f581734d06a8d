"""Telnyx: its event types, directions and reasons become the event's; nothing is guessed."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from telnyx_callbacks import ADAPTER, NOW, SAMPLES, callback, envelope, parse, sample

from shared.callback import Verified
from shared.domain import Direction, EventType, Media, Phase, encode_event
from shared.errors import Unreadable

# ---- what an event means ---------------------------------------------------------------------------------------------


def test_every_printed_sample_is_the_event_that_it_tells_of():
    told = {}
    for path in (SAMPLES / "payloads").iterdir():
        event = parse(sample(path.name))
        told[path.name] = (event.type, event.direction, event.status, event.pages, event.attempt)
        data = sample(path.name)
        data = data.get("data", data)
        assert event.id == f"telnyx:{data['id']}"
        assert event.fax_id == data["payload"]["fax_id"]
        assert (event.from_number, event.to_number) == (data["payload"]["from"], data["payload"]["to"])
        assert event.occurred_at == datetime.fromisoformat(data["occurred_at"])
        assert event.phase == event.type.phase
        assert event.received_at == NOW
    sent, received = Direction.SENT, Direction.RECEIVED
    assert told == {
        "fax.delivered.bare.doc.json": (EventType.DELIVERED, sent, "delivered", 1, None),
        "fax.failed.inbound.doc.json": (EventType.RECEIVE_FAILED, received, "failed", None, 1),
        "fax.failed.outbound.bare.doc.json": (EventType.FAILED, sent, "failed", None, None),
        "fax.media.processing.started.doc.json": (EventType.MEDIA_PROCESSED, received, "media.processing", 2, 1),
        "fax.queued.doc.json": (EventType.QUEUED, sent, "queued", None, 1),
        "fax.received.doc.json": (EventType.RECEIVED, received, "received", 2, 1),
        "fax.receiving.started.doc.json": (EventType.RECEIVING, received, "receiving", None, 1),
    }


@pytest.mark.parametrize(
    ("word", "direction", "event_type", "phase"),
    [
        ("fax.queued", "outbound", EventType.QUEUED, Phase.INFLIGHT),
        ("fax.media.processed", "outbound", EventType.MEDIA_PROCESSED, Phase.INFLIGHT),
        ("fax.sending.started", "outbound", EventType.SENDING, Phase.INFLIGHT),
        ("fax.delivered", "outbound", EventType.DELIVERED, Phase.POSTFLIGHT),
        ("fax.failed", "outbound", EventType.FAILED, Phase.POSTFLIGHT),
        ("fax.receiving.started", "inbound", EventType.RECEIVING, Phase.INFLIGHT),
        ("fax.media.processing.started", "inbound", EventType.MEDIA_PROCESSED, Phase.INFLIGHT),
        ("fax.received", "inbound", EventType.RECEIVED, Phase.POSTFLIGHT),
        ("fax.delivered", "inbound", EventType.RECEIVED, Phase.POSTFLIGHT),
        ("fax.failed", "inbound", EventType.RECEIVE_FAILED, Phase.POSTFLIGHT),
        ("fax.email.delivered", "inbound", EventType.UNKNOWN, Phase.INFLIGHT),
        ("message.received", "outbound", EventType.UNKNOWN, Phase.INFLIGHT),
    ],
)
def test_each_event_type_means_what_the_facts_say(word, direction, event_type, phase):
    event = parse(envelope(word, {"direction": direction}))
    stated = {"outbound": Direction.SENT, "inbound": Direction.RECEIVED}[direction]
    assert (event.type, event.phase, event.direction) == (event_type, phase, stated)
    assert event.fields["event_type"] == word


@pytest.mark.parametrize(
    ("word", "payload", "event_type", "direction"),
    [
        ("fax.queued", {}, EventType.QUEUED, Direction.SENT),
        ("fax.received", {}, EventType.RECEIVED, Direction.RECEIVED),
        ("fax.media.processing.started", {}, EventType.MEDIA_PROCESSED, Direction.RECEIVED),
        ("fax.delivered", {}, EventType.DELIVERED, Direction.SENT),
        ("fax.failed", {}, EventType.FAILED, Direction.SENT),
        ("fax.failed", {"caller_id": "+15551234567"}, EventType.RECEIVE_FAILED, Direction.RECEIVED),
        ("fax.failed", {"failure_reason": "carrier_lost"}, EventType.RECEIVE_FAILED, Direction.RECEIVED),
        ("fax.failed", {"failure_reason": ["carrier_lost"]}, EventType.FAILED, Direction.SENT),
        ("fax.failed", {"direction": "outbound", "caller_id": "+15551234567"}, EventType.FAILED, Direction.SENT),
        ("fax.failed", {"direction": "sideways"}, EventType.FAILED, Direction.SENT),
        ("fax.failed", {"direction": " INBOUND "}, EventType.RECEIVE_FAILED, Direction.RECEIVED),
        # No received fax is sent, and no sent one received, whatever the payload says beside it.
        ("fax.received", {"direction": "outbound"}, EventType.RECEIVED, Direction.RECEIVED),
        ("fax.sending.started", {"direction": "inbound"}, EventType.SENDING, Direction.SENT),
    ],
)
def test_without_a_direction_that_fits_the_event_type_and_its_reason_tell_it(word, payload, event_type, direction):
    event = parse(envelope(word, payload))
    assert (event.type, event.direction) == (event_type, direction)


@pytest.mark.parametrize("status", ["sending", "sending.started", "something.new", None])
def test_the_status_is_passed_on_and_decides_nothing(status):
    event = parse(envelope("fax.sending.started", {"status": status}))
    assert (event.type, event.status) == (EventType.SENDING, status)


def test_the_bare_form_is_the_same_event_as_the_enveloped():
    whole = sample("fax.received.doc.json")
    bare = parse(whole["data"])
    assert bare.attempt is None
    fields = {name: value for name, value in parse(whole).fields.items() if name != "meta"}
    assert encode_event(bare) == encode_event(ADAPTER.parse(callback({"data": whole["data"]}), Verified(by="")).event)
    assert bare.fields == fields


def test_a_repetition_with_another_meta_is_the_same_event():
    first, second = sample("fax.delivered.bare.doc.json"), sample("fax.delivered.bare.doc.json")
    events = [
        parse({"data": first, "meta": {"attempt": 1, "delivered_to": "https://one.example/"}}),
        parse({"meta": {"delivered_to": "https://two.example/", "attempt": "3"}, "data": second}),
        parse({"data": first}),
        parse(first),
    ]
    assert len({event.id for event in events}) == 1
    assert [event.attempt for event in events] == [1, 3, None, None]


@pytest.mark.parametrize("attempt", [0, -1, "first", True, None, 1.5, [], 2**40])
def test_an_attempt_that_is_no_count_from_1_is_left_out(attempt):
    assert parse(envelope("fax.queued", {}, meta={"attempt": attempt})).attempt is None


def test_the_event_id_is_never_the_fax_id():
    event = parse(envelope("fax.queued", {"id": "payload-id", "fax_id": "the-fax"}, event_id="the-event"))
    assert (event.id, event.fax_id) == ("telnyx:the-event", "the-fax")


@pytest.mark.parametrize(
    "content",
    [
        {"data": {"event_type": "fax.queued", "id": "e", "payload": {"id": "the fax's id, misplaced"}}},
        {"data": {"event_type": "fax.queued", "payload": {"fax_id": "f"}}},
        {"data": {"id": "e", "payload": {"fax_id": "f"}}},
        {"data": {"event_type": "fax.queued", "id": "e"}},
        {"data": {"event_type": "fax.queued", "id": " ", "payload": {"fax_id": "f"}}},
        {"data": {"event_type": "fax.queued", "id": "e", "payload": {"fax_id": {}}}},
        {"data": {"event_type": "fax.queued", "id": "e" * 201, "payload": {"fax_id": "f"}}},
        {"data": {"event_type": {}, "id": "e", "payload": {"fax_id": "f"}}},
        {"data": {"event_type": "fax.queued", "id": "e", "payload": "text"}},
        {"data": []},
        {},
        [],
        "text",
        None,
        b"",
        b"{",
        b"fax_id=1",
        b'{"data": "\\ud800"}',
        b"[" * 100_000,
        b'{"data":' * 5000,
    ],
)
def test_what_lacks_an_id_or_is_no_object_is_unreadable(content):
    with pytest.raises(Unreadable):
        parse(content)


def test_nothing_that_was_sent_is_thrown_away():
    whole = sample("fax.failed.inbound.doc.json")
    whole["data"]["payload"]["brand_new"] = {"deep": [1, None, "two"]}
    whole["data"]["beside"] = 7
    event = parse(whole)
    assert event.fields == {**whole["data"], "meta": whole["meta"]}


@pytest.mark.parametrize(
    ("shown", "number"),
    [
        (" 16617480240", "+16617480240"),
        ("+16617480240", "+16617480240"),
        ("16617480240", "+16617480240"),
        (" +16617480240 ", "+16617480240"),
        ("sip:fax@example.com", "sip:fax@example.com"),
        (None, None),
        ("", None),
    ],
)
def test_a_plus_sign_that_became_a_blank_is_put_back(shown, number):
    event = parse(envelope("fax.received", {"from": shown, "to": shown}))
    assert (event.from_number, event.to_number) == (number, number)


def test_another_caller_id_does_not_replace_the_number():
    event = parse(sample("fax.failed.inbound.doc.json"))
    assert event.from_number == "+16617480240"
    assert event.fields["payload"]["caller_id"] == "+16132484872"


def test_a_received_fax_names_its_document_by_url():
    url = "https://media.example/fax.pdf?signature=abc"
    assert parse(envelope("fax.received", {"media_url": url})).media == Media(url=url)
    assert parse(envelope("fax.delivered", {"direction": "inbound", "media_url": url})).media == Media(url=url)
    assert parse(envelope("fax.delivered", {"direction": "outbound", "media_url": url})).media is None
    assert parse(envelope("fax.received", {"media_url": "file:///etc/passwd"})).media is None
    assert parse(envelope("fax.received", {"media_url": None})).media is None


def test_partial_content_marks_a_received_fax_and_nothing_else():
    assert parse(envelope("fax.received", {"partial_content": True})).partial
    assert parse(envelope("fax.received", {"partial_content": "true"})).partial
    assert parse(envelope("fax.received", {"partial_content": True})).type is EventType.RECEIVED
    assert not parse(envelope("fax.received", {"partial_content": False})).partial
    assert not parse(envelope("fax.received", {})).partial
    # This documentation sample carries the key on a queued fax.
    assert not parse(sample("fax.queued.doc.json")).partial


def test_client_state_and_job_id_are_passed_on_unread():
    state = "not base64 at all ✓"
    event = parse(envelope("fax.queued", {"client_state": state}), query={"job_id": "job-7"})
    assert (event.client_state, event.job_id) == (state, "job-7")
    assert parse(envelope("fax.queued", {"client_state": {"a": 1}})).client_state is None


@pytest.mark.parametrize("moment", ["yesterday", None, "2020-08-27T16:17:51", "9999-99-99T00:00:00Z"])
def test_a_time_that_names_no_instant_is_left_out_and_not_guessed(moment):
    event = parse(envelope("fax.queued", {}, occurred_at=moment))
    assert event.occurred_at is None
    assert event.fields["occurred_at"] == moment


def test_microseconds_of_the_time_are_kept():
    event = parse(envelope("fax.queued", {}, occurred_at="2020-08-27T18:17:51.844250+02:00"))
    assert event.occurred_at == datetime(2020, 8, 27, 16, 17, 51, 844250, tzinfo=UTC)
    assert event.occurred_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("word", ["fax.received", "fax.delivered"])
@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ({"original_media_url": "https://a.example/1"}, "https://a.example/1"),
        ({"stored_media_url": "https://a.example/2"}, "https://a.example/2"),
        ({"media_url": None, "original_media_url": "https://a.example/3"}, "https://a.example/3"),
        ({"media_url": "", "original_media_url": " HTTP://a.example/4 "}, "HTTP://a.example/4"),
        ({"media_url": "https://a.example/5", "original_media_url": "https://b.example/"}, "https://a.example/5"),
        ({"media_url": "n/a", "stored_media_url": "Https://a.example/6"}, "Https://a.example/6"),
        ({"media_url": "ftp://a.example/7"}, None),
        ({"original_media_url": ["https://a.example/8"]}, None),
    ],
)
def test_a_received_fax_s_document_is_found_under_each_name_of_the_guides(word, named, wanted):
    event = parse(envelope(word, {"direction": "inbound", **named}))
    assert event.type is EventType.RECEIVED
    assert event.media == (None if wanted is None else Media(url=wanted))
    assert parse(envelope("fax.delivered", {"direction": "outbound", **named})).media is None


@pytest.mark.parametrize(
    ("word", "payload", "event_type"),
    [
        ("fax.delivered", {"direction": "Incoming"}, EventType.RECEIVED),
        ("fax.delivered", {"direction": "received"}, EventType.RECEIVED),
        ("fax.delivered", {"direction": "outgoing"}, EventType.DELIVERED),
        # Without a word of the direction: what only a received fax has.
        ("fax.delivered", {"status": "received"}, EventType.RECEIVED),
        ("fax.delivered", {"media_url": "https://a.example/1"}, EventType.RECEIVED),
        ("fax.delivered", {"direction": None, "media_url": "https://a.example/1"}, EventType.RECEIVED),
        (
            "fax.delivered",
            {"media_url": "https://a.example/1", "original_media_url": "https://b/"},
            EventType.DELIVERED,
        ),
        ("fax.delivered", {"status": "delivered"}, EventType.DELIVERED),
        ("fax.failed", {"status": "receiving"}, EventType.RECEIVE_FAILED),
        ("FAX.Received", {}, EventType.RECEIVED),
    ],
)
def test_the_direction_is_read_in_other_words_or_from_what_only_a_received_fax_has(word, payload, event_type):
    assert parse(envelope(word, payload)).type is event_type


@pytest.mark.parametrize(
    "number", ["+15550100102", ["+15550100102"], {"phone_number": "+15550100102"}, [{"phone_number": 15550100102}]]
)
def test_the_called_number_is_found_alone_in_a_list_or_an_object(number):
    event = parse(envelope("fax.received", {"from": number, "to": number}))
    assert (event.from_number, event.to_number) == ("+15550100102", "+15550100102")


def test_an_envelope_in_lists_in_texts_or_flat_is_the_same_event():
    whole = envelope("fax.received", {"direction": "inbound"})
    data = whole["data"]
    bare = {name: value for name, value in data.items() if name != "payload"}
    for other in (
        [whole],
        {**whole, "data": [data]},
        {**whole, "data": json.dumps(data)},
        {**whole, "data": {**data, "payload": json.dumps(data["payload"])}},
        {**whole, "data": {**data["payload"], **bare}},
    ):
        event = parse(other)
        assert (event.id, event.type, event.fax_id) == ("telnyx:e-1", EventType.RECEIVED, "f-1")
