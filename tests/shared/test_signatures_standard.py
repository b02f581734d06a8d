"""Standard Webhooks: the reference vector verifies, the clock's limits hold, and no header value raises."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signature_vectors import NOW, STANDARD, headers, names

from shared.errors import SignatureInvalid, SignatureMissing, TimestampExpired
from shared.signatures import (
    sign_standard,
    standard_key,
    verify_standard,
)

REFERENCE = STANDARD["vectors"][0]


def verify_reference(signature, *, secrets=(REFERENCE["secret"],), distance=0, timestamp=str(REFERENCE["timestamp"])):
    body = REFERENCE["body"].encode()
    verify_standard(secrets, REFERENCE["id"], timestamp, signature, body, REFERENCE["timestamp"] + distance)


def test_the_reference_vector_verifies_and_is_what_we_sign():
    verify_reference(REFERENCE["signature"])
    made = sign_standard(REFERENCE["secret"], REFERENCE["id"], REFERENCE["timestamp"], REFERENCE["body"].encode())
    assert made == REFERENCE["signature"]


@pytest.mark.parametrize(
    "signature",
    [
        *STANDARD["must_reject"],
        REFERENCE["signature"].replace("v1,", "v2,"),
        REFERENCE["signature"].replace("v1,", "v1a,"),
        REFERENCE["signature"].removeprefix("v1,"),
        REFERENCE["signature"][:-1],
        STANDARD["vectors"][1]["signature"],
        "v1",
        ",",
        "v1,é \udcff",
        " ",
    ],
)
def test_a_standard_signature_that_is_not_the_one_is_refused(signature):
    with pytest.raises(SignatureInvalid):
        verify_reference(signature)


def test_one_right_item_among_several_is_enough():
    verify_reference("v1a,xx  nonsense v1,AAAA " + REFERENCE["signature"])


def test_a_standard_secret_may_lack_prefix_and_padding_and_be_one_of_several():
    bare = REFERENCE["secret"].removeprefix("whsec_")
    padded = base64.b64encode(b"x" * 25).decode()
    assert padded.endswith("=")
    assert standard_key(padded.rstrip("=")) == standard_key("whsec_" + padded) == b"x" * 25
    verify_reference(REFERENCE["signature"], secrets=[padded, bare])
    with pytest.raises(SignatureInvalid):
        verify_reference(REFERENCE["signature"], secrets=[padded])


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_é", "not base64!", "A"])
def test_a_standard_secret_that_cannot_be_one_is_named_when_it_is_read(secret):
    with pytest.raises(ValueError, match="whsec_"):
        standard_key(secret)


def test_a_standard_webhook_is_in_time_up_to_300_seconds_both_ways():
    for distance in (-300, 300):
        verify_reference(REFERENCE["signature"], distance=distance)
    for distance in (-301, 301):
        with pytest.raises(TimestampExpired):
            verify_reference(REFERENCE["signature"], distance=distance)
        with pytest.raises(SignatureInvalid):
            verify_reference(STANDARD["must_reject"][0], distance=distance)


@pytest.mark.parametrize("timestamp", ["1614265330.0", "1.614265330e9", " 1614265330", "x"])
def test_a_standard_timestamp_is_plain_digits(timestamp):
    with pytest.raises(SignatureInvalid):
        verify_reference(REFERENCE["signature"], timestamp=timestamp)


@pytest.mark.parametrize("missing", range(3))
def test_a_standard_webhook_without_one_of_its_headers_is_unsigned(missing):
    for nothing in (None, ""):
        given = ["id", "1", "v1,x"]
        given[missing] = nothing
        with pytest.raises(SignatureMissing):
            verify_standard([REFERENCE["secret"]], *given, b"", 1)


@given(st.binary(min_size=24, max_size=64), names.filter(bool), st.integers(0, 10**12), st.binary())
def test_what_we_sign_as_a_standard_webhook_verifies_as_bytes(key, message_id, timestamp, body):
    secret = "whsec_" + base64.b64encode(key).decode()
    signature = sign_standard(secret, message_id, timestamp, body)
    verify_standard([secret], message_id, str(timestamp), signature, body, timestamp)
    with pytest.raises(SignatureInvalid):
        verify_standard([secret], message_id, str(timestamp), signature, body + b"x", timestamp)
    with pytest.raises(SignatureInvalid):
        verify_standard([secret], message_id + "x", str(timestamp), signature, body, timestamp)


@given(headers, headers, headers)
def test_no_standard_headers_pass_or_raise_anything_but_a_refusal(message_id, timestamp, signature):
    with pytest.raises((SignatureInvalid, SignatureMissing)):
        verify_standard([REFERENCE["secret"]], message_id, timestamp, signature, b"", NOW)
