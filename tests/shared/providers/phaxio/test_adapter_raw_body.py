"""Phaxio: Faxbot's scheme covers every byte of the raw body, and a wrong content type does not matter."""

import base64
import json

import pytest
from phaxio_callbacks import (
    BODY,
    BOTH,
    DONE,
    OWN,
    PUBLIC_URL,
    SECRET,
    TOKEN,
    URLENCODED,
    by_faxbot,
    callback,
    fax,
    multipart,
    take,
)

from shared.domain import Direction
from shared.errors import SignatureInvalid, SignatureMissing, Unreadable
from shared.providers.common import MAX_DEPTH
from shared.signatures import sign_body, sign_phaxio


def test_every_byte_of_a_body_is_covered_by_the_scheme_of_the_raw_body():
    received = by_faxbot(json.dumps(DONE).encode())
    assert BODY.verify(received).by == "phaxio-sha256"
    for at in range(len(received.body)):
        body = bytearray(received.body)
        body[at] ^= 1
        with pytest.raises(SignatureInvalid):
            BODY.verify(callback(bytes(body), "application/json", received.headers["X-Phaxio-Signature"]))


def test_the_length_of_the_signature_decides_and_no_secret_serves_the_other_scheme():
    fields = [fax()]
    content_type, body = multipart(fields)
    url = PUBLIC_URL + "/phaxio-callback"
    good = {"phaxio-sha1": sign_phaxio(TOKEN, url, fields), "phaxio-sha256": sign_body(SECRET, body)}
    for by, signature in good.items():
        assert BOTH.verify(callback(body, content_type, signature)).by == by
    for signature in (sign_phaxio(SECRET, url, fields), sign_body(TOKEN, body)):
        with pytest.raises(SignatureInvalid):
            BOTH.verify(callback(body, content_type, signature))
    for adapter, signature in ((OWN, good["phaxio-sha256"]), (BODY, good["phaxio-sha1"])):
        with pytest.raises(SignatureInvalid):
            adapter.verify(callback(body, content_type, signature))


def test_faxbots_second_header_name_is_read_for_its_own_scheme_only():
    body = json.dumps(DONE).encode()
    received = callback(body, "application/json", sign_body(SECRET, body), name="x-phaxio-signature-sha256")
    assert BODY.verify(received).by == "phaxio-sha256"
    with pytest.raises(SignatureMissing):
        OWN.verify(received)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", URLENCODED, None, "multipart/form-data"])
def test_a_json_body_is_known_by_its_content_whatever_type_is_claimed(content_type):
    assert take(by_faxbot(DONE, content_type)).event.fax_id == "1"


@pytest.mark.parametrize("content_type", [URLENCODED, "text/plain", None])
def test_a_form_that_is_verified_raw_is_read_with_a_wrong_type_or_none(content_type):
    assert take(by_faxbot(b"fax%5Bid%5D=7&fax[status]=success", content_type)).event.fax_id == "7"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"", URLENCODED),
        (b"{", "application/json"),
        (b"[1]", "application/json"),
        (b'{"id": NaN}', "application/json"),
        (b'{"fax": [1]}', "application/json"),
        (b'{"fax": "no json"}', "application/json"),
        (b'{"id": {"a": 1}}', "application/json"),
        (b'{"id": true}', "application/json"),
        (b'{"id": 1.5}', "application/json"),
        (b'{"id": " "}', "application/json"),
        (b'{"id": "' + b"1" * 201 + b'"}', "application/json"),
        (b'{"id": 1, "a": ' + b"[" * 70 + b"]" * 70 + b"}", "application/json"),
        (b'{"id": 1, "a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "application/json"),
        (b"status=success", URLENCODED),
        (b"fax=%7B%22id%22", URLENCODED),
        (b"fax=1", URLENCODED),
        (b"id=1&status=success&status=failure", URLENCODED),
        (b"fax[id]=1&fax[id]=2", URLENCODED),
        (b"fax[id]=1&id=2", URLENCODED),
        (b"fax[status]=success&status=failure&id=1", URLENCODED),
        (b'fax={"id":1}&fax={"id":2}', URLENCODED),
        (b'fax={"id":1}&faxId=2', URLENCODED),
        (b"id=1&event_type=fax_completed", URLENCODED),
        (b"--b0\r\n", "multipart/form-data; boundary=b0"),
        (b"a=1" * 9, "multipart/form-data"),
        (multipart([fax()], [("a", b"1"), ("b", b"2")])[1], "multipart/form-data; boundary=b0"),
        (multipart([fax()], [("file", b"1"), ("filename", b"2")])[1], "multipart/form-data; boundary=b0"),
    ],
)
def test_what_is_signed_and_cannot_be_understood_is_unreadable_and_nothing_else(body, content_type):
    received = by_faxbot(body, content_type)
    verified = BODY.verify(received)
    with pytest.raises(Unreadable):
        BODY.parse(received, verified)


def test_nesting_up_to_the_limit_is_read():
    depth = MAX_DEPTH - 1  # the object itself is one level
    event = take(by_faxbot(b'{"id": 1, "a": ' + b"[" * depth + b"]" * depth + b"}")).event
    assert event.fax_id == "1"
    with pytest.raises(Unreadable, match="deeper"):
        take(by_faxbot(b'{"id": 1, "a": ' + b"[" * (depth + 1) + b"]" * (depth + 1) + b"}"))


# ---- shapes and types that do not fit together -----------------------------------------------------------------------

PDF = b"%PDF-1.4 a fax"
FORM, MULTIPART_BODY = multipart([fax(direction="received")], [("file", PDF)])


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=other", "application/json", URLENCODED, None]
)
def test_a_multipart_body_is_read_by_its_first_line_where_the_type_does_not_fit(content_type):
    parsed = take(by_faxbot(MULTIPART_BODY, content_type))
    assert (parsed.event.fax_id, parsed.document.content) == ("1", PDF)


@pytest.mark.parametrize("body", [b"fax[id]=7&fax[status]=success", b"\r\nfax[id]=7&fax[status]=success\r\n"])
@pytest.mark.parametrize("content_type", [URLENCODED, "application/json", None])
def test_a_urlencoded_body_is_read_under_the_type_of_json_and_with_blank_lines_around_it(body, content_type):
    event = take(by_faxbot(body, content_type)).event
    assert (event.fax_id, event.status) == ("7", "success")


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + json.dumps({"fax": DONE}).encode(),
        json.dumps({"fax": DONE}).encode("utf-16"),
        json.dumps([{"fax": DONE}]).encode(),
        json.dumps({"fax": [DONE]}).encode(),
        json.dumps({"fax": json.dumps(json.dumps(DONE))}).encode(),
    ],
    ids=["a mark", "UTF-16", "in a list", "fax in a list", "quoted twice"],
)
def test_json_with_a_mark_in_a_list_or_quoted_twice_is_the_same_event(body):
    assert take(by_faxbot(body)).event.id == take(by_faxbot({"fax": DONE})).event.id


@pytest.mark.parametrize("make", [lambda file: {"fax": DONE, **file}, lambda file: {"fax": {**DONE, **file}}])
def test_a_document_within_json_is_the_fax_s_and_no_field(make):
    encoded = base64.b64encode(PDF).decode()
    parsed = take(by_faxbot(make({"file": encoded})), BODY)
    assert (parsed.document.content, parsed.document.content_type) == (PDF, "application/pdf")
    assert encoded not in json.dumps(parsed.event.fields)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n" + b"z" * 3_000, b"\0\1\2", base64.b64encode(PDF)])
def test_a_part_of_a_file_s_name_without_a_file_name_is_no_field_if_it_is_no_text(content):
    content_type, body = multipart([fax(direction="received")], [("file", content)])
    body = body.replace(b'; filename="f.pdf"', b"")
    fields = [fax(direction="received"), ("file", content.decode("utf-8", "surrogateescape"))]
    url = PUBLIC_URL + "/phaxio-inbound"
    for received in (
        by_faxbot(body, content_type),
        callback(body, content_type, sign_phaxio(TOKEN, url, fields), target="/phaxio-inbound"),
    ):
        parsed = take(received)
        assert parsed.document.content in {content, PDF}
        assert "file" not in parsed.event.fields


def test_a_file_s_name_stays_a_field():
    event = take(by_faxbot(b"id=1&status=success&filename=fax.pdf&file=see%20below", URLENCODED)).event
    assert event.fields["fax"] | {"filename": "fax.pdf", "file": "see below"} == event.fields["fax"]


@pytest.mark.parametrize(("word", "direction"), [("inbound", Direction.RECEIVED), ("Outbound", Direction.SENT)])
def test_the_direction_is_read_in_sinch_s_words_too(word, direction):
    for target in ("/phaxio-callback", "/phaxio-inbound"):
        assert take(by_faxbot({**DONE, "direction": word}, target=target)).event.direction is direction
