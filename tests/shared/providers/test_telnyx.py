"""Telnyx: what its signature lets in, and what its events mean."""

import base64
import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.callback import Callback, Verified
from shared.domain import Direction, EventType, Failure, Media, Phase, encode_event
from shared.errors import Refused, SignatureInvalid, SignatureMissing, TimestampExpired, Unreadable
from shared.providers.telnyx import TelnyxAdapter
from shared.signatures import sign_telnyx

SAMPLES = Path(__file__).parents[2] / "samples" / "telnyx"
VECTORS = json.loads((SAMPLES / "vectors.json").read_text())
REASONS = json.loads((SAMPLES / "failure_reasons.json").read_text())
SEED = base64.b64decode(VECTORS["private_seed_b64"])
KEY = VECTORS["public_key_b64"]
OTHER_KEY = VECTORS["other_public_key_b64"]
NOW = datetime(2025, 10, 21, 12, 0, 0, tzinfo=UTC)
ADAPTER = TelnyxAdapter(public_keys=[KEY])


def sample(name):
    return json.loads((SAMPLES / "payloads" / name).read_text())


def callback(content, *, headers=None, received_at=NOW, query=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Callback(
        route="/telnyx-webhook",
        target="/telnyx-webhook",
        query=query or {},
        headers=headers or {},
        body=body,
        received_at=received_at,
    )


def signed(content, *, at=NOW, received_at=NOW):
    unsigned = callback(content)
    timestamp = int(at.timestamp())
    headers = {
        "telnyx-signature-ed25519": sign_telnyx(SEED, timestamp, unsigned.body),
        "telnyx-timestamp": str(timestamp),
    }
    return callback(unsigned.body, headers=headers, received_at=received_at)


def parse(content, **options):
    parsed = ADAPTER.parse(callback(content, **options), Verified(by="telnyx-ed25519"))
    assert parsed.document is None
    return parsed.event


def envelope(event_type, payload, *, event_id="e-1", meta=None, **data):
    payload = {"fax_id": "f-1", **payload}
    whole = {"data": {"event_type": event_type, "id": event_id, "payload": payload, **data}}
    return whole if meta is None else {**whole, "meta": meta}


# ---- who may call ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_every_vector_is_judged_as_it_says_by_the_clock_it_names(vector):
    received_at = datetime.fromtimestamp(vector["now"], UTC)
    made = callback(base64.b64decode(vector["body_b64"]), headers=vector["headers"], received_at=received_at)
    if vector["valid"]:
        assert ADAPTER.verify(made).by == "telnyx-ed25519"
    else:
        with pytest.raises(Refused) as refusal:
            ADAPTER.verify(made)
        assert refusal.value.status == 401


def test_each_refusal_has_its_own_code():
    codes = {}
    for vector in VECTORS["vectors"]:
        if not vector["valid"]:
            received_at = datetime.fromtimestamp(vector["now"], UTC)
            made = callback(base64.b64decode(vector["body_b64"]), headers=vector["headers"], received_at=received_at)
            with pytest.raises(Refused) as refusal:
                ADAPTER.verify(made)
            codes[vector["name"]] = refusal.value.code
    assert codes == {
        "stale-301s": "timestamp_expired",
        "tampered-body": "signature_invalid",
        "missing-signature": "signature_missing",
        "non-numeric-timestamp": "signature_invalid",
        "dot-separator": "signature_invalid",
        "reserialised-body": "signature_invalid",
    }


def test_every_changed_byte_of_a_body_is_refused():
    good = signed(sample("fax.received.doc.json"))
    for position in range(0, len(good.body), 7):
        body = bytearray(good.body)
        body[position] ^= 1
        with pytest.raises(SignatureInvalid):
            ADAPTER.verify(callback(bytes(body), headers=good.headers))


@pytest.mark.parametrize("sign", [-1, 1])
def test_300_seconds_are_inside_and_301_are_not_both_ways(sign):
    ADAPTER.verify(signed({}, at=NOW + sign * timedelta(seconds=300)))
    with pytest.raises(TimestampExpired):
        ADAPTER.verify(signed({}, at=NOW + sign * timedelta(seconds=301)))


def test_a_repetition_is_signed_anew_and_judged_by_its_own_arrival():
    later = NOW + timedelta(hours=7)
    ADAPTER.verify(signed({}, at=later, received_at=later))
    with pytest.raises(TimestampExpired):
        ADAPTER.verify(signed({}, at=NOW, received_at=later))


@pytest.mark.parametrize("absent", ["telnyx-signature-ed25519", "telnyx-timestamp"])
def test_either_header_missing_or_empty_is_a_missing_signature(absent):
    good = signed({})
    for headers in (
        {name: text for name, text in good.headers.items() if name != absent},
        {**good.headers, absent: ""},
    ):
        with pytest.raises(SignatureMissing):
            ADAPTER.verify(callback(good.body, headers=headers))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: base64.b64decode(text).hex(),
        lambda text: text + "!",
        lambda text: "*" + text[1:],
        lambda text: base64.b64encode(base64.b64decode(text)[:63]).decode(),
        lambda text: base64.b64encode(base64.b64decode(text) + b"\0").decode(),
        lambda _: "ünïcode",
        lambda _: "\udce9",
    ],
    ids=["hex", "junk", "star", "63 bytes", "65 bytes", "not ascii", "surrogate"],
)
def test_a_signature_in_any_other_form_is_invalid_and_never_an_error(spoil):
    good = signed({})
    headers = {**good.headers, "telnyx-signature-ed25519": spoil(good.headers["telnyx-signature-ed25519"])}
    with pytest.raises(SignatureInvalid):
        ADAPTER.verify(callback(good.body, headers=headers))


@pytest.mark.parametrize("timestamp", ["-1", "1e9", "1761048000.0", " 1761048000x", "١٧٦", "NaN", "9" * 400])
def test_a_timestamp_that_is_not_all_digits_is_invalid(timestamp):
    headers = {**signed({}).headers, "telnyx-timestamp": timestamp}
    with pytest.raises(SignatureInvalid):
        ADAPTER.verify(callback({}, headers=headers))


def test_several_keys_are_all_valid_and_another_one_is_not():
    made = signed({})
    TelnyxAdapter(public_keys=[OTHER_KEY, KEY]).verify(made)
    TelnyxAdapter(public_keys=[KEY, OTHER_KEY]).verify(made)
    with pytest.raises(SignatureInvalid):
        TelnyxAdapter(public_keys=[OTHER_KEY]).verify(made)


def test_a_key_that_is_none_stops_the_start():
    for key in ("", "short", base64.b64encode(b"x" * 31).decode()):
        with pytest.raises(ValueError, match=r"TELNYX_PUBLIC_KEY is wrong: .* 32 bytes"):
            TelnyxAdapter(public_keys=[KEY, key])


def test_a_body_with_other_than_ascii_text_verifies_and_its_text_is_kept():
    content = envelope("fax.queued", {"from": "sip:zoë@例え.jp"}, client_note="🚀")
    ADAPTER.verify(signed(content))
    raw = signed(json.dumps(content, ensure_ascii=False).encode())
    ADAPTER.verify(raw)
    event = ADAPTER.parse(raw, Verified(by="telnyx-ed25519")).event
    assert (event.from_number, event.fields["client_note"]) == ("sip:zoë@例え.jp", "🚀")


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


# ---- why a fax failed ------------------------------------------------------------------------------------------------

PASSING = {
    *("user_busy", "receiver_no_answer", "receiver_no_response", "receiver_call_dropped"),
    *("receiver_recovery_on_timer_expire", "receiver_communication_error", "fax_initial_communication_timeout"),
    *("invalid_ecm_response_from_receiver", "service_unavailable", "fax_signaling_error"),
    *("user_channel_limit_exceeded", "connection_channel_limit_exceeded", "outbound_profile_channel_limit_exceeded"),
    "outbound_profile_daily_spend_limit_exceeded",
}
UNKNOWN = {
    *("media_processing_exception", "file_download_failed", "destination_unreachable", "success", "received"),
    *("carrier_lost", "sender_call_dropped", "sender_canceled", "sender_communication_error"),
}


def test_the_documented_reasons_are_37():
    assert len({*REASONS["outbound"], *REASONS["inbound"]}) == 37


@pytest.mark.parametrize(
    ("direction", "reason"),
    [*itertools.product(["outbound"], REASONS["outbound"]), *itertools.product(["inbound"], REASONS["inbound"])],
)
def test_every_documented_reason_is_kept_and_its_permanence_known(direction, reason):
    event = parse(envelope("fax.failed", {"direction": direction, "failure_reason": reason, "status": "failed"}))
    permanent = None if reason in UNKNOWN else reason not in PASSING
    assert event.type is (EventType.FAILED if direction == "outbound" else EventType.RECEIVE_FAILED)
    assert event.failure == Failure(code=reason, message=reason, permanent=permanent)


def test_an_unknown_reason_is_kept_and_nobody_knows_whether_it_is_for_good():
    event = parse(envelope("fax.failed", {"direction": "outbound", "failure_reason": "line_eaten_by_mice"}))
    assert event.failure == Failure(code="line_eaten_by_mice", message="line_eaten_by_mice", permanent=None)


def test_the_finer_reason_is_the_message():
    payload = {"failure_reason": "user_busy", "internal_failure_reason": "busy after two rings"}
    failure = parse(envelope("fax.failed", payload)).failure
    assert (failure.code, failure.message) == ("user_busy", "busy after two rings")


def test_a_failure_without_any_reason_has_none_invented():
    assert parse(envelope("fax.failed", {"failure_reason": None})).failure is None


def test_an_outcome_is_never_read_from_the_reason():
    assert parse(envelope("fax.delivered", {"failure_reason": "user_busy"})).failure is None
    assert parse(envelope("fax.failed", {"failure_reason": "success"})).type is EventType.FAILED
