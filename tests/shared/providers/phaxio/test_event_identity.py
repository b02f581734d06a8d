"""Phaxio: repetitions in any shape are one event, and what differs in what happened is another."""

from phaxio_callbacks import (
    DONE,
    SECRET,
    by_faxbot,
    callback,
    digest,
    event_of,
    fax,
    multipart,
    take,
)

from shared.signatures import sign_body


def page(retry_count=0, **more):
    recipients = [
        {"phone_number": "+14140000000", "retry_count": 9},
        {"number": "+14141234567", "retry_count": retry_count},
    ]
    fields = {"event_type": "transmitting_page", "page": "1", "recipient_phone_number": "+14141234567"} | more
    return [fax(status="inprogress", recipients=recipients), *fields.items()]


def test_a_redials_first_page_is_another_event_than_the_first_calls():
    ids = {event_of(page(redials)).id for redials in (0, 1, 2)} | {event_of(page(page="2")).id}
    assert len(ids) == 4
    assert event_of(page(1)).id == digest("1", "transmitting_page", "+14141234567", "1", "1")
    assert event_of(page(1, recipient_phone_number=" 14141234567", page=" 1 ")).id == event_of(page("1")).id


def test_a_retry_is_identified_by_recipient_and_count():
    def retry(count, number="+14141234567"):
        return event_of(
            [fax(), ("event_type", "retry_scheduled"), ("retry_count", count), ("recipient_phone_number", number)]
        )

    assert retry("1").id == digest("1", "retry_scheduled", "+14141234567", "1")
    assert len({retry("1").id, retry("2").id, retry("1", "+14141234568").id}) == 3
    assert retry("1").to_number == "+14141234567"


def test_an_unfinished_status_is_identified_by_itself_and_completion_by_its_time():
    assert event_of([fax(status="InProgress")]).id == digest("1", "sent", "inprogress")
    assert event_of([fax(completed_at=None)]).id == digest("1", "sent", "fax_completed", "success", "")
    ids = {event_of([fax(completed_at=at)]).id for at in (1, 2, "soon", None)} | {event_of([fax(status="failure")]).id}
    assert len(ids) == 5


def test_an_unknown_event_type_is_identified_by_every_field_but_the_fax():
    def new(*more, cost=0):
        return event_of([fax(cost=cost), ("event_type", "fax_archived"), *more]).id

    assert new(("b", "2"), ("a", " 1")) == digest("1", "fax_archived", "a", "1", "b", "2", "event_type", "fax_archived")
    assert new(("a", "1"), cost=1) == new(("a", "1"), cost=2)
    assert len({new(("a", "1")), new(("a", "2")), new(("a1", "")), new()}) == 4
    listed = take(by_faxbot({"event_type": "x", "fax": {"id": 1}, "a": {"c": 1, "b": [2]}})).event.id
    assert listed == take(by_faxbot({"a": {"b": [2], "c": 1}, "fax": {"id": "1"}, "event_type": "x"})).event.id


def test_repetitions_that_differ_in_bytes_scheme_job_and_time_are_one_event():
    content_type, body = multipart([("event_type", "fax_completed"), fax(cost=8)])
    events = [
        event_of([fax(), ("event_type", "fax_completed")]),
        event_of([("event_type", " FAX_COMPLETED "), fax(cost=7), ("success", "true")], query={"job_id": "x"}),
        take(callback(body, content_type, sign_body(SECRET, body))).event,
        take(by_faxbot({"fax": DONE})).event,
    ]
    assert len({event.id for event in events}) == 1


def test_the_id_takes_its_parts_unambiguously():
    assert event_of([fax(id="1,4:sent")]).id != event_of([fax(id="1")]).id
    ids = {event_of([fax(), ("event_type", "x"), *more]).id for more in ([("ab", "c")], [("a", "bc")], [("abc", "")])}
    assert len(ids) == 3
