"""Phaxio: every sample is the right event."""

import doctest
import hashlib
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from phaxio_callbacks import (
    BODY,
    FAXBOT,
    NOW,
    OBJECTS,
    OWN,
    URLENCODED,
    by_faxbot,
    callback,
    digest,
    event_of,
    multipart,
    take,
    wire,
)

import shared.providers.common
import shared.providers.phaxio.errors
from shared.callback import Document
from shared.domain import Direction, EventType, Failure, Media, Phase, Provider
from shared.errors import Unreadable
from shared.providers.phaxio.adapter import PhaxioAdapter
from shared.signatures import sign_phaxio


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(shared.providers.common).failed == 0
    assert doctest.testmod(shared.providers.phaxio.errors).failed == 0


def test_v21_sent_and_completed():
    event = take(wire("v21_sent_fax_completed"), OWN).event
    assert (event.provider, event.type, event.phase) == (Provider.PHAXIO, EventType.DELIVERED, Phase.POSTFLIGHT)
    assert (event.direction, event.fax_id, event.status, event.pages) == (Direction.SENT, "123456", "success", 3)
    assert event.occurred_at == datetime(2015, 9, 2, 16, 28, 54, tzinfo=UTC)
    assert event.received_at == NOW
    assert (event.from_number, event.to_number) == ("+18088675309", "+14141234567")
    assert event.is_test
    assert event.failure is None
    assert event.fields["event_type"] == "fax_completed"
    assert event.fields["fax"]["cost"] == 21
    assert event.fields["fax"]["tags"] == {"order_id": "1234"}
    assert event.id == digest("123456", "sent", "fax_completed", "success", "1441211334")


def test_v21_sent_and_failed():
    event = take(wire("v21_sent_failure"), OWN).event
    assert event.type is EventType.FAILED
    assert event.failure == Failure(type="lineError", code="17", message="Busy", permanent=False)


def test_v21_page_on_the_way():
    event = take(wire("v21_inflight_transmitting_page"), OWN).event
    assert (event.type, event.phase) == (EventType.PAGE_SENT, Phase.INFLIGHT)
    assert (event.to_number, event.status, event.occurred_at) == ("+14141234567", "inprogress", None)
    assert event.fields["page"] == "2"
    assert event.id == digest("123456", "transmitting_page", "+14141234567", "2", "0")


def test_v21_received_with_its_document():
    parsed = take(wire("v21_received_with_file"), OWN)
    event = parsed.event
    assert (event.type, event.direction) == (EventType.RECEIVED, Direction.RECEIVED)
    assert (event.from_number, event.to_number) == ("+16504888494", "+13142666714")
    assert event.fields["fax"]["caller_name"] == "Zoë & Søn"
    assert event.media is None
    assert parsed.document.content_type == "application/pdf"
    assert len(parsed.document.content) == 7472
    assert (
        hashlib.sha1(parsed.document.content, usedforsecurity=False).hexdigest()
        == "1a8ec2e4a8891a365c46f2670d759f6e52a38167"
    )


def test_v1_sent_with_texts_where_numbers_are_expected():
    event = take(wire("v1_sent"), OWN).event
    assert (event.type, event.fax_id, event.pages) == (EventType.DELIVERED, "13112687", 1)
    assert event.occurred_at == datetime.fromtimestamp(1435602496, UTC)
    assert event.to_number == "+18142341450"
    assert event.fields["message"] == ""
    assert event.fields["fax"]["recipients"][0]["bitrate"] == "9600"


@pytest.mark.parametrize(
    ("sample", "number", "occurred_at"),
    [
        ("v1_callback_fax.java_example", "+14141234567", 1441211334),
        ("v1_fax_sent.real", "+18142341450", 1435602496),
        ("v1_fax_status_success.nerab", "+14141234567", 1293911100),
        ("v21_get_fax_real_api_response.ruby_cassette", "+15558675309", 1636061310),
        ("v2_fax_info.dotnet", "+14141234567", 1441211334),
        ("v2_fax_info.java", "+14141234567", 1441211334),
        ("v2_fax_extra_fields.java", "+14141234567", 1441211334),
    ],
)
def test_each_captured_fax_object_is_read_in_a_callback_and_kept_whole(sample, number, occurred_at):
    content = json.loads((OBJECTS / f"{sample}.json").read_text())
    content = content.get("data", content)
    event = event_of([("fax", json.dumps(content))])
    assert (event.fax_id, event.to_number, event.pages) == (str(content["id"]), number, content["num_pages"])
    assert event.occurred_at == datetime.fromtimestamp(occurred_at, UTC)
    assert event.fields["fax"] == content
    assert event.type is (EventType.DELIVERED if content["status"] == "success" else EventType.QUEUED)


def test_each_form_of_faxbots_tests_is_read():
    for name in ("phaxio_callback_form", "phaxio_callback_form_autotunnel"):
        said = json.loads((FAXBOT / f"{name}.json").read_text())
        body = urlencode(said["fields"]).encode()
        query = {"job_id": "test_job_123"}
        event = take(by_faxbot(body, URLENCODED, target=said["endpoint"].split()[1], query=query), BODY).event
        assert (event.fax_id, event.pages, event.to_number) == (said["fields"]["fax[id]"], 2, "+15551234567")
        assert event.job_id == "test_job_123"
        assert event.type is EventType.DELIVERED
        assert event.fields["fax"].get("cost") == said["fields"].get("fax[cost]")
        assert event.from_number == said["fields"].get("fax[from]")


def test_the_forms_and_json_of_faxbots_documentation_are_read():
    event = take(by_faxbot((FAXBOT / "phaxio_callback_form_docs.txt").read_bytes().strip(), URLENCODED)).event
    assert (event.fax_id, event.status, event.pages) == ("123456", "success", 2)
    body = (FAXBOT / "phaxio_inbound_docs_json.json").read_bytes()
    event = take(by_faxbot(body, target="/phaxio-inbound")).event
    assert (event.fax_id, event.type, event.pages) == ("98765", EventType.RECEIVED, 3)
    assert (event.from_number, event.to_number) == ("+15551230000", "+15559870000")
    assert event.media == Media(url="https://files.phaxio.com/...")
    event = take(by_faxbot((FAXBOT / "phaxio_sample_payload_console.json").read_bytes())).event
    assert (event.type, event.to_number) == (EventType.RECEIVED, "+15551234567"), "what it says goes before the route"
    assert event.occurred_at is None, "<ISO> is no time"


def test_the_inbound_fields_of_faxbot_2026_verify_with_its_token_and_url():
    said = json.loads((FAXBOT / "phaxio_inbound_2026_test_fields.json").read_text())
    adapter = PhaxioAdapter(callback_tokens=[said["token"]], api_secrets=[], public_url="https://testserver")
    fields = [tuple(pair) for pair in said["fields"]]
    content_type, body = multipart(fields, [("file", b"%PDF-1.4")])
    signature = sign_phaxio(said["token"], said["url"], fields, [("file", b"%PDF-1.4")])
    parsed = take(callback(body, content_type, signature, target="/phaxio-inbound"), adapter)
    assert (parsed.event.fax_id, parsed.event.to_number) == ("9001", "+15555550123")
    assert parsed.document == Document(content=b"%PDF-1.4", content_type="application/pdf")


CASES_2026 = json.loads((FAXBOT / "phaxio_callback_2026_test_cases.json").read_text())


@pytest.mark.parametrize("fields", CASES_2026["accepted_shapes"])
def test_each_shape_that_faxbot_2026_accepts_is_accepted(fields):
    event = event_of([tuple(pair) for pair in fields])
    assert event.fax_id in ("remote-one", "123")
    assert event.type is EventType.DELIVERED


@pytest.mark.parametrize("fields", CASES_2026["refused_shapes"])
def test_each_shape_that_faxbot_2026_refuses_is_unreadable(fields):
    with pytest.raises(Unreadable, match="different faxes"):
        event_of([tuple(pair) for pair in fields])
