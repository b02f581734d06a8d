"""Signatures over forms and raw bodies, credentials, secrets: every published vector verifies, no value raises."""

import base64
import doctest
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signature_vectors import PHAXIO, SINCH, WIRE, files, headers, names, pairs

import shared.signatures
from shared.signatures import (
    basic_credentials,
    basic_header,
    phaxio_signed_bytes,
    same_secret,
    sign_body,
    sign_phaxio,
    verify_basic,
    verify_body,
    verify_phaxio,
)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(shared.signatures).failed == 0


# ---- Phaxio


@pytest.mark.parametrize("vector", PHAXIO, ids=lambda vector: vector["id"])
def test_each_phaxio_vector_is_judged_as_published(vector):
    files = [(file["name"], bytes.fromhex(file["content_hex"])) for file in vector["files"]]
    signed = phaxio_signed_bytes(vector["url"], vector["fields"], files)
    matches = vector.get("digest_matches", True)
    assert verify_phaxio([vector["token"]], vector["signature"], signed) is matches
    if matches:
        assert sign_phaxio(vector["token"], vector["url"], vector["fields"], files) == vector["signature"].lower()


@pytest.mark.parametrize("sample", [s for s in WIRE if not s["files"]], ids=lambda sample: sample["id"])
def test_what_phaxio_signs_is_url_then_fields_by_name(sample):
    assert phaxio_signed_bytes(sample["url"], sample["fields"], []).decode() == sample["signed_string"]
    assert sign_phaxio(sample["token"], sample["url"], sample["fields"]) == sample["headers"]["X-Phaxio-Signature"]


def test_files_follow_the_fields_by_name_and_stand_for_their_sha1_an_empty_one_too():
    signed = phaxio_signed_bytes("u", [("z", "1")], [("b", b""), ("a", b"%PDF")])
    digests = [hashlib.sha1(content, usedforsecurity=False).hexdigest() for content in (b"%PDF", b"")]
    assert signed.decode() == f"uz1a{digests[0]}b{digests[1]}"


def test_equal_names_keep_their_wire_order_and_names_sort_as_bytes():
    assert phaxio_signed_bytes("", [("a", "2"), ("a", "1"), ("B", "")], []) == b"Ba2a1"
    escaped = b"\xfe".decode("utf-8", "surrogateescape")  # as text before U+E000, as a byte behind everything
    assert phaxio_signed_bytes("", [(escaped, "1"), ("\ue000", "2")], []) == b"\xee\x80\x802\xfe1"


@given(st.text(min_size=1), names, pairs, files, st.randoms(use_true_random=False))
def test_what_is_signed_verifies_in_any_order_of_different_names(token, url, fields, files, random):
    fields, files = list(dict(fields).items()), list(dict(files).items())
    signature = sign_phaxio(token, url, fields, files)
    random.shuffle(fields)
    random.shuffle(files)
    signed = phaxio_signed_bytes(url, fields, files)
    assert len(signature) == 40
    assert verify_phaxio(["other", token], f" {signature.upper()} ", signed)
    assert not verify_phaxio([token + "x"], signature, signed)
    assert not verify_phaxio([token], signature, signed + b"x")
    assert not verify_phaxio([token], signature, b"x" + signed)


@given(headers)
def test_no_value_of_a_hex_header_matches_or_raises(value):
    assert not verify_phaxio(["t"], value, b"signed")
    assert not verify_body(["t"], value, b"signed")


def test_an_empty_secret_never_matches():
    assert not verify_phaxio([""], sign_phaxio("", "u", []), b"u")
    assert not verify_body([""], sign_body("", b"b"), b"b")
    assert not same_secret([""], "")
    assert not verify_basic([("", "")], basic_header("", ""))
    assert not verify_phaxio([], sign_phaxio("", "u", []), b"u")


# ---- the raw body


@pytest.mark.parametrize("vector", SINCH, ids=lambda vector: vector["name"])
def test_each_vector_over_the_raw_body_is_judged_as_published(vector):
    body = base64.b64decode(vector["body_b64"])
    assert verify_body([vector["secret"]], vector["header"]["X-Sinch-Signature"], body) is vector["valid"]


@given(st.text(min_size=1), st.binary(), st.integers(0))
def test_a_raw_body_verifies_by_any_of_several_secrets_and_not_with_one_bit_changed(secret, body, at):
    signature = sign_body(secret, body)
    assert len(signature) == 64
    assert signature == signature.lower()
    assert verify_body(["", "other", secret], signature, body)
    assert not verify_body([secret + "x"], signature, body)
    changed = bytearray(body or b"\0")
    changed[at % len(changed)] ^= 1
    assert not verify_body([secret], signature, bytes(changed))


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_a_secret_of_any_length_verifies_what_the_standard_library_signs(length):
    """A key longer than a block of the digest is digested first, one as long as it is not."""
    secret = "é" * length
    body = hmac.digest(secret.encode(), b"body", "sha256").hex()
    url = hmac.digest(secret.encode(), b"url", "sha1").hex()
    assert verify_body([secret], body, b"body")
    assert verify_phaxio([secret], url, b"url")
    assert not verify_body([secret + "e"], body, b"body")


def test_all_secrets_are_compared_before_anything_is_decided(monkeypatch):
    compared = []

    monkeypatch.setattr(
        shared.signatures.hmac,
        "compare_digest",
        lambda a, b, real=hmac.compare_digest: compared.append(a) or real(a, b),
    )
    for verify in (
        lambda: verify_phaxio(["a", "b", "c"], sign_phaxio("a", "u", []), b"u"),
        lambda: verify_body(["a", "b", "c"], sign_body("a", b""), b""),
        lambda: same_secret(["a", "b", "c"], "a"),
    ):
        compared.clear()
        assert verify()
        assert len(compared) == 3
    compared.clear()
    assert verify_basic([("u", "p"), ("v", "q")], basic_header("u", "p"))
    assert len(compared) == 4, "user and password of each pair"
    compared.clear()
    assert not verify_basic([("u", "p"), ("v", "q")], None)
    assert len(compared) == 4, "without any credentials too"


# ---- Basic and shared secrets


@given(st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"]), min_size=1), st.text())
def test_basic_credentials_come_out_as_they_went_in(user, password):
    header = basic_header(user, password)
    assert verify_basic([("other", "x"), (user, password)], header)
    assert verify_basic([(user, password)], header.replace("Basic ", "bAsIc   "))
    assert not verify_basic([(user, password + "x"), (user + "x", password)], header), "pairs are pairs"


def test_a_password_may_hold_colons():
    assert basic_credentials(basic_header("sinch", "s3cret:with:colons")) == (b"sinch", b"s3cret:with:colons")


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic ", "Bearer eDp5", "Basic eDp5!", "Basic eHk=", "Basic é", "\udcff"]
)
def test_a_header_that_is_no_basic_credentials_opens_nothing(header):
    assert basic_credentials(header) is None
    assert not verify_basic([("x", "y"), ("", "z")], header)


@given(headers)
def test_no_authorization_raises(header):
    assert not verify_basic([("user", "password")], header)
    assert not verify_basic([("user", "password")], "Basic " + header)


@given(st.text(min_size=1))
def test_a_secret_is_itself_and_nothing_else(secret):
    assert same_secret(["other one", secret], secret)
    assert not same_secret([secret], secret + "x")
    assert not same_secret([secret], None)
    assert not same_secret([secret], "")
