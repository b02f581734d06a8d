"""Sinch: its own shapes and Faxbot's flat one are read, and the rest is unreadable."""

import hashlib
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from sinch_callbacks import ENCODED, FAX, META, PDF, SAMPLES, SINCH, event_of, incoming, multipart, parse, sample

from shared.callback import Document
from shared.domain import Direction, EventType, Phase
from shared.errors import Refused, Unreadable


def test_the_json_sample_is_a_received_fax_with_its_document():
    parsed = parse((SINCH / "incoming_fax.json").read_bytes())
    event = parsed.event
    assert (event.type, event.phase, event.direction) == (EventType.RECEIVED, Phase.POSTFLIGHT, Direction.RECEIVED)
    assert (event.fax_id, event.status, event.pages) == ("01HDFHACK1YN7CCDYRA6ZRMA8Z", "COMPLETED", 1)
    assert (event.from_number, event.to_number) == ("+14155552222", "+14155553333")
    assert event.occurred_at == datetime(2021, 11, 1, 23, 25, 39, tzinfo=UTC)
    assert (event.failure, event.media, event.partial) == (None, None, False)
    assert parsed.document == Document(content=b"fasdfdasdaf", content_type="application/pdf")


def test_the_multipart_sample_is_the_same_event_and_its_file_is_kept_byte_for_byte():
    body = (SINCH / "incoming_fax.multipart.bin").read_bytes()
    parsed = parse(body, content_type=META["content_type"])
    assert hashlib.sha256(parsed.document.content).hexdigest() == META["pdf_sha256"]
    assert len(parsed.document.content) == META["pdf_len"]
    assert parsed.document.content_type == "application/pdf"
    as_json = event_of((SINCH / "incoming_fax.json").read_bytes())
    assert (parsed.event.id, parsed.event.type) == (as_json.id, as_json.type)
    assert parsed.event.fields["fax"] == as_json.fields["fax"]


def test_the_completed_sample_is_a_delivered_fax():
    parsed = parse(sample("fax_completed.outbound.derived.json"))
    event = parsed.event
    assert (event.type, event.direction, event.pages) == (EventType.DELIVERED, Direction.SENT, 2)
    assert (event.failure, event.partial) == (None, False)
    assert event.fields["fax"]["labels"] == {"job": "42"}
    assert parsed.document.content == b"%PDF-1.4\n"


@pytest.mark.parametrize("name", ["sinch_inbound_docs_2025.json", "sinch_inbound_docs_2026.json"])
def test_faxbot_s_own_documentation_is_understood(name):
    parsed = parse(sample(name, SAMPLES / "faxbot"))
    assert (parsed.event.type, parsed.event.pages) == (EventType.RECEIVED, 2)
    assert (parsed.event.from_number, parsed.event.to_number) == ("+15551230000", "+15559870000")
    assert parsed.document is None


def test_an_event_and_its_time_are_read_through_one_layer_of_quotes():
    fax = json.dumps(incoming()["fax"])
    quoted = [("event", '"INCOMING_FAX"'), ("eventTime", '"2024-05-14T11:22:05Z"'), ("fax", fax)]
    plain = [("event", "INCOMING_FAX"), ("eventTime", "2024-05-14T11:22:05Z"), ("fax", fax)]
    assert event_of(**multipart(quoted)) == event_of(**multipart(plain))
    assert event_of(**multipart(quoted)).occurred_at == datetime(2024, 5, 14, 11, 22, 5, tzinfo=UTC)


def test_a_fax_that_is_a_text_is_read_in_json_too_quoted_once_more_or_not():
    fax = json.dumps(incoming()["fax"])
    once = event_of({"event": "INCOMING_FAX", "fax": fax})
    twice = event_of(**multipart([("event", "INCOMING_FAX"), ("fax", json.dumps(fax))]))
    assert once == twice == event_of(incoming())


@pytest.mark.parametrize("names", [("id", "from", "to", "num_pages"), ("fax_id", "from_number", "to_number", "pages")])
def test_the_flat_shape_is_read_by_both_sets_of_names_as_json_and_as_a_form(names):
    flat = dict(zip(names, ("abcd-1234", "+15551230000", "+15559870000", 2), strict=True))
    as_json, as_form = (
        event_of(flat),
        event_of(urlencode(flat).encode(), content_type="application/x-www-form-urlencoded"),
    )
    as_parts = event_of(**multipart(flat.items()))
    for event in (as_json, as_form, as_parts):
        assert (event.type, event.fax_id, event.pages) == (EventType.RECEIVED, "abcd-1234", 2)
        assert (event.from_number, event.to_number) == ("+15551230000", "+15559870000")
    assert len({as_json.id, as_form.id, as_parts.id, event_of(sample("faxbot_simplified.json")).id}) == 1


@pytest.mark.parametrize(
    ("status", "event_type"),
    [
        ("received", EventType.RECEIVED),
        ("SUCCESS", EventType.RECEIVED),
        ("Completed", EventType.RECEIVED),
        ("failed", EventType.RECEIVE_FAILED),
        ("FAILURE", EventType.RECEIVE_FAILED),
        ("", EventType.RECEIVED),
        (None, EventType.RECEIVED),
        ("eaten", EventType.UNKNOWN),
    ],
)
def test_a_flat_status_is_read_in_any_case_and_absent_means_received(status, event_type):
    assert event_of({"id": "a", "status": status}).type is event_type


def test_the_flat_default_status_makes_the_same_event_as_the_word():
    assert event_of({"id": "a"}).id == event_of({"id": "a", "status": "Received"}).id


@pytest.mark.parametrize(
    "options",
    [
        {"content": {}},
        {"content": {"from": "+1", "status": "received"}},
        {"content": {"event": "INCOMING_FAX"}},
        {"content": {"event": {"fax": "not json"}}},
        {"content": {"event": "{not json", "id": "F1"}},
        {"content": {"event": "INCOMING_FAX", "fax": {}}},
        {"content": {"event": "INCOMING_FAX", "fax": "not json"}},
        {"content": {"event": "INCOMING_FAX", "fax": "[1]"}},
        {"content": {"event": "INCOMING_FAX", "fax": ["F1"]}},
        {"content": {"fax": {"id": {"deep": 1}}}},
        {"content": {"id": True}},
        {"content": {"id": "x" * 201}},
        {"content": []},
        {"content": b""},
        {"content": b"\xff\xfe\x00"},
        {"content": b'{"id": '},
        {"content": b"--b\r\nbroken", "content_type": "multipart/form-data; boundary=b"},
        {"content": b"whatever", "content_type": "multipart/form-data"},
        {"content": b"id=1&id=2", "content_type": "application/x-www-form-urlencoded"},
        {"content": b"id=1&status=received&status=failed", "content_type": "application/x-www-form-urlencoded"},
        {"content": b"&".join(b"a%d=" % number for number in range(1000)), "content_type": None},
    ],
)
def test_what_names_no_fax_or_two_or_cannot_be_read_is_unreadable(options):
    with pytest.raises(Unreadable) as trouble:
        parse(**options)
    assert not isinstance(trouble.value, Refused)


def test_a_missing_or_wrong_content_type_does_not_matter_once_the_sender_is_known():
    body = json.dumps(incoming()).encode()
    for content_type in (
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "x",
    ):
        assert event_of(body, content_type=content_type).type is EventType.RECEIVED
    form = multipart([("id", "F1")])["content"]
    for content_type in (None, "application/octet-stream", "application/json"):
        assert event_of(form, content_type=content_type).fax_id == "F1"


def test_a_repeated_field_that_decides_nothing_is_kept_as_a_list():
    event = event_of(b"id=1&tag=a&tag=b&tag=a&id=1", content_type="application/x-www-form-urlencoded")
    assert (event.fax_id, event.fields["tag"]) == ("1", ["a", "b", "a"])


def test_nothing_that_was_sent_is_thrown_away():
    content = {**incoming(price={"amount": 0.07}, brandNew=[1, None]), "eventTime": "2024-01-01T00:00:00Z", "extra": 1}
    assert event_of(content).fields == content


@pytest.mark.parametrize(
    "content",
    [
        {"event": {"fax": FAX}, "file": ENCODED},
        {"event": {"fax": FAX, "file": ENCODED, "fileType": "PDF"}},
        {"event": {"event": "INCOMING_FAX", "fax": FAX}, "files": [{"file": ENCODED}]},
        {"event": {"fax": json.dumps(FAX)}, "file": ENCODED},
        {"event": json.dumps({"fax": FAX}), "file": ENCODED},
        {"event": {**FAX, "file": ENCODED}},
        {"event": None, **FAX, "file": ENCODED},
        {"event": "", **FAX, "file": ENCODED},
        {"event": "INCOMING_FAX", **FAX, "file": ENCODED},
        {"event": "incoming_fax", "fax": None, **FAX, "file": ENCODED},
        {"event": "INCOMING_FAX", "fax": [FAX], "file": ENCODED},
        {**FAX, "to": ["+15550100102"], "from": ["+15550100101"], "file": ENCODED},
        {"event": "INCOMING_FAX", "fax": {**FAX, "to": ["+15550100102"]}, "file": ENCODED},
        {"event": "INCOMING_FAX", "fax": {**FAX, "to": [{"phoneNumber": "+15550100102"}]}, "file": ENCODED},
        {"event": "INCOMING_FAX", "fax": {}, **FAX, "file": ENCODED},
        {"event": ["INCOMING_FAX"], "fax": FAX, "file": ENCODED},
        {"event": [{"fax": FAX}], "file": ENCODED},
        {"event": "incoming.fax", "fax": FAX, "file": ENCODED},
        {"event": "IncomingFax", "fax": {**FAX, "id": None, "faxId": "F1"}, "file": ENCODED},
        [{"event": "INCOMING_FAX", "fax": FAX, "file": ENCODED}],
    ],
)
def test_every_shape_that_integrators_saw_is_the_received_fax_with_its_document(content):
    parsed = parse(content)
    event = parsed.event
    assert (event.type, event.fax_id, event.status) == (EventType.RECEIVED, "F1", "COMPLETED")
    assert (event.from_number, event.to_number) == ("+15550100101", "+15550100102")
    assert parsed.document == Document(content=PDF, content_type=parsed.document.content_type)
    assert ENCODED not in json.dumps(event.fields)


def test_of_several_called_numbers_none_is_chosen():
    assert event_of({**FAX, "to": ["+15550100102", "+15550100103"]}).to_number is None


def test_a_sent_fax_in_a_flat_body_with_its_event_is_an_ending():
    event = event_of({"event": "FAX_COMPLETED", "id": "F2", "status": "FAILURE", "errorType": "CALL_ERROR"})
    assert (event.type, event.direction, event.failure.type) == (EventType.FAILED, Direction.SENT, "CALL_ERROR")


@pytest.mark.parametrize("octets", [b"\xef\xbb\xbf" + json.dumps(FAX).encode(), json.dumps(FAX).encode("utf-16")])
def test_a_byte_order_mark_is_no_part_of_json(octets):
    assert event_of(octets).fax_id == event_of(octets, content_type=None).fax_id == "F1"
    form = multipart([("event", "INCOMING_FAX"), ("fax", "\ufeff" + json.dumps(FAX))])
    assert event_of(**form).fax_id == "F1"
