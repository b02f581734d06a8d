"""Telnyx's signatures: every published vector verifies, the clock's limits hold, and no header value raises."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from signature_vectors import KEY, NOW, OTHER, SEED, TELNYX, headers

from shared.errors import SignatureInvalid, SignatureMissing, TimestampExpired
from shared.signatures import (
    load_telnyx_key,
    sign_telnyx,
    telnyx_public_key,
    verify_telnyx,
)


@pytest.mark.parametrize("vector", TELNYX["vectors"], ids=lambda vector: vector["name"])
@pytest.mark.parametrize("keys", [[KEY], [OTHER, KEY], [KEY, OTHER]], ids=["one key", "a new one", "an old one"])
def test_each_telnyx_vector_is_judged_as_published(vector, keys):
    def verify(keys):
        headers = vector["headers"]
        verify_telnyx(
            keys,
            headers.get("telnyx-signature-ed25519"),
            headers.get("telnyx-timestamp"),
            base64.b64decode(vector["body_b64"]),
            vector["now"],
        )

    if vector["valid"]:
        verify(keys)
        with pytest.raises(SignatureInvalid):
            verify([OTHER])
    else:
        wanted = {"header": SignatureMissing, "tolerance 300 s, both directions": TimestampExpired}
        with pytest.raises(wanted.get(vector["why"], SignatureInvalid)):
            verify(keys)


def test_our_public_key_of_a_seed_is_the_one_others_computed():
    assert telnyx_public_key(SEED) == KEY


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=50), st.integers(0, 10**12))
def test_what_we_sign_as_telnyx_verifies_at_its_time(seed, body, timestamp):
    verify_telnyx([telnyx_public_key(seed)], sign_telnyx(seed, timestamp, body), str(timestamp), body, timestamp)


@pytest.mark.parametrize("distance", [-301, -300.5, -300, 0, 300, 300.5, 301])
def test_telnyx_is_in_time_up_to_300_seconds_both_ways(distance):
    def verify():
        verify_telnyx([KEY], sign_telnyx(SEED, NOW, b"{}"), str(NOW), b"{}", NOW + distance)

    if abs(distance) <= 300:
        verify()
    else:
        with pytest.raises(TimestampExpired):
            verify()


GOOD = sign_telnyx(SEED, NOW, b"{}")


@pytest.mark.parametrize(
    ("signature", "timestamp", "refusal"),
    [
        (None, str(NOW), SignatureMissing),
        ("", str(NOW), SignatureMissing),
        (GOOD, None, SignatureMissing),
        (GOOD, "", SignatureMissing),
        (GOOD, "1", SignatureInvalid),  # wrong and expired is wrong
        (GOOD, str(NOW - 1000), SignatureInvalid),
        (GOOD, f"{NOW}.0", SignatureInvalid),
        (GOOD, f"{NOW}x", SignatureInvalid),
        (GOOD, f"{NOW}\n", SignatureInvalid),
        (GOOD, f" {NOW}", SignatureInvalid),
        (GOOD, f"+{NOW}", SignatureInvalid),
        (GOOD, "NaN", SignatureInvalid),
        (GOOD, "9" * 400, SignatureInvalid),
        (GOOD, "٣" * 10, SignatureInvalid),
        (GOOD + "\n", str(NOW), SignatureInvalid),
        (GOOD[:-1] + "!", str(NOW), SignatureInvalid),
        ("!" + GOOD, str(NOW), SignatureInvalid),
        (GOOD.rstrip("="), str(NOW), SignatureInvalid),
        (base64.b64decode(GOOD).hex(), str(NOW), SignatureInvalid),
        (base64.urlsafe_b64encode(b"\xff" * 64).decode(), str(NOW), SignatureInvalid),
        (base64.b64encode(base64.b64decode(GOOD)[:63]).decode(), str(NOW), SignatureInvalid),
        (base64.b64encode(base64.b64decode(GOOD) + b"\0").decode(), str(NOW), SignatureInvalid),
        ("é" * 88, str(NOW), SignatureInvalid),
        ("\udcff" * 88, str(NOW), SignatureInvalid),
    ],
)
def test_a_telnyx_header_that_cannot_be_right_is_refused_with_401(signature, timestamp, refusal):
    with pytest.raises(refusal) as caught:
        verify_telnyx([KEY], signature, timestamp, b"{}", NOW)
    assert caught.value.status == 401


def test_the_body_is_verified_as_it_came_and_behind_a_bar():
    with pytest.raises(SignatureInvalid):
        verify_telnyx([KEY], GOOD, str(NOW), b"{ }", NOW)
    with pytest.raises(SignatureInvalid):
        verify_telnyx([KEY], sign_telnyx(SEED, int(f"{NOW}1"), b"{}"), str(NOW), b"1|{}", NOW)


@pytest.mark.parametrize("timestamp", ["1e9", "+1", "", "1_0", "9" * 400])
def test_a_timestamp_of_another_form_is_refused_even_where_it_is_what_was_signed(timestamp):
    signature = Ed25519PrivateKey.from_private_bytes(SEED).sign(f"{timestamp}|".encode())
    with pytest.raises((SignatureInvalid, SignatureMissing)):
        verify_telnyx([KEY], base64.b64encode(signature).decode(), timestamp, b"", NOW)


@given(headers, headers)
def test_no_telnyx_headers_pass_or_raise_anything_but_a_refusal(signature, timestamp):
    with pytest.raises((SignatureInvalid, SignatureMissing)):
        verify_telnyx([KEY], signature, timestamp, b"{}", NOW)


@pytest.mark.parametrize("key", ["", "x", "AAAA", KEY + "AAAA", "é", base64.b64decode(KEY).hex()])
def test_a_public_key_of_another_form_is_named_when_it_is_read(key):
    with pytest.raises(ValueError, match="base64 of 32 bytes"):
        load_telnyx_key(key)


def test_no_refusal_quotes_a_secret_or_what_was_given():
    with pytest.raises(SignatureInvalid) as caught:
        verify_telnyx([KEY], GOOD, "123", b"", NOW)
    assert GOOD not in str(caught.value)
    assert KEY not in str(caught.value)
