"""Phaxio: its three shapes make the same event, and a contradiction makes none."""

import json
from datetime import UTC, datetime

import pytest
from phaxio_callbacks import (
    DONE,
    by_faxbot,
    digest,
    event_of,
    fax,
    take,
)

from shared.domain import EventType, Media

SHAPES = {
    "json in fax": [("fax", json.dumps(DONE | {"num_pages": 3})), ("success", "true")],
    "bracketed": [
        *((f"fax[{name}]", str(value)) for name, value in (DONE | {"num_pages": 3}).items()),
        ("success", "true"),
    ],
    "flat": [*((name, str(value)) for name, value in (DONE | {"num_pages": 3}).items()), ("success", "true")],
}


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
def test_all_three_shapes_say_the_same_event_with_the_same_fields(fields):
    event = event_of(fields)
    assert (event.fax_id, event.type, event.pages) == ("1", EventType.DELIVERED, 3)
    assert event.occurred_at == datetime.fromtimestamp(1435602496, UTC)
    assert event.id == digest("1", "sent", "fax_completed", "success", "1435602496")
    assert event.fields["success"] == "true"
    assert {name: str(value) for name, value in event.fields["fax"].items() if name != "direction"} == {
        "id": "1",
        "status": "success",
        "completed_at": "1435602496",
        "num_pages": "3",
    }


def test_the_same_completion_in_v1_and_v21_words_is_the_same_event():
    v1 = event_of([("fax", json.dumps({"id": 7, "status": "success", "completed_at": 1441211334}))])
    v21 = event_of(
        [
            ("event_type", "fax_completed"),
            ("fax", json.dumps({"id": "7", "status": "Success", "completed_at": "2015-09-02T11:28:54.000-05:00"})),
        ]
    )
    assert v1.id == v21.id


def test_shapes_that_agree_are_one_and_nothing_of_either_is_lost():
    event = event_of([fax(), ("id", "1"), ("status", "SUCCESS"), ("fax[id]", "1"), ("fax[cost]", "7"), ("extra", "x")])
    assert event.fields["fax"]["cost"] == "7"
    assert event.fields["fax"]["id"] == 1
    assert (event.fields["fax[id]"], event.fields["extra"], event.fields["status"]) == ("1", "x", "SUCCESS")


def test_repeated_names_that_decide_nothing_are_kept_as_a_list():
    event = event_of([fax(), ("fax[tags][]", "a"), ("fax[tags][]", "b"), ("fax[tags][]", "a"), ("success", "true")])
    assert event.fields["fax[tags][]"] == ["a", "b", "a"]


def test_the_aliases_of_faxbot_are_read():
    event = take(
        by_faxbot(
            {"faxId": "a-1", "status": "received", "pages": "4", "from": " 15551230000", "to": "15559870000"},
            target="/phaxio-inbound",
        )
    ).event
    assert (event.fax_id, event.pages, event.from_number, event.to_number) == ("a-1", 4, "+15551230000", "+15559870000")
    assert event.fields["fax"]["from"] == " 15551230000", "what was sent stays as it was sent"


@pytest.mark.parametrize("name", ["file_url", "media_url", "pdf_url"])
def test_media_that_is_only_named_is_named(name):
    assert event_of([fax(**{name: "https://files.example/1"})]).media == Media(url="https://files.example/1")
    assert event_of([fax(), (name, "http://files.example/1")]).media == Media(url="http://files.example/1")
    odd = event_of([fax(**{name: "file:///etc/passwd"})])
    assert odd.media is None
    assert odd.fields["fax"][name] == "file:///etc/passwd"


def test_texts_that_no_database_can_hold_are_cleaned():
    spoiled = r'{"id": 1, "status": "success", "caller_name": "a\u0000b", "tags": {"x\u0000": ["\u0000"]}}'
    event = event_of([("fax", spoiled), ("metadata", "\udcff\0")], query={"job_id": "j\0\udcff"})
    assert event.fields["fax"]["caller_name"] == "a\ufffdb"
    assert event.fields["fax"]["tags"] == {"x\ufffd": ["\ufffd"]}
    assert event.fields["metadata"] == "\ufffd\ufffd"
    assert event.job_id == "j\ufffd\ufffd"
    raw = take(by_faxbot(b'{"id": "\xff1", "caller_name": "\xe9"}')).event
    assert (raw.fax_id, raw.fields["fax"]["caller_name"]) == ("\ufffd1", "\ufffd")
