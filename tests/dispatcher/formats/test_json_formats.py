"""telnyx-v2, sinch-v3 and standard-v1: each one's own words, and what they make of other providers'."""

import base64
from datetime import timedelta

import pytest
from dispatchers import an_event
from format_cases import NOW, SAMPLES, URL, case_id, json_of, render

from dispatcher.formats import FORMATS
from docs.generate.formats import SampleEvent
from shared.domain import Direction, EventType, Failure, Media, Provider
from shared.ids import uuid7

T = EventType


def sample(provider, name):
    return next(each for each in SAMPLES if (each.provider, each.name) == (provider, name))


def of(event):
    return SampleEvent(event.provider, "made", event, None)


# ---- telnyx-v2 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "direction", "word", "status"),
    [
        (T.QUEUED, Direction.SENT, "fax.queued", "queued"),
        (T.MEDIA_PROCESSED, Direction.SENT, "fax.media.processed", "media.processed"),
        (T.SENDING, Direction.SENT, "fax.sending.started", "sending"),
        (T.DELIVERED, Direction.SENT, "fax.delivered", "delivered"),
        (T.FAILED, Direction.SENT, "fax.failed", "failed"),
        (T.PARTIALLY_DELIVERED, Direction.SENT, "fax.failed", "failed"),
        (T.RECEIVING, Direction.RECEIVED, "fax.receiving.started", "receiving"),
        (T.MEDIA_PROCESSED, Direction.RECEIVED, "fax.media.processing.started", "media.processing"),
        (T.RECEIVED, Direction.RECEIVED, "fax.received", "received"),
        (T.RECEIVE_FAILED, Direction.RECEIVED, "fax.failed", "failed"),
    ],
)
def test_telnyx_v2_has_telnyxs_word_and_status_for_each_type_and_direction(event_type, direction, word, status):
    event = an_event(1, event_type, provider=Provider.ASTERISK, direction=direction)
    assert FORMATS["telnyx-v2"].has_word_for(event)
    data = json_of(render("telnyx-v2", of(event)))["data"]
    payload = data["payload"]
    assert (data["record_type"], data["event_type"], payload["status"]) == ("event", word, status)
    assert payload["direction"] == ("outbound" if direction is Direction.SENT else "inbound")


@pytest.mark.parametrize(
    ("event_type", "direction"),
    [(T.QUEUED, Direction.RECEIVED), (T.SENDING, Direction.RECEIVED), (T.RECEIVING, Direction.SENT)],
)
def test_telnyx_v2_has_no_word_for_what_telnyx_never_says_of_that_direction(event_type, direction):
    assert not FORMATS["telnyx-v2"].has_word_for(an_event(1, event_type, direction=direction))


def test_telnyx_v2_tells_a_partial_delivery_as_a_failure_with_its_own_reason():
    payload = json_of(render("telnyx-v2", sample("phaxio", "sent-partial")))["data"]["payload"]
    assert payload["failure_reason"] == "partially_delivered"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Failure(type="lineError", code="17", message="Busy"), "Busy"),
        (Failure(type="lineError", code="17"), "17"),
        (Failure(type="lineError"), "lineError"),
        (None, None),
    ],
)
def test_telnyx_v2_gives_the_reason_in_the_plainest_words_there_are(failure, reason):
    event = an_event(1, T.FAILED, failure=failure)
    assert json_of(render("telnyx-v2", of(event)))["data"]["payload"].get("failure_reason") == reason


def test_telnyx_v2_says_which_attempt_it_is_and_where_it_went_and_the_time_of_the_attempt():
    later = NOW + timedelta(hours=6)
    first = render("telnyx-v2", sample("phaxio", "sent-success"))
    second = render(
        "telnyx-v2", sample("phaxio", "sent-success"), attempt=2, url="https://failover.example.com/", now=later
    )
    assert json_of(first)["meta"] == {"attempt": 1, "delivered_to": URL}
    assert json_of(second)["meta"] == {"attempt": 2, "delivered_to": "https://failover.example.com/"}
    assert json_of(first)["data"] == json_of(second)["data"], "a repetition is the same event"
    assert first.headers["telnyx-timestamp"] == "1791014401"
    assert second.headers["telnyx-timestamp"] == "1791036001"


@pytest.mark.parametrize("name", ["queued", "sent-success", "received-as-delivered", "unknown"])
def test_telnyx_v2_gives_a_telnyx_event_out_as_it_came(name):
    told = sample("telnyx", name)
    data = json_of(render("telnyx-v2", told))["data"]
    assert data == {key: value for key, value in told.event.fields.items() if key != "meta"}
    assert f"telnyx:{data['id']}" == told.event.id


def test_telnyx_v2_names_media_by_url_and_marks_what_is_partial_of_received_faxes_only():
    media = Media(url="https://media.example.com/x.pdf")
    received = an_event(1, T.RECEIVED, provider=Provider.SINCH, media=media, partial=True)
    payload = json_of(render("telnyx-v2", of(received)))["data"]["payload"]
    assert (payload["media_url"], payload["partial_content"]) == (media.url, True)
    sent = an_event(1, T.FAILED, provider=Provider.SINCH, media=media, partial=True)
    assert not {"media_url", "partial_content"} & set(json_of(render("telnyx-v2", of(sent)))["data"]["payload"])


# ---- sinch-v3 ---------------------------------------------------------------------------------------------------


def test_sinch_v3_carries_a_received_document_as_base64_and_its_type():
    for provider, file_type in (("phaxio", "PDF"), ("asterisk", "TIF"), ("telnyx", "PDF")):
        told = sample(provider, "received")
        message = json_of(render("sinch-v3", told))
        assert (message["event"], message["fileType"]) == ("INCOMING_FAX", file_type)
        assert base64.b64decode(message["file"], validate=True) == told.document


def test_sinch_v3_spells_phaxios_errors_as_sinch_does_and_leaves_other_words_alone():
    fax = json_of(render("sinch-v3", sample("phaxio", "sent-failure")))["fax"]
    assert (fax["errorType"], fax["errorCode"], fax["errorMessage"]) == ("CALL_ERROR", 17, "Busy")
    fax = json_of(render("sinch-v3", sample("telnyx", "sent-failure")))["fax"]
    assert (fax.get("errorType"), fax.get("errorCode"), fax["errorMessage"]) == (None, None, "user_busy")


def test_sinch_v3_gives_a_sinch_fax_out_with_all_its_own_keys():
    told = sample("sinch", "sent-partial")
    message = json_of(render("sinch-v3", told))
    assert message == {name: value for name, value in told.event.fields.items() if name not in {"file", "fileType"}}
    assert (message["fax"]["pagesSentSuccessfully"], message["fax"]["labels"]) == (1, {"made_by": "faxhook simulate"})


def test_sinch_v3_makes_sinchs_shape_of_faxbots_flat_one():
    fields = {"id": "f", "from": "+15550100101", "status": "received"}
    event = an_event(1, T.RECEIVED, provider=Provider.SINCH, fax_id="f", from_number="+15550100101", fields=fields)
    message = json_of(render("sinch-v3", of(event)))
    expected = {"id": "f", "direction": "INBOUND", "from": "+15550100101", "status": "COMPLETED"}
    assert message == {"event": "INCOMING_FAX", "fax": expected}


@pytest.mark.parametrize("status", ["failed", None, 7])
def test_sinch_v3_says_sinchs_word_where_sinch_was_read_from_another(status):
    fields = {"event": "INCOMING_FAX", "fax": {"id": "f", "status": status, "direction": "OUTBOUND"}}
    event = an_event(1, T.FAILED, provider=Provider.SINCH, fields=fields)
    message = json_of(render("sinch-v3", of(event)))
    assert (message["event"], message["fax"]["status"]) == ("FAX_COMPLETED", "FAILURE")
    received = json_of(render("sinch-v3", of(an_event(1, T.RECEIVE_FAILED, provider=Provider.SINCH, fields=fields))))
    assert (received["event"], received["fax"]["direction"]) == ("INCOMING_FAX", "INBOUND")


def test_sinch_v3_speaks_of_no_document_that_it_does_not_carry():
    fields = {"event": "INCOMING_FAX", "fax": {"id": "f"}, "fileType": "PDF", "files": [{"fileType": "PDF"}]}
    event = an_event(1, T.RECEIVED, provider=Provider.SINCH, fields=fields)
    assert set(json_of(render("sinch-v3", of(event)))) == {"event", "fax"}


def test_sinch_v3_names_media_by_url_of_received_faxes_only():
    media = Media(url="https://media.example.com/x.pdf")
    received, sent = (an_event(1, each, provider=Provider.TELNYX, media=media) for each in (T.RECEIVED, T.DELIVERED))
    assert json_of(render("sinch-v3", of(received)))["fax"]["contentUrl"] == media.url
    assert "contentUrl" not in json_of(render("sinch-v3", of(sent)))["fax"]


# ---- standard-v1 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", SAMPLES, ids=case_id)
def test_standard_v1_holds_the_whole_event_but_its_fields(told):
    message = json_of(render("standard-v1", told))
    names = set(told.event.__struct_fields__) - {"fields"}
    assert set(message) == {"type", "timestamp", "data"}
    assert set(message["data"]) == names
    assert message["type"] == message["data"]["type"] == told.event.type
    assert message["timestamp"] == message["data"]["occurred_at"] or (
        message["data"]["occurred_at"] is None and message["timestamp"] == message["data"]["received_at"]
    )


def test_standard_v1_has_one_id_over_all_attempts_and_each_attempts_own_time():
    delivery_id = uuid7()
    first = render("standard-v1", SAMPLES[0], delivery_id=delivery_id)
    second = render("standard-v1", SAMPLES[0], delivery_id=delivery_id, attempt=2, now=NOW + timedelta(minutes=5))
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == str(delivery_id)
    assert "." not in first.headers["webhook-id"], "a dot would make the signed text ambiguous"
    assert (first.headers["webhook-timestamp"], second.headers["webhook-timestamp"]) == ("1791014401", "1791014701")
    assert first.body == second.body


def test_standard_v1_signs_with_what_can_sign_and_a_token_of_another_kind_spoils_nothing():
    good = "whsec_" + base64.b64encode(b"k" * 32).decode()
    header = render("standard-v1", SAMPLES[0], tokens=("no secret", good)).headers["webhook-signature"]
    assert header.startswith("v1,")
    assert " " not in header
