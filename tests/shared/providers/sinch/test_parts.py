"""Sinch: a part of a form is a file by its name and type, and its transfer encoding is undone."""

import base64
import json

import pytest
from sinch_callbacks import (
    ENCODED,
    FAX,
    PDF,
    parse,
)

from shared.callback import Document
from shared.errors import Unreadable

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


@pytest.mark.parametrize("word", [b"null", b"None", b"undefined", b"[]", b"{}", b'""', b" \r\n"])
@pytest.mark.parametrize("head", PART_HEADS.values(), ids=PART_HEADS.keys())
def test_a_part_that_says_that_there_is_no_file_is_no_document(head, word):
    assert parse(**form_of(head, word)).document is None


def test_base64_of_a_part_may_be_a_data_url_and_an_rtf_that_is_not_in_base64_stays():
    head = PART_HEADS["no file name"] + b"\r\nContent-Transfer-Encoding: base64"
    parsed = parse(**form_of(head, b"data:application/pdf;base64," + ENCODED.encode()))
    assert parsed.document == Document(content=PDF, content_type="application/pdf")
    rtf = b"{\\rtf1 hello}"
    assert parse(**form_of(head, rtf)).document == Document(content=rtf, content_type="application/rtf")


def test_a_text_named_file_elsewhere_is_no_document():
    parsed = parse({"event": "INCOMING_FAX", "fax": {**FAX, "labels": {"file": "report01"}}})
    assert parsed.document is None
    assert parsed.event.fields["fax"]["labels"] == {"file": "report01"}
