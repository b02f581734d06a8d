"""phaxio-v2 and phaxio-v1: the older shapes, and one version's fax in another's."""

import json
from datetime import UTC, datetime

import pytest
from dispatchers import an_event
from format_cases import NOW, SAMPLES, form_of, json_of, render

from dispatcher.formats.phaxio_fax import fax_object, fax_object_v1
from docs.generate.formats import SampleEvent
from shared.domain import Direction, EventType, Failure, Media, Provider

V1 = {
    "id": 13112687,
    "num_pages": 1,
    "cost": 7,
    "direction": "sent",
    "status": "success",
    "is_test": False,
    "requested_at": 1435602418,
    "completed_at": 1435602496,
    "recipients": [
        {
            "number": "+18142341450",
            "status": "success",
            "bitrate": "9600",
            "resolution": "8040",
            "completed_at": 1435602495,
        }
    ],
}


def sample(provider, name):
    return next(each for each in SAMPLES if (each.provider, each.name) == (provider, name))


def of(event):
    return SampleEvent(event.provider, "made", event, None)


def test_version_1_is_read_by_name_in_unix_seconds_and_holds_no_null():
    event = an_event(
        5,
        EventType.FAILED,
        provider=Provider.SINCH,
        to_number="+15550100102",
        occurred_at=datetime(2026, 10, 3, 8, 0, 0, 900_000, tzinfo=UTC),
        failure=Failure(type="CALL_ERROR", code="17", message="Busy"),
    )
    webhook = render("phaxio-v1", of(event))
    error = {"error_type": "lineError", "error_id": 17, "error_code": "Busy"}
    recipient = {"number": "+15550100102", "status": "failure", "completed_at": 1791014400, **error}
    assert json_of(webhook) == {
        "id": 5,
        "direction": "sent",
        "status": "failure",
        "is_test": False,
        "completed_at": 1791014400,
        "to_number": "+15550100102",
        "recipients": [recipient],
        **error,
    }
    form = form_of(webhook)
    del form["fax"]
    assert form == {"success": "false", "is_test": "false", "direction": "sent", "message": "Busy"}


def test_version_2_has_the_newer_fax_beside_the_older_fields():
    webhook = render("phaxio-v2", sample("telnyx", "sent-success"))
    assert set(form_of(webhook)) == {"fax", "success", "is_test", "direction", "message"}
    fax = json_of(webhook)
    assert fax["recipients"][0]["phone_number"] == "+15550100102"
    assert (fax["created_at"], fax["cost"], fax["barcodes"]) == (None, None, [])
    assert fax["completed_at"] == "2026-10-03T08:00:01.234+00:00"
    assert form_of(webhook)["message"] == ""


def test_a_fax_of_version_1_goes_out_in_version_1_as_it_came():
    event = an_event(13112687, fields={"fax": V1, "success": "true"})
    assert fax_object_v1(event) == V1


def test_a_fax_of_version_1_goes_out_in_version_2_under_its_names_and_times():
    fax = fax_object(an_event(13112687, fields={"fax": V1}))
    assert (fax["created_at"], fax["completed_at"]) == (
        "2015-06-29T18:26:58.000+00:00",
        "2015-06-29T18:28:16.000+00:00",
    )
    recipient = fax["recipients"][0]
    assert (recipient["phone_number"], recipient["completed_at"]) == ("+18142341450", "2015-06-29T18:28:15.000+00:00")
    assert not {"requested_at", "number"} & {*fax, *recipient}
    assert (fax["cost"], recipient["bitrate"]) == (7, "9600")


def test_phaxios_own_keys_survive_in_every_version_unknown_ones_too():
    own = {"id": 5, "status": "success", "cost": 14, "tags": {"order": "1"}, "new_key": {"a": [1]}, "error_code": "x"}
    own |= {"error_message": "y", "created_at": "2021-11-04T16:28:30.000-05:00"}
    event = an_event(5, fields={"fax": own, "message": "own message", "metadata": "own", "fax[id]": "6", "many": ["a"]})
    kept = {"cost": 14, "tags": {"order": "1"}, "new_key": {"a": [1]}}
    for name in ("phaxio-v2.1", "phaxio-v2", "phaxio-v1"):
        webhook = render(name, of(event))
        assert {key: json_of(webhook)[key] for key in kept} == kept
        form = form_of(webhook)
        assert (form["message"], form["metadata"]) == ("own message", "own")
        assert not {"fax[id]", "many"} & set(form), "receivers nest the one and cannot verify the other"
    assert json_of(render("phaxio-v2", of(event)))["created_at"] == own["created_at"]
    assert json_of(render("phaxio-v2", of(event)))["error_message"] == "y"
    assert json_of(render("phaxio-v1", of(event)))["requested_at"] == 1636061310


@pytest.mark.parametrize(("name", "has_it"), [("phaxio-v2.1", False), ("phaxio-v2", True), ("phaxio-v1", True)])
def test_metadata_stands_where_the_version_has_it(name, has_it):
    barcodes = [{"type": "Code 128", "metadata": None}, {"type": "PhaxCode", "metadata": "order-7"}]
    event = an_event(5, EventType.RECEIVED, fields={"fax": {"id": 5, "status": "success", "barcodes": barcodes}})
    webhook = render(name, of(event))
    assert (form_of(webhook).get("metadata") == "order-7") is has_it
    assert ("barcodes" in json_of(webhook)) is (name != "phaxio-v1")


@pytest.mark.parametrize("status", ["cancelled", "error", None, 7])
def test_a_word_that_is_not_phaxios_goes_out_as_the_word_that_it_was_read_as(status):
    event = an_event(5, EventType.FAILED, fields={"fax": {"id": 5, "status": status, "direction": "nonsense"}})
    fax = fax_object(event)
    assert (fax["status"], fax["direction"]) == ("failure", "sent")


def test_a_flat_report_of_faxbots_still_names_its_recipient_and_its_id():
    event = an_event(5, to_number="+15550100102", fields={"fax": {"fax_id": "5", "to": "+15550100102"}})
    fax = fax_object(event)
    assert (fax["id"], fax["recipients"][0]["phone_number"]) == (5, "+15550100102")


def test_the_direction_of_a_received_fax_shows_its_caller_only_as_such():
    fax = fax_object(an_event(5, EventType.RECEIVED, provider=Provider.TELNYX, from_number="+1", to_number="+2"))
    assert (fax["from_number"], fax["to_number"], fax["caller_id"], fax["recipients"]) == ("+1", "+2", None, [])
    sent = fax_object(an_event(5, provider=Provider.TELNYX, from_number="+1", to_number="+2"))
    assert (sent["caller_id"], sent["recipients"][0]["phone_number"]) == ("+1", "+2")
    assert sample("phaxio", "received").event.direction is Direction.RECEIVED
    json.dumps(fax)


@pytest.mark.parametrize("name", ["phaxio-v2", "phaxio-v1"])
def test_what_came_with_version_21_is_left_out_of_the_versions_before_it(name):
    fields = {"fax": {"id": 5, "status": "success"}, "event_type": "fax_completed", "page": "2", "retry_count": "1"}
    form = form_of(render(name, of(an_event(5, fields={**fields, "recipient_phone_number": "+1", "other": "kept"}))))
    assert set(form) == {"fax", "success", "is_test", "direction", "message", "other"}


def test_a_fax_on_its_way_is_not_said_to_be_completed():
    fax = fax_object(an_event(5, EventType.PAGE_SENT, provider=Provider.TELNYX, occurred_at=NOW, to_number="+1"))
    assert (fax["status"], fax["completed_at"], fax["recipients"][0]["completed_at"]) == ("inprogress", None, None)


def test_a_type_that_would_end_its_line_is_not_sent():
    media = Media(key="k", sha256="s", bytes=1, content_type="application/pdf\r\nX-Injected: 1")
    event = an_event(5, EventType.RECEIVED, media=media)
    body = render("phaxio-v2.1", SampleEvent("phaxio", "made", event, b"x")).body
    assert b"X-Injected" not in body
    assert b"Content-Type: application/octet-stream\r\n" in body
