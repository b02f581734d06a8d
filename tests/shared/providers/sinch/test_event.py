"""Sinch: event, direction and status decide what happened, and repetitions are one event."""

import json
from datetime import UTC, datetime

import pytest
from sinch_callbacks import CODES, PDF, completed, event_of, incoming, multipart

from shared.domain import EventType, Failure, Phase

# ---- what an event means ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "direction", "status", "event_type"),
    [
        ("INCOMING_FAX", "INBOUND", "COMPLETED", EventType.RECEIVED),
        ("INCOMING_FAX", "INBOUND", "FAILURE", EventType.RECEIVE_FAILED),
        ("FAX_COMPLETED", "OUTBOUND", "COMPLETED", EventType.DELIVERED),
        ("FAX_COMPLETED", "OUTBOUND", "FAILURE", EventType.FAILED),
        ("fax_completed", "outbound", "failure", EventType.FAILED),
        # The direction decides what kind of fax it was, not the event's name.
        ("FAX_COMPLETED", "INBOUND", "COMPLETED", EventType.RECEIVED),
        ("INCOMING_FAX", "OUTBOUND", "FAILURE", EventType.FAILED),
        ("INCOMING_FAX", "outbound", "FAILURE", EventType.FAILED),
        # Without a direction the name does.
        ("INCOMING_FAX", None, "COMPLETED", EventType.RECEIVED),
        ("FAX_COMPLETED", None, "COMPLETED", EventType.DELIVERED),
        # Without a name the direction does, and without both the route.
        (None, "OUTBOUND", "COMPLETED", EventType.DELIVERED),
        (None, "INBOUND", "FAILURE", EventType.RECEIVE_FAILED),
        (None, None, "COMPLETED", EventType.RECEIVED),
        # Without an event's name, a fax is not declared finished that says it is not.
        (None, "OUTBOUND", "QUEUED", EventType.QUEUED),
        (None, "OUTBOUND", "IN_PROGRESS", EventType.SENDING),
        (None, "INBOUND", "IN_PROGRESS", EventType.RECEIVING),
        # An ending stays one, whatever its status says.
        ("FAX_COMPLETED", "OUTBOUND", "QUEUED", EventType.FAILED),
        ("FAX_COMPLETED", "OUTBOUND", "IN_PROGRESS", EventType.FAILED),
        ("INCOMING_FAX", "INBOUND", "IN_PROGRESS", EventType.RECEIVE_FAILED),
        ("FAX_COMPLETED", "OUTBOUND", "ABDUCTED", EventType.FAILED),
        ("FAX_COMPLETED", "OUTBOUND", "PENDING", EventType.FAILED),
        ("FAX_COMPLETED", None, "EXPIRED", EventType.FAILED),
        ("INCOMING_FAX", "INBOUND", "ABDUCTED", EventType.RECEIVE_FAILED),
        ("FAX_COMPLETED", "OUTBOUND", "DELIVERED", EventType.DELIVERED),
        ("FAX_COMPLETED", "OUTBOUND", "null", EventType.DELIVERED),
        (None, "OUTBOUND", "ABDUCTED", EventType.UNKNOWN),
        # Unknown events are kept and shown, and decide nothing.
        ("FAX_TELEPORTED", "OUTBOUND", "COMPLETED", EventType.UNKNOWN),
        # Everything but the id is optional in practice.
        ("INCOMING_FAX", None, None, EventType.RECEIVED),
        ("FAX_COMPLETED", None, None, EventType.DELIVERED),
    ],
)
def test_event_direction_and_status_together_tell_what_happened(event, direction, status, event_type):
    content = {"event": event, "fax": {"id": "F1", "direction": direction, "status": status}}
    assert event_of(content).type is event_type
    assert event_of(content).phase is event_type.phase


@pytest.mark.parametrize("status", ["IN_PROGRESS", "QUEUED", "PENDING"])
def test_a_completed_fax_whose_status_is_no_ending_is_judged_by_what_arrived(status):
    whole = event_of(completed(status=status, numberOfPages=3, pagesSentSuccessfully=3))
    assert (whole.type, whole.failure) == (EventType.DELIVERED, None)
    cut = event_of(completed(status=status, numberOfPages=3, pagesSentSuccessfully=2))
    assert cut.type is EventType.FAILED
    assert cut.failure is not None
    assert cut.failure.type == status
    assert cut.partial
    assert event_of(incoming(status=status, numberOfPages=1)).type is EventType.RECEIVED


def test_a_fax_that_was_completed_at_a_time_is_finished_without_an_event_s_name_too():
    fax = {"id": "F1", "direction": "OUTBOUND", "status": "EXPIRED", "completedTime": "2025-01-01T00:00:00Z"}
    event = event_of({"event": {"fax": fax}})
    assert (event.type, event.failure and event.failure.type) == (EventType.FAILED, "EXPIRED")
    assert event_of({"event": {"fax": {**fax, "completedTime": None}}}).type is EventType.UNKNOWN


def test_an_error_without_a_status_that_is_known_is_a_failure():
    assert event_of(completed(status=None, errorType="CALL_ERROR", errorCode=17)).type is EventType.FAILED
    assert event_of(incoming(status="HUH", errorMessage="noise")).type is EventType.RECEIVE_FAILED


@pytest.mark.parametrize(
    ("pages", "sent", "status", "partial"),
    [
        (3, 1, "FAILURE", True),
        ("3", "2", "FAILURE", True),
        (3, 0, "FAILURE", False),
        (3, 3, "FAILURE", False),
        (3, None, "FAILURE", False),
        (None, 1, "FAILURE", False),
        (3, 1, "COMPLETED", False),
    ],
)
def test_a_sent_fax_that_failed_with_some_of_its_pages_through_is_failed_and_partial(pages, sent, status, partial):
    event = event_of(completed(numberOfPages=pages, pagesSentSuccessfully=sent, status=status))
    assert event.partial is partial
    assert event.type is (EventType.FAILED if status == "FAILURE" else EventType.DELIVERED)


PERMANENT = {
    *(("CALL_ERROR", code) for code in ("32", "34", "49")),
    *(("DOCUMENT_CONVERSION_ERROR", code) for code in ("4", "55", "122", "128", "129", "130", "133")),
    *(("FAX_ERROR", code) for code in ("46", "75", "133")),
}


def test_the_documented_errors_are_10_and_10_and_39():
    assert [len(CODES[name]) for name in ("CALL_ERROR", "DOCUMENT_CONVERSION_ERROR", "FAX_ERROR")] == [10, 10, 39]


@pytest.mark.parametrize(
    ("error_type", "code", "message"),
    [(error_type, code, message) for error_type, codes in CODES.items() for code, message in codes.items()],
)
def test_every_documented_error_is_kept_and_its_permanence_known_by_type_and_code(error_type, code, message):
    fax = {"status": "FAILURE", "errorType": error_type, "errorCode": int(code), "errorMessage": message}
    permanent = None if (error_type, code) == ("DOCUMENT_CONVERSION_ERROR", "54") else (error_type, code) in PERMANENT
    failure = event_of(completed(**fax)).failure
    assert failure == Failure(type=error_type, code=code, message=message, permanent=permanent)
    assert event_of(completed(**{**fax, "errorCode": code})).failure == failure


@pytest.mark.parametrize(
    ("fax", "failure"),
    [
        ({"errorType": "CALL_ERROR", "errorId": 17}, Failure(type="CALL_ERROR", code="17", permanent=False)),
        (
            {"errorType": "CALL_ERROR", "errorId": 34, "errorCode": "NOT_OPERATIONAL"},
            Failure(type="CALL_ERROR", code="34", message="NOT_OPERATIONAL", permanent=True),
        ),
        (
            {"errorType": "CALL_ERROR", "errorId": 34, "errorCode": "17"},
            Failure(type="CALL_ERROR", code="17", permanent=False),
        ),
        ({"errorCode": "NO_ANSWER"}, Failure(code="NO_ANSWER")),
        ({"errorType": "FATAL_ERROR", "errorCode": 1}, Failure(type="FATAL_ERROR", code="1")),
        ({"errorType": "line_error", "errorCode": 17}, Failure(type="line_error", code="17", permanent=False)),
        ({"errorCode": None, "errorType": None}, None),
        ({}, None),
        ({"errorCode": [17], "errorType": {}}, None),
    ],
)
def test_older_and_odd_errors_are_kept_without_inventing(fax, failure):
    assert event_of(completed(status="FAILURE", **fax)).failure == failure


def test_an_error_beside_success_is_no_failure():
    assert event_of(completed(errorType="FAX_ERROR", errorCode=79)).failure is None


def test_the_end_of_the_fax_is_its_time_and_the_callback_s_only_where_that_lacks():
    both = {**incoming(completedTime="2026-10-03T14:00:00Z"), "eventTime": "2026-10-03T14:00:01Z"}
    assert event_of(both).occurred_at == datetime(2026, 10, 3, 14, tzinfo=UTC)
    assert event_of({**incoming(), "eventTime": "2026-10-03T14:00:01Z"}).occurred_at.second == 1
    assert event_of(incoming()).occurred_at is None


def test_numbers_come_out_in_e164():
    event = event_of(incoming(**{"from": " 14155552222", "to": "sip:fax@example.com"}))
    assert (event.from_number, event.to_number) == ("+14155552222", "sip:fax@example.com")


def test_the_job_id_is_passed_on_and_no_part_of_the_event_s_id():
    with_job, without = event_of(completed(), query={"job_id": "job-7"}), event_of(completed())
    assert (with_job.job_id, without.job_id) == ("job-7", None)
    assert with_job.id == without.id


# ---- one event, one id -----------------------------------------------------------------------------------------------


def test_repetitions_in_any_encoding_with_any_time_and_file_are_one_event():
    fax = incoming(numberOfPages=2)["fax"]
    variants = [
        event_of({"event": "INCOMING_FAX", "eventTime": "2024-01-01T00:00:00Z", "fax": fax}),
        event_of({"fax": fax, "eventTime": "2024-01-02T00:00:00Z", "event": "INCOMING_FAX", "file": "JVBERi0="}),
        event_of({"event": "incoming_fax ", "fax": {**fax, "status": "completed", "numberOfPages": 3}}),
        event_of(
            **multipart([("fax", json.dumps(fax)), ("event", '"INCOMING_FAX"')], [("file", "application/pdf", PDF)])
        ),
        event_of({"event": "INCOMING_FAX", "fax": json.dumps(fax)}, content_type="text/plain"),
    ]
    assert len({event.id for event in variants}) == 1
    assert variants[0].id.startswith("sinch:")


def test_another_fax_status_or_event_is_another_event():
    ids = [
        event_of(content).id
        for content in (
            incoming(),
            incoming(id="F2"),
            incoming(status="FAILURE"),
            {"event": "FAX_COMPLETED", "fax": incoming()["fax"]},
        )
    ]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("content", "event_type", "failure_type", "partial"),
    [
        (completed(status="EXPIRED"), EventType.FAILED, "EXPIRED", False),
        (completed(status=" pending "), EventType.FAILED, "PENDING", False),
        (completed(status="EXPIRED", numberOfPages=3, pagesSentSuccessfully=0), EventType.FAILED, "EXPIRED", False),
        (completed(status="EXPIRED", numberOfPages=3, pagesSentSuccessfully=2), EventType.FAILED, "EXPIRED", True),
        (completed(status="ALL_DONE", numberOfPages=3, pagesSentSuccessfully=3), EventType.DELIVERED, None, False),
        (completed(status="ALL_DONE", pagesSentSuccessfully=1), EventType.DELIVERED, None, False),
        (completed(status="EXPIRED", errorType="CALL_ERROR", errorCode=17), EventType.FAILED, "CALL_ERROR", False),
        (incoming(status="LOST"), EventType.RECEIVE_FAILED, "LOST", False),
        (incoming(status="STORED", numberOfPages=2), EventType.RECEIVED, None, False),
        (incoming(status="STORED") | {"file": "JVBERi0xLjQ="}, EventType.RECEIVED, None, False),
    ],
)
def test_an_ending_with_a_status_that_we_do_not_know_is_an_ending(content, event_type, failure_type, partial):
    event = event_of(content)
    assert (event.type, event.phase, event.partial) == (event_type, Phase.POSTFLIGHT, partial)
    assert (event.failure.type if event.failure else None) == failure_type
