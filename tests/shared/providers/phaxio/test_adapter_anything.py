"""Phaxio: any verified callback is an event that can be published, or unreadable."""

import json
from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phaxio_callbacks import (
    BODY,
    BOTH,
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

from shared.domain import decode_event, encode_event
from shared.errors import Refused, SignatureInvalid, Unreadable
from shared.forms import read_form
from shared.signatures import sign_body, sign_phaxio

WORDS = st.sampled_from(
    [
        "id",
        "status",
        "event_type",
        "page",
        "completed_at",
        "num_pages",
        "success",
        "direction",
        "retry_count",
        "message",
    ]
) | st.sampled_from(["fax", "fax[id]", "fax[status]", "recipients", "phone_number", "file_url", "error_id", "is_test"])
JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["1", "success"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(), inner, max_size=4),
    max_leaves=12,
)
VALUES = st.sampled_from(
    ["1", "", "success", "fax_completed", "transmitting_page", "true", '{"id":1}', '{"id":1,"status":"failure"}', "{"]
)


@given(st.dictionaries(WORDS, JSON_LIKE, max_size=6), st.sampled_from(["/phaxio-callback", "/phaxio-inbound"]))
def test_any_signed_json_is_an_event_that_can_be_published_or_unreadable(content, target):
    with suppress(Unreadable):
        take(by_faxbot(json.dumps(content).encode(), target=target))


@given(
    st.lists(
        st.tuples(
            WORDS | st.text(st.characters(exclude_characters='"\r\n%\\', exclude_categories=["Cs"])), VALUES | st.text()
        ),
        max_size=6,
    )
)
def test_any_signed_form_is_an_event_that_can_be_published_or_unreadable(fields):
    body = urlencode(fields, errors="surrogatepass").encode()
    signature = sign_phaxio(TOKEN, PUBLIC_URL + "/phaxio-callback", read_form(URLENCODED, body).fields)
    received = callback(body, URLENCODED, signature)
    verified = OWN.verify(received)
    try:
        event = OWN.parse(received, verified).event
    except Unreadable:
        return
    assert decode_event(encode_event(event)) == event


@given(
    st.binary() | st.tuples(st.lists(st.tuples(WORDS, VALUES), max_size=4)).map(lambda args: multipart(*args)[1]),
    st.none() | st.sampled_from(["multipart/form-data; boundary=b0", URLENCODED, "application/json"]) | st.text(),
    st.none()
    | st.text()
    | st.sampled_from(["0" * 40, "0" * 64])
    | st.binary().map(lambda b: b.decode("utf-8", "surrogateescape")),
)
def test_any_bytes_with_any_headers_are_refused_or_once_signed_parsed_or_unreadable(body, content_type, signature):
    for adapter in (OWN, BODY, BOTH):
        with pytest.raises(Refused):
            adapter.verify(callback(body, content_type, signature))
    received = callback(body, content_type, sign_body(SECRET, body))
    verified = BODY.verify(received)
    try:
        parsed = BODY.parse(received, verified)
    except Unreadable:
        return
    assert decode_event(encode_event(parsed.event)) == parsed.event


def test_no_refusal_quotes_a_secret_or_a_signature():
    signature = sign_phaxio("wrong", PUBLIC_URL + "/phaxio-callback", [fax()])
    content_type, body = multipart([fax()])
    for adapter in (OWN, BOTH, BODY):
        with pytest.raises(SignatureInvalid) as caught:
            adapter.verify(callback(body, content_type, signature))
        for secret in (TOKEN, SECRET, signature):
            assert secret not in str(caught.value)
