"""Phaxio: Faxbot's scheme covers every byte of the raw body, and a wrong content type does not matter."""

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
