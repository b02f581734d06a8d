"""Telnyx: only a signature by one of the keys, at most 300 s from our clock, verifies."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from telnyx_callbacks import ADAPTER, KEY, NOW, OTHER_KEY, VECTORS, callback, envelope, sample, signed

from shared.callback import Verified
from shared.errors import Refused, SignatureInvalid, SignatureMissing, TimestampExpired
from shared.providers.telnyx.adapter import TelnyxAdapter


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_every_vector_is_judged_as_it_says_by_the_clock_it_names(vector):
    received_at = datetime.fromtimestamp(vector["now"], UTC)
    made = callback(base64.b64decode(vector["body_b64"]), headers=vector["headers"], received_at=received_at)
    if vector["valid"]:
        assert ADAPTER.verify(made).by == "telnyx-ed25519"
    else:
        with pytest.raises(Refused) as refusal:
            ADAPTER.verify(made)
        assert refusal.value.status == 401


def test_each_refusal_has_its_own_code():
    codes = {}
    for vector in VECTORS["vectors"]:
        if not vector["valid"]:
            received_at = datetime.fromtimestamp(vector["now"], UTC)
            made = callback(base64.b64decode(vector["body_b64"]), headers=vector["headers"], received_at=received_at)
            with pytest.raises(Refused) as refusal:
                ADAPTER.verify(made)
            codes[vector["name"]] = refusal.value.code
    assert codes == {
        "stale-301s": "timestamp_expired",
        "tampered-body": "signature_invalid",
        "missing-signature": "signature_missing",
        "non-numeric-timestamp": "signature_invalid",
        "dot-separator": "signature_invalid",
        "reserialised-body": "signature_invalid",
    }


def test_every_changed_byte_of_a_body_is_refused():
    good = signed(sample("fax.received.doc.json"))
    for position in range(0, len(good.body), 7):
        body = bytearray(good.body)
        body[position] ^= 1
        with pytest.raises(SignatureInvalid):
            ADAPTER.verify(callback(bytes(body), headers=good.headers))


@pytest.mark.parametrize("sign", [-1, 1])
def test_300_seconds_are_inside_and_301_are_not_both_ways(sign):
    ADAPTER.verify(signed({}, at=NOW + sign * timedelta(seconds=300)))
    with pytest.raises(TimestampExpired):
        ADAPTER.verify(signed({}, at=NOW + sign * timedelta(seconds=301)))


def test_a_repetition_is_signed_anew_and_judged_by_its_own_arrival():
    later = NOW + timedelta(hours=7)
    ADAPTER.verify(signed({}, at=later, received_at=later))
    with pytest.raises(TimestampExpired):
        ADAPTER.verify(signed({}, at=NOW, received_at=later))


@pytest.mark.parametrize("absent", ["telnyx-signature-ed25519", "telnyx-timestamp"])
def test_either_header_missing_or_empty_is_a_missing_signature(absent):
    good = signed({})
    for headers in (
        {name: text for name, text in good.headers.items() if name != absent},
        {**good.headers, absent: ""},
    ):
        with pytest.raises(SignatureMissing):
            ADAPTER.verify(callback(good.body, headers=headers))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: base64.b64decode(text).hex(),
        lambda text: text + "!",
        lambda text: "*" + text[1:],
        lambda text: base64.b64encode(base64.b64decode(text)[:63]).decode(),
        lambda text: base64.b64encode(base64.b64decode(text) + b"\0").decode(),
        lambda _: "ünïcode",
        lambda _: "\udce9",
    ],
    ids=["hex", "junk", "star", "63 bytes", "65 bytes", "not ascii", "surrogate"],
)
def test_a_signature_in_any_other_form_is_invalid_and_never_an_error(spoil):
    good = signed({})
    headers = {**good.headers, "telnyx-signature-ed25519": spoil(good.headers["telnyx-signature-ed25519"])}
    with pytest.raises(SignatureInvalid):
        ADAPTER.verify(callback(good.body, headers=headers))


@pytest.mark.parametrize("timestamp", ["-1", "1e9", "1761048000.0", " 1761048000x", "١٧٦", "NaN", "9" * 400])
def test_a_timestamp_that_is_not_all_digits_is_invalid(timestamp):
    headers = {**signed({}).headers, "telnyx-timestamp": timestamp}
    with pytest.raises(SignatureInvalid):
        ADAPTER.verify(callback({}, headers=headers))


def test_several_keys_are_all_valid_and_another_one_is_not():
    made = signed({})
    TelnyxAdapter(public_keys=[OTHER_KEY, KEY]).verify(made)
    TelnyxAdapter(public_keys=[KEY, OTHER_KEY]).verify(made)
    with pytest.raises(SignatureInvalid):
        TelnyxAdapter(public_keys=[OTHER_KEY]).verify(made)


def test_a_key_that_cannot_be_read_stops_the_start():
    for key in ("", "short", base64.b64encode(b"x" * 31).decode()):
        with pytest.raises(ValueError, match=r"TELNYX_PUBLIC_KEY is wrong: .* 32 bytes"):
            TelnyxAdapter(public_keys=[KEY, key])


def test_a_body_with_other_than_ascii_text_verifies_and_its_text_is_kept():
    content = envelope("fax.queued", {"from": "sip:zoë@例え.jp"}, client_note="🚀")
    ADAPTER.verify(signed(content))
    raw = signed(json.dumps(content, ensure_ascii=False).encode())
    ADAPTER.verify(raw)
    event = ADAPTER.parse(raw, Verified(by="telnyx-ed25519")).event
    assert (event.from_number, event.fields["client_note"]) == ("sip:zoë@例え.jp", "🚀")
