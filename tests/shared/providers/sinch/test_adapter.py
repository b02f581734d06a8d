"""Sinch: everything that is configured must be right, and nothing passes without it."""

import base64

import pytest
from sinch_callbacks import (
    BASIC,
    BOTH,
    HMAC_VECTORS,
    META,
    OTHER_APIS,
    PASSWORD,
    SECRET,
    SIGNED,
    SINCH,
    USER,
    adapter,
    callback,
)

from shared.errors import CredentialsInvalid, SignatureInvalid, SignatureMissing
from shared.signatures import basic_header, sign_body


def test_the_sample_s_own_header_opens_with_its_password_full_of_colons():
    made = callback({}, headers={"Authorization": META["basic_auth"]["header"]})
    assert BASIC.verify(made).by == "sinch-basic"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Bearer abc",
        basic_header("other", PASSWORD),
        basic_header(USER, "other"),
        basic_header(USER, PASSWORD.partition(":")[0]),
        basic_header(f"{USER}:{PASSWORD}", ""),
        basic_header("", ""),
        "Basic \udce9",
        "Basic ünïcode",
    ],
)
def test_missing_or_wrong_credentials_are_401_credentials_invalid(header):
    made = callback({}, headers={} if header is None else {"Authorization": header})
    with pytest.raises(CredentialsInvalid) as refusal:
        BASIC.verify(made)
    assert refusal.value.status == 401
    assert PASSWORD not in str(refusal.value)


def test_users_and_passwords_are_paired_by_position():
    two = adapter(users=["old", "new"], passwords=["old-pass", "new-pass"])
    for user in ("old", "new"):
        two.verify(callback({}, headers={"Authorization": basic_header(user, f"{user}-pass")}))
    with pytest.raises(CredentialsInvalid):
        two.verify(callback({}, headers={"Authorization": basic_header("old", "new-pass")}))


def test_users_and_passwords_that_do_not_pair_up_stop_the_start_without_showing_any():
    with pytest.raises(
        ValueError, match="SINCH_INBOUND_BASIC_USER has 1 values and SINCH_INBOUND_BASIC_PASS 2"
    ) as stop:
        adapter(users=["u"], passwords=["first-secret", "second-secret"])
    assert "first-secret" not in str(stop.value)


@pytest.mark.parametrize("vector", HMAC_VECTORS, ids=lambda vector: vector["name"])
def test_every_hmac_vector_is_judged_as_it_says(vector):
    made = callback(base64.b64decode(vector["body_b64"]), headers=vector["header"])
    keyed = adapter(secrets=["another", vector["secret"]])
    if vector["valid"]:
        assert keyed.verify(made).by == "sinch-hmac"
    else:
        with pytest.raises(SignatureInvalid):
            keyed.verify(made)


@pytest.mark.parametrize("scheme", ["numbers_hmac_sha1_hex", "nonce_hmac_sha256_b64"])
def test_signatures_of_other_sinch_apis_do_not_pass(scheme):
    for vector in OTHER_APIS[scheme]:
        made = callback(vector["body"].encode(), headers={"X-Sinch-Signature": vector["signature"]})
        with pytest.raises(SignatureInvalid):
            adapter(secrets=[vector["secret"]]).verify(made)


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (None, SignatureMissing),
        ("", SignatureMissing),
        ("  ", SignatureMissing),
        ("00", SignatureInvalid),
        ("0" * 64, SignatureInvalid),
        ("é" * 64, SignatureInvalid),
        ("\udce9" * 64, SignatureInvalid),
    ],
)
def test_a_missing_signature_and_a_wrong_one_are_told_apart(header, error):
    made = callback({}, headers={} if header is None else {"X-Sinch-Signature": header})
    with pytest.raises(error) as refusal:
        SIGNED.verify(made)
    assert refusal.value.status == 401
    assert SECRET not in str(refusal.value)


def test_every_changed_byte_of_a_signed_body_is_refused():
    body = (SINCH / "incoming_fax.json").read_bytes()
    headers = {"X-Sinch-Signature": sign_body(SECRET, body)}
    SIGNED.verify(callback(body, headers=headers))
    for position in range(len(body)):
        changed = bytearray(body)
        changed[position] ^= 1
        with pytest.raises(SignatureInvalid):
            SIGNED.verify(callback(bytes(changed), headers=headers))


def test_where_both_are_configured_both_must_be_right():
    good = {"Authorization": basic_header(USER, PASSWORD), "X-Sinch-Signature": sign_body(SECRET, b"{}")}
    assert BOTH.verify(callback(b"{}", headers=good)).by == "sinch-basic+hmac"
    cases = [
        ({**good, "Authorization": basic_header(USER, "no")}, CredentialsInvalid),
        ({**good, "X-Sinch-Signature": "0" * 64}, SignatureInvalid),
        ({"Authorization": good["Authorization"]}, SignatureMissing),
        ({"X-Sinch-Signature": good["X-Sinch-Signature"]}, CredentialsInvalid),
        ({}, CredentialsInvalid),
    ]
    for headers, error in cases:
        with pytest.raises(error):
            BOTH.verify(callback(b"{}", headers=headers))


def test_nothing_configured_is_no_adapter_unless_it_is_opened_on_purpose():
    with pytest.raises(ValueError, match="Sinch needs"):
        adapter()
    with pytest.raises(ValueError, match="Sinch needs"):
        adapter(secrets=[""])
    assert adapter(allow_unverified=True).verify(callback({})).by == "sinch-unverified"


def test_allowing_the_unverified_never_weakens_what_is_configured():
    with pytest.raises(SignatureMissing):
        adapter(secrets=[SECRET], allow_unverified=True).verify(callback({}))
    with pytest.raises(CredentialsInvalid):
        adapter(users=[USER], passwords=[PASSWORD], allow_unverified=True).verify(callback({}))
