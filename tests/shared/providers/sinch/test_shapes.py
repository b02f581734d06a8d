"""Sinch: its own shapes and Faxbot's flat one are read, and the rest is unreadable."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from sinch_callbacks import META, PDF, SAMPLES, SINCH, completed, event_of, incoming, multipart, parse, sample

from shared.callback import Document, Verified
from shared.domain import Direction, EventType, Media, Phase
from shared.errors import Refused, Unreadable

# ---- the shapes ------------------------------------------------------------------------------------------------------


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


def test_file_bytes_are_the_same_by_either_encoding():
    as_json = parse({**incoming(), "file": base64.b64encode(PDF).decode(), "fileType": "PDF"})
    as_form = parse(
        **multipart(
            [("event", "INCOMING_FAX"), ("fax", json.dumps(incoming()["fax"]))], [("file", "application/pdf", PDF)]
        )
    )
    assert as_json.document == as_form.document == Document(content=PDF, content_type="application/pdf")
    assert as_json.event.id == as_form.event.id


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


def test_the_documentation_s_placeholder_of_a_file_stays_with_the_fields():
    assert event_of(sample("sinch_inbound_docs_2026.json", SAMPLES / "faxbot")).fields["file"] == "<base64 PDF>"


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


# ---- Faxbot's flat shape ---------------------------------------------------------------------------------------------


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


# ---- what cannot be read ---------------------------------------------------------------------------------------------


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


# ---- shapes seen by integrators --------------------------------------------------------------------------------------

FAX = {"id": "F1", "direction": "INBOUND", "status": "COMPLETED", "from": "+15550100101", "to": "+15550100102"}
ENCODED = base64.b64encode(PDF).decode()


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


BRACKETED = {"event": "INCOMING_FAX", "fax[price][amount]": "0.07"} | {
    f"fax[{name}]": text for name, text in FAX.items()
}


@pytest.mark.parametrize("more", [{}, {"fax": ""}, {"fax": json.dumps({"id": "F1", "numberOfPages": 3})}])
def test_a_form_with_bracketed_names_is_the_same_event_as_json(more):
    as_json = event_of({"event": "INCOMING_FAX", "fax": FAX})
    fields = {**BRACKETED, **more}
    for content, content_type in (
        (urlencode(fields).encode(), "application/x-www-form-urlencoded"),
        multipart(list(fields.items())).values(),
    ):
        event = event_of(content, content_type=content_type)
        assert (event.id, event.type, event.from_number) == (as_json.id, as_json.type, as_json.from_number)
        assert event.fields["fax"]["price"] == {"amount": "0.07"}
        assert set(event.fields) == {"event", "fax"}


def test_a_form_with_bracketed_names_carries_its_file_and_lists():
    urls = [("fax[contentUrl][]", "https://a.example/1"), ("fax[contentUrl][]", "https://a.example/2")]
    parsed = parse(**multipart([*BRACKETED.items(), *urls], [("file", "application/pdf", PDF)]))
    assert parsed.document == Document(content=PDF, content_type="application/pdf")
    assert parsed.event.fields["fax"]["contentUrl"] == ["https://a.example/1", "https://a.example/2"]


def test_a_bracketed_event_holds_its_fax_as_in_json():
    event = event_of(urlencode({"event[fax][id]": "F1", "event[fax][status]": "COMPLETED"}).encode(), content_type=None)
    assert event.id == event_of({"event": {"fax": {"id": "F1", "status": "COMPLETED"}}}).id


@pytest.mark.parametrize(
    "more",
    [
        {"fax": json.dumps({**FAX, "id": "F2"})},
        {"fax": json.dumps({**FAX, "status": "FAILURE"})},
        {"fax": json.dumps({**FAX, "direction": "OUTBOUND"})},
        {"fax": "a text"},
    ],
)
def test_brackets_that_contradict_the_fax_beside_them_are_unreadable(more):
    with pytest.raises(Unreadable):
        event_of(urlencode({**BRACKETED, **more}).encode(), content_type=None)


@pytest.mark.parametrize("name", ["id", "status", "direction"])
def test_a_bracketed_name_that_decides_has_one_value(name):
    with pytest.raises(Unreadable, match="given twice"):
        event_of(urlencode([*BRACKETED.items(), (f"fax[{name}]", "another")]).encode(), content_type=None)


@pytest.mark.parametrize("name", ["fax[id", "fax]", "fax[a]b]", "fax[from][a]", "fax[x]" + "[x]" * 8, "other[id]"])
def test_what_is_not_bracketed_like_an_object_stays_as_it_came(name):
    event = event_of(urlencode({**BRACKETED, name: "stays"}).encode(), content_type=None)
    assert (event.fax_id, event.fields[name]) == ("F1", "stays")


# ---- what makes a part a file ----------------------------------------------------------------------------------------

QUOTED = PDF.replace(b"=", b"=3D").replace(b"\x00\xff\xfe", b"=00=FF=FE").replace(b"\n\r\n", b"\n=0D=0A")
PART_HEADS = {
    "a long file name only": b"Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''fax.pdf",
    "no file name": b'Content-Disposition: form-data; name="file"',
    "no file name, a type": b'Content-Disposition: form-data; name="file"\r\nContent-Type: application/pdf',
    "headers in lower case": b'content-disposition: form-data; name="file"\r\ncontent-type: application/pdf',
    "a name in both ways": b'Content-Disposition: form-data; name="file"; filename="f"; filename*=UTF-8\'\'fax.pdf',
    "another name, a type": b'Content-Disposition: form-data; name="document"\r\nContent-Type: application/pdf',
    "another name, bytes": b'Content-Disposition: form-data; name="document"\r\nContent-Type: text/plain',
    "another name, long": b"Content-Disposition: form-data; name=\"x\"; filename*=utf-8'en'f%20x.pdf",
}


def form_of(head: bytes, content: bytes) -> dict:
    fields = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (name, more, value)
        for name, more, value in (
            (b"event", b"", b"INCOMING_FAX"),
            (b"fax", b'; filename="fax.json"\r\nContent-Type: application/json', json.dumps(FAX).encode()),
        )
    )
    body = fields + b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n--b--\r\n"
    return {"content": body, "content_type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("size", [0, 2_000])
@pytest.mark.parametrize("head", PART_HEADS.values(), ids=PART_HEADS.keys())
def test_a_part_is_a_file_by_its_name_and_type_and_its_bytes_are_no_field(head, size):
    pdf = PDF + b"\xe2" * size
    parsed = parse(**form_of(head, pdf))
    assert parsed.document == Document(content=pdf, content_type="application/pdf")
    assert parsed.event.fax_id == "F1"
    assert parsed.event.fields.keys() == {"event", "fax"}


@pytest.mark.parametrize("head", PART_HEADS.values(), ids=PART_HEADS.keys())
@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        (b"base64", ENCODED.encode()),
        (b"BASE64", base64.encodebytes(PDF)),
        (b"quoted-printable", QUOTED),
        (b"binary", PDF),
        (b"8bit", PDF),
    ],
)
def test_a_part_s_transfer_encoding_is_undone(head, encoding, content):
    parsed = parse(**form_of(head + b"\r\nContent-Transfer-Encoding: " + encoding, content))
    assert parsed.document == Document(content=PDF, content_type="application/pdf")


def test_base64_in_a_file_part_without_a_word_of_it_is_decoded_like_the_json_bodies_own():
    parsed = parse(**form_of(PART_HEADS["no file name"], ENCODED.encode()))
    assert parsed.document == Document(content=PDF, content_type="application/pdf")


def test_damaged_base64_of_a_part_is_unreadable_and_an_empty_part_is_no_document():
    with pytest.raises(Unreadable, match="base64"):
        parse(**form_of(PART_HEADS["no file name"] + b"\r\nContent-Transfer-Encoding: base64", b"JVBE*"))
    assert parse(**form_of(PART_HEADS["no file name"], b"")).document is None


def test_a_document_as_a_text_in_json_is_unreadable_and_stays_out_of_the_fields():
    with pytest.raises(Unreadable, match="base64"):
        parse({**FAX, "file": "%PDF-1.4 short"})


@pytest.mark.parametrize("encoded", [ENCODED.translate(str.maketrans("+/", "-_")), ENCODED.rstrip("="), PDF])
def test_base64_of_a_part_is_read_in_its_other_alphabet_unpadded_or_where_it_is_only_announced(encoded):
    content = encoded if isinstance(encoded, bytes) else encoded.encode()
    parsed = parse(**form_of(PART_HEADS["no file name"] + b"\r\nContent-Transfer-Encoding: base64", content))
    assert parsed.document == Document(content=PDF, content_type="application/pdf")


@pytest.mark.parametrize(
    "more", ["", "; boundary=", "; boundary=other", "; boundary='b'", "; boundary=--b", "; boundary=b, a/b"]
)
def test_a_boundary_that_is_not_the_body_s_is_taken_from_its_first_line(more):
    content = form_of(PART_HEADS["no file name"], PDF)["content"]
    parsed = parse(content, content_type=f"multipart/form-data{more}")
    assert parsed.document == Document(content=PDF, content_type="application/pdf")
    assert parsed.event.fax_id == "F1"


@pytest.mark.parametrize("octets", [b"\xef\xbb\xbf" + json.dumps(FAX).encode(), json.dumps(FAX).encode("utf-16")])
def test_a_byte_order_mark_is_no_part_of_json(octets):
    assert event_of(octets).fax_id == event_of(octets, content_type=None).fax_id == "F1"
    form = multipart([("event", "INCOMING_FAX"), ("fax", "\ufeff" + json.dumps(FAX))])
    assert event_of(**form).fax_id == "F1"


def test_a_text_named_file_elsewhere_is_no_document():
    parsed = parse({"event": "INCOMING_FAX", "fax": {**FAX, "labels": {"file": "report01"}}})
    assert parsed.document is None
    assert parsed.event.fields["fax"]["labels"] == {"file": "report01"}
