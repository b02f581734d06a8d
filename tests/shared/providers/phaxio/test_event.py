"""Phaxio: its words, errors, numbers and times become the event's."""

from datetime import UTC, datetime

import pytest
from phaxio_callbacks import (
    by_phaxio,
    event_of,
    fax,
    take,
)

from shared.callback import Document
from shared.domain import Direction, EventType, Failure, Phase


@pytest.mark.parametrize(
    ("status", "sent", "received"),
    [
        ("queued", EventType.QUEUED, EventType.QUEUED),
        ("pendingbatch", EventType.QUEUED, EventType.QUEUED),
        ("inprogress", EventType.SENDING, EventType.RECEIVING),
        ("in_progress", EventType.SENDING, EventType.RECEIVING),
        ("sending", EventType.SENDING, EventType.RECEIVING),
        ("success", EventType.DELIVERED, EventType.RECEIVED),
        (" Success ", EventType.DELIVERED, EventType.RECEIVED),
        ("partialsuccess", EventType.PARTIALLY_DELIVERED, EventType.RECEIVED),
        ("failure", EventType.FAILED, EventType.RECEIVE_FAILED),
        ("error", EventType.FAILED, EventType.RECEIVE_FAILED),
        ("cancelled", EventType.FAILED, EventType.RECEIVE_FAILED),
        ("received", EventType.UNKNOWN, EventType.RECEIVED),
        ("melting", EventType.UNKNOWN, EventType.UNKNOWN),
    ],
)
def test_a_status_means_what_the_table_says(status, sent, received):
    for direction, wanted in (("sent", sent), ("received", received)):
        event = event_of([fax(status=status, direction=direction)])
        assert event.type is wanted
        assert event.status == status.strip()
        assert event.partial is (status == "partialsuccess" and direction == "received")
        if wanted is not EventType.UNKNOWN:
            assert event_of([fax(status=status, direction=direction), ("event_type", "fax_completed")]).type is wanted


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ([fax(status="melted"), ("success", "true")], EventType.DELIVERED),
        ([fax(status="melted"), ("success", "false")], EventType.FAILED),
        ([fax(status=None), ("success", "false")], EventType.FAILED),
        ([fax(status="melted", error_id=17)], EventType.FAILED),
        ([fax(status="melted", direction="received", file_url="https://a.example/")], EventType.RECEIVED),
    ],
)
def test_a_completed_fax_of_unknown_status_ends_as_something_else_says(fields, wanted):
    event = event_of([*fields, ("event_type", "fax_completed")])
    assert event.type is wanted
    assert event.phase is Phase.POSTFLIGHT


def test_without_event_type_an_unknown_status_is_inflight_and_a_missing_one_left_to_success():
    assert event_of([fax(status="melted"), ("success", "true")]).type is EventType.UNKNOWN
    assert event_of([fax(status=None), ("success", "true")]).type is EventType.DELIVERED
    assert event_of([fax(status=None)]).type is EventType.UNKNOWN


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Transmitting_Page", EventType.PAGE_SENT),
        ("retry_scheduled", EventType.RETRY_SCHEDULED),
        ("new", EventType.UNKNOWN),
    ],
)
def test_an_event_type_names_what_is_inflight_whatever_the_status(name, wanted):
    event = event_of([fax(status="success"), ("event_type", name)])
    assert (event.type, event.phase, event.occurred_at) == (wanted, Phase.INFLIGHT, None)
    assert event.fields["event_type"] == name


@pytest.mark.parametrize(
    ("field", "own", "route", "wanted"),
    [
        ("received", "sent", "/phaxio-callback", Direction.RECEIVED),
        ("SENT", "received", "/phaxio-inbound", Direction.SENT),
        (None, "received", "/phaxio-callback", Direction.RECEIVED),
        ("sideways", "sent", "/phaxio-inbound", Direction.SENT),
        (None, None, "/phaxio-callback", Direction.SENT),
        (None, None, "/phaxio-inbound", Direction.RECEIVED),
    ],
)
def test_the_direction_is_the_fields_else_the_faxs_else_the_routes(field, own, route, wanted):
    fields = [fax(direction=own), *([("direction", field)] if field else [])]
    assert event_of(fields, target=route).direction is wanted


def test_a_received_fax_without_or_with_an_empty_file_has_no_document():
    failed = fax(direction="received", status="failure", error_type="faxError", error_id="12")
    for files in ((), [("file", b"")]):
        parsed = take(by_phaxio([failed], files))
        assert parsed.document is None
        assert parsed.event.type is EventType.RECEIVE_FAILED


@pytest.mark.parametrize("names", [["file"], ["filename"], ["whatever"], ["other", "file"], ["filename", "other"]])
def test_the_document_is_the_part_named_for_it_or_the_only_one(names):
    files = [(name, b"x" if name == "other" else b"%PDF-1") for name in names]
    assert take(by_phaxio([fax(direction="received")], files)).document.content == b"%PDF-1"


@pytest.mark.parametrize(
    ("content", "sent", "wanted"),
    [
        (b"%PDF-1.4", "text/html", "application/pdf"),
        (b"II*\0", "text/html", "image/tiff"),
        (b"other", "image/png", "image/png"),
        (b"other", "nonsense", "application/pdf"),
    ],
)
def test_the_documents_type_is_told_by_its_signed_bytes_first(content, sent, wanted):
    parsed = take(by_phaxio([fax()], [("file", content, "f", sent)]))
    assert parsed.document == Document(content=content, content_type=wanted)


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"error_type": "lineError", "error_id": 17, "error_message": "Busy"}, ("lineError", "17", "Busy", False)),
        ({"error_type": "lineError", "error_id": "34"}, ("lineError", "34", None, True)),
        ({"error_type": "faxError", "error_id": 133}, ("faxError", "133", None, True)),
        ({"error_type": "faxError", "error_id": 131}, ("faxError", "131", None, False)),
        ({"error_type": "documentConversionError", "error_id": 133}, ("documentConversionError", "133", None, True)),
        ({"error_type": "documentConversionError", "error_id": 57}, ("documentConversionError", "57", None, False)),
        ({"error_type": "fatalError", "error_id": 3}, ("fatalError", "3", None, None)),
        ({"error_type": "my own", "error_code": "v1's text"}, ("my own", None, "v1's text", None)),
        ({"error_id": 34}, (None, "34", None, None)),
    ],
)
def test_a_failure_is_told_in_phaxios_words_and_judged_by_type_and_id_together(keys, wanted):
    failure = event_of([fax(status="failure", **keys)]).failure
    assert (failure.type, failure.code, failure.message, failure.permanent) == wanted
    assert event_of([fax(status="success", **keys)]).failure is None


def test_a_failure_without_words_is_told_by_most_recipients_then_by_v1s_message_else_not_at_all():
    busy = {"status": "failure", "error_type": "lineError", "error_id": 17, "error_message": "Busy"}
    gone = {"status": "failure", "error_type": "lineError", "error_id": 73}
    event = event_of([fax(status="failure", recipients=[gone, busy, busy, {"status": "success"}])])
    assert event.failure == Failure(type="lineError", code="17", message="Busy", permanent=False)
    assert event_of([fax(status="failure"), ("message", "No answer")]).failure == Failure(message="No answer")
    assert event_of([fax(status="failure"), ("message", "")]).failure is None


def test_two_recipients_with_different_outcomes_are_a_partial_delivery_to_no_one_in_particular():
    recipients = [
        {"phone_number": "+14141234567", "status": "success"},
        {"phone_number": "+14141234568", "status": "failure", "error_type": "lineError", "error_id": 50},
    ]
    event = event_of([fax(status="partialsuccess", recipients=recipients, to_number=None)])
    assert (event.type, event.to_number, event.partial) == (EventType.PARTIALLY_DELIVERED, None, False)
    assert event.failure == Failure(type="lineError", code="50", permanent=True)
    assert event.fields["fax"]["recipients"] == recipients


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("+16504888494", "+16504888494"),
        (" 16504888494", "+16504888494"),
        ("16504888494", "+16504888494"),
        (16504888494, "+16504888494"),
        ("6504888494", "+16504888494"),
        (" 4722334455", "+4722334455"),
        ("+1 (650) 488-8494", "+16504888494"),
        ("321", "321"),
        ("0041441234567", "0041441234567"),
        ("sip:fax@example.com", "sip:fax@example.com"),
        ("anonymous", "anonymous"),
        ("١٢٣٤٥٦٧٨٩٠١", "١٢٣٤٥٦٧٨٩٠١"),
        ("+", "+"),
        ("1" * 16, "1" * 16),
        ("", None),
        (None, None),
        ([1], None),
        (True, None),
    ],
)
def test_numbers_come_out_in_e164_and_what_is_no_number_as_it_is(sent, read):
    event = event_of([fax(direction="received", from_number=sent)])
    assert event.from_number == read
    assert event.fields["fax"]["from_number"] == sent


def test_a_sent_fax_comes_from_its_caller_id_only_if_that_is_a_number():
    assert event_of([fax(caller_id="8088675309")]).from_number == "+18088675309"
    assert event_of([fax(caller_id="Caller")]).from_number is None
    assert event_of([fax(caller_id="+18088675309", from_number="+1650")]).from_number == "+1650"
    assert event_of([fax(caller_id="+18088675309", direction="received")]).from_number is None


@pytest.mark.parametrize("completed_at", [None, "", "<ISO>", "2015-09-02T11:28:54", 10**20, -1e300, [1], True])
def test_a_time_that_cannot_be_read_costs_nothing_but_the_time(completed_at):
    event = event_of([fax(completed_at=completed_at)])
    assert event.occurred_at is None
    assert event.type is EventType.DELIVERED


@pytest.mark.parametrize("pages", ["abc", -1, 2.5, 2**31, 10**12, None, True, ["1"]])
def test_pages_that_are_no_count_cost_nothing_but_the_count(pages):
    event = event_of([fax(num_pages=pages)])
    assert event.pages is None
    assert event.fields["fax"]["num_pages"] == pages


def test_no_pages_are_zero_pages_and_not_unknown():
    assert event_of([fax(num_pages=0, pages=7)]).pages == 0


@pytest.mark.parametrize(
    ("field", "own", "wanted"), [("true", False, True), ("0", True, False), (None, True, True), (None, None, False)]
)
def test_a_test_fax_is_one_if_the_callback_says_so_else_the_fax(field, own, wanted):
    assert event_of([fax(is_test=own), *([("is_test", field)] if field else [])]).is_test is wanted


def test_a_queued_fax_happened_when_it_was_created():
    created = event_of(
        [fax(status="queued", completed_at=None, created_at="2021-11-04T16:28:30.000-05:00")]
    ).occurred_at
    requested = event_of([fax(status="queued", completed_at=None, requested_at="1636061310")]).occurred_at
    assert created == requested == datetime(2021, 11, 4, 21, 28, 30, tzinfo=UTC)


def test_job_id_comes_from_the_query_and_identifies_nothing():
    with_job = event_of([fax()], target="/phaxio-callback?job_id=j1", query={"job_id": " j1 "})
    without = event_of([fax()])
    assert (with_job.job_id, without.job_id) == ("j1", None)
    assert with_job.id == without.id
    assert event_of([fax()], query={"job_id": "j" * 201}).job_id is None, "too long for any"


def test_a_completed_fax_whose_unknown_status_is_all_that_is_said_failed_by_that_word():
    for direction, wanted in (("sent", EventType.FAILED), ("received", EventType.RECEIVE_FAILED)):
        event = event_of([fax(status="Melted", direction=direction), ("event_type", "fax_completed")])
        assert (event.type, event.phase) == (wanted, Phase.POSTFLIGHT)
        assert event.failure == Failure(type="Melted")
    recipients = [{"phone_number": "+15550100102", "status": "success"}]
    told = event_of([fax(status="melted", recipients=recipients), ("event_type", "fax_completed")])
    assert told.type is EventType.DELIVERED


@pytest.mark.parametrize("name", ["file", "filename"])
def test_a_document_that_phaxio_signs_as_a_field_is_no_field_of_the_event(name):
    pdf = b"%PDF-1.4\n\xff\xfe\x00 bytes"
    sent = by_phaxio([fax(direction="received"), (name, pdf.decode("utf-8", "surrogateescape"))])
    parsed = take(sent)
    assert parsed.document == Document(content=pdf, content_type="application/pdf")
    assert name not in parsed.event.fields
    assert take(by_phaxio([fax(), (name, "fax.pdf")])).event.fields[name] == "fax.pdf"
