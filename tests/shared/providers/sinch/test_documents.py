"""Sinch: a fax's document is found wherever it stands, and what is damaged or contradicts itself is quarantined whole."""

import base64
import json

import pytest
from sinch_callbacks import (
    PDF,
    SAMPLES,
    completed,
    event_of,
    incoming,
    multipart,
    parse,
    sample,
)

from shared.callback import Document, Verified
from shared.domain import EventType, Media
from shared.errors import Unreadable


def test_file_bytes_are_the_same_by_either_encoding():
    as_json = parse({**incoming(), "file": base64.b64encode(PDF).decode(), "fileType": "PDF"})
    as_form = parse(
        **multipart(
            [("event", "INCOMING_FAX"), ("fax", json.dumps(incoming()["fax"]))], [("file", "application/pdf", PDF)]
        )
    )
    assert as_json.document == as_form.document == Document(content=PDF, content_type="application/pdf")
    assert as_json.event.id == as_form.event.id


def test_the_documentation_s_placeholder_of_a_file_stays_with_the_fields():
    assert event_of(sample("sinch_inbound_docs_2026.json", SAMPLES / "faxbot")).fields["file"] == "<base64 PDF>"


@pytest.mark.parametrize(
    "beside",
    [
        {"file": base64.b64encode(PDF).decode(), "fileType": "PDF"},
        {"files": [{"file": base64.b64encode(PDF).decode(), "fileType": "PDF"}]},
        {"files": json.dumps([{"file": base64.b64encode(PDF).decode(), "fileType": "PDF"}])},
        {"file": base64.b64encode(PDF).decode(), "files": [{"file": base64.b64encode(PDF).decode()}]},
        {"file": base64.encodebytes(PDF).decode()},
        {"file": base64.urlsafe_b64encode(PDF).decode().rstrip("=")},
        {"file": "data:application/pdf;base64," + base64.b64encode(PDF).decode()},
        {"file": f'"{base64.b64encode(PDF).decode()}"'},
        {"file": [base64.b64encode(PDF).decode()]},
        {"file": {"content": base64.b64encode(PDF).decode()}},
        {"files": {"file": base64.b64encode(PDF).decode()}},
        {"files": [base64.b64encode(PDF).decode()]},
        {"fileContent": base64.b64encode(PDF).decode()},
        {"fax": {**incoming()["fax"], "file": base64.b64encode(PDF).decode()}},
        {"fax": json.dumps({**incoming()["fax"], "files": [{"file": base64.b64encode(PDF).decode()}]})},
        {"file": {"type": "Buffer", "data": list(PDF)}},
    ],
    ids=[
        *("file", "files", "files as text", "the same twice", "with line ends", "url-safe", "data url", "quoted"),
        *(
            "a list",
            "an object",
            "files as object",
            "files as texts",
            "another name",
            "in the fax",
            "in the fax's text",
        ),
        "a buffer of Node",
    ],
)
def test_base64_is_decoded_wherever_it_stands_and_never_goes_with_the_event(beside):
    parsed = parse({**incoming(), **beside})
    assert parsed.document == Document(content=PDF, content_type="application/pdf")
    assert base64.b64encode(PDF[:24]).decode()[:20] not in json.dumps(parsed.event.fields)
    assert str(list(PDF[:9]))[:-1] not in json.dumps(parsed.event.fields)


@pytest.mark.parametrize("name", ["file", "files", "files[]", "files[0]", "document"])
def test_a_file_part_is_the_document_under_any_name(name):
    form = multipart([("event", "INCOMING_FAX"), ("fax", '{"id": "F1"}')], [(name, "", PDF)])
    assert parse(**form).document == Document(content=PDF, content_type="application/pdf")


@pytest.mark.parametrize(
    ("file_type", "content_type"),
    [
        ("TIF", "image/tiff"),
        ("tif", "image/tiff"),
        ("JPG", "image/jpeg"),
        ("PNG", "image/png"),
        ("TXT", "text/plain"),
        ("HTML", "text/html"),
        ("DOCX", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("PDF", "application/pdf"),
        ("WEBP", "application/octet-stream"),
        (None, "application/octet-stream"),
    ],
)
def test_the_file_type_names_what_the_first_bytes_do_not(file_type, content_type):
    file = base64.b64encode(b"no mark").decode()
    assert parse({**incoming(), "file": file, "fileType": file_type}).document.content_type == content_type
    marked = base64.b64encode(PDF).decode()
    assert parse({**incoming(), "file": marked, "fileType": file_type}).document.content_type == "application/pdf"


@pytest.mark.parametrize(
    "beside", [{}, {"file": ""}, {"file": None}, {"files": []}, {"files": [None, {}, 7]}, {"file": 7}]
)
def test_without_a_file_the_event_goes_out_without_a_document(beside):
    parsed = parse({**incoming(), **beside})
    assert (parsed.event.type, parsed.document, parsed.event.media) == (EventType.RECEIVED, None, None)


def test_an_empty_file_part_is_no_document():
    form = multipart([("event", "INCOMING_FAX"), ("fax", '{"id": "F1"}')], [("file", "application/pdf", b"")])
    assert parse(**form).document is None


def test_a_damaged_document_is_quarantined_whole():
    with pytest.raises(Unreadable, match="base64"):
        parse({**incoming(), "file": "*" * 1025})
    assert event_of({**incoming(), "file": "*" * 1024}).fields["file"] == "*" * 1024


def test_two_different_documents_are_quarantined_because_an_event_carries_one():
    with pytest.raises(Unreadable, match="2 documents"):
        parse({**incoming(), "file": base64.b64encode(b"one").decode(), "files": [{"file": "dHdv"}]})


@pytest.mark.parametrize("name", ["file_url", "media_url"])
def test_a_named_url_is_media_if_its_sender_is_proven_and_plain_data_if_not(name):
    flat = {"id": "a", name: "https://fax.example/a.pdf"}
    assert event_of(flat).media == Media(url="https://fax.example/a.pdf")
    unproven = event_of(flat, verified=Verified(by="sinch-unverified"))
    assert (unproven.media, unproven.fields[name]) == (None, "https://fax.example/a.pdf")
    assert event_of({"id": "a", name: "file:///etc/passwd"}).media is None


def test_a_document_that_came_makes_its_url_needless():
    parsed = parse({"id": "a", "file_url": "https://fax.example/a.pdf", "file": base64.b64encode(PDF).decode()})
    assert (parsed.document.content, parsed.event.media) == (PDF, None)


def test_the_content_url_of_a_received_fax_is_media_and_of_a_sent_one_is_not():
    url = "https://fax.example/a.pdf"
    assert event_of(incoming(contentUrl=url)).media == Media(url=url)
    assert event_of(incoming(contentUrl=[url])).media == Media(url=url)
    assert event_of(incoming(contentUrl=[url, url + "2"])).media is None
    assert event_of(completed(contentUrl=url)).media is None
    assert event_of(completed(contentUrl=url)).fields["fax"]["contentUrl"] == url
