"""Signatures: every published vector, what each scheme covers, and that a wrong header is only ever wrong."""

import base64
import doctest
import hashlib
import hmac
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

import shared.signatures
from shared.errors import SignatureInvalid, SignatureMissing, TimestampExpired
from shared.signatures import (
    basic_credentials,
    basic_header,
    load_telnyx_key,
    phaxio_signed_bytes,
    same_secret,
    sign_body,
    sign_phaxio,
    sign_standard,
    sign_telnyx,
    standard_key,
    telnyx_public_key,
    verify_basic,
    verify_body,
    verify_phaxio,
    verify_standard,
    verify_telnyx,
)

SAMPLES = Path(__file__).parents[1] / "samples"
PHAXIO = json.loads((SAMPLES / "phaxio" / "signature_vectors.json").read_text())["vectors"]
WIRE = [json.loads(path.read_text()) for path in sorted((SAMPLES / "phaxio" / "wire").glob("*.json"))]
TELNYX = json.loads((SAMPLES / "telnyx" / "vectors.json").read_text())
SINCH = json.loads((SAMPLES / "sinch" / "faxbot_hmac_vectors.json").read_text())["vectors"]
STANDARD = json.loads((SAMPLES / "standard-webhooks" / "vectors.json").read_text())
SEED = base64.b64decode(TELNYX["private_seed_b64"])
KEY = TELNYX["public_key_b64"]
OTHER = TELNYX["other_public_key_b64"]
NOW = 1_761_000_000

headers = (
    st.text()
    | st.text(st.characters(categories=["Cs", "Nd", "Ll"]))
    | st.binary().map(lambda octets: octets.decode("utf-8", "surrogateescape"))
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
pairs = st.lists(
    st.tuples(names, st.binary(max_size=12).map(lambda b: b.decode("utf-8", "surrogateescape"))), max_size=6
)
files = st.lists(st.tuples(names, st.binary(max_size=30)), max_size=3)


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


# ---- Telnyx


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


# ---- Standard Webhooks


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
def test_a_standard_secret_that_is_none_is_named_when_it_is_read(secret):
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


def test_no_refusal_quotes_a_secret_or_what_was_given():
    with pytest.raises(SignatureInvalid) as caught:
        verify_telnyx([KEY], GOOD, "123", b"", NOW)
    assert GOOD not in str(caught.value)
    assert KEY not in str(caught.value)
