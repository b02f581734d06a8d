"""Phaxio: its own scheme refuses one changed byte, and what it does not cover is not passed on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phaxio_callbacks import (
    BODY,
    DONE,
    OWN,
    PUBLIC_URL,
    TOKEN,
    URLENCODED,
    VECTORS,
    WIRE,
    callback,
    event_of,
    fax,
    multipart,
    take,
    wire,
)

from shared.errors import Malformed, Refused, SignatureInvalid, SignatureMissing, UnsupportedMediaType
from shared.forms import Form
from shared.providers.phaxio.adapter import PhaxioAdapter
from shared.signatures import sign_phaxio


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_each_published_vector_is_judged_at_the_front_door(vector):
    # The vectors' URL has no scheme; PUBLIC_URL must have one, so the URL is put together from what is left of it.
    adapter = PhaxioAdapter(callback_tokens=[vector["token"]], api_secrets=[], public_url="https://x")
    adapter._public_url = "example.com"
    files = [(file["name"], bytes.fromhex(file["content_hex"])) for file in vector["files"]]
    content_type, body = multipart(vector["fields"], files)
    target = vector["url"].removeprefix("example.com")
    received = callback(body, content_type, vector["signature"], target=target)
    if vector.get("digest_matches", True):
        verified = adapter.verify(received)
        assert verified.by == "phaxio-sha1"
        assert [list(pair) for pair in verified.content.fields] == vector["fields"]
    else:
        with pytest.raises(SignatureMissing if vector["signature"] == "" else SignatureInvalid):
            adapter.verify(received)


def test_one_byte_changed_anywhere_is_refused_or_was_not_part_of_the_form():
    received = wire("v21_sent_fax_completed")
    whole = OWN.verify(received).content
    unsigned = 0
    for at in range(len(received.body)):
        body = bytearray(received.body)
        body[at] ^= 1
        changed = callback(
            bytes(body),
            received.headers["Content-Type"],
            received.headers["X-Phaxio-Signature"],
            target=received.target,
        )
        try:
            verified = OWN.verify(changed)
        except Refused:
            continue
        unsigned += 1
        assert verified.content == whole, f"byte {at} changes the form and is not noticed"
    assert unsigned < 20, "only the CRLF behind the closing boundary and the letter case of headers are free"


@given(st.data())
def test_one_byte_of_any_value_or_file_changed_is_refused(data):
    name = data.draw(st.sampled_from(sorted(path.stem for path in WIRE.glob("*.json"))))
    received = wire(name)
    form = OWN.verify(received).content
    values = [value.encode() for _, value in form.fields if value] + [part.content for part in form.files]
    value = data.draw(st.sampled_from(values))
    body = bytearray(received.body)
    at = body.find(b"\r\n\r\n" + value) + 4 + data.draw(st.integers(0, len(value) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    headers = received.headers
    with pytest.raises(Refused):
        OWN.verify(
            callback(bytes(body), headers["Content-Type"], headers["X-Phaxio-Signature"], target=received.target)
        )


def test_a_field_dropped_added_or_another_query_is_refused_and_another_order_is_not():
    fields = [fax(), ("event_type", "fax_completed"), ("metadata", "")]
    files = [("file", b"%PDF-1"), ("cover", b"")]
    target = "/phaxio-callback?job_id=a%2Bb&x="
    signature = sign_phaxio(TOKEN, PUBLIC_URL + target, fields, files)

    def verify(fields, files, target=target, signature=signature, adapter=OWN):
        content_type, body = multipart(fields, files)
        return adapter.verify(callback(body, content_type, signature, target=target))

    verify(fields, files)
    verify(fields[::-1], files[::-1])
    verify(fields, files, signature=f" {signature.upper()} ")
    for refused in (
        lambda: verify(fields[:-1], files),
        lambda: verify([*fields, ("zzz", "")], files),
        lambda: verify(fields, files[:1]),
        lambda: verify(fields, [("file", b"%PDF-2"), ("cover", b"")]),
        lambda: verify(fields, [("filf", b"%PDF-1"), ("cover", b"")]),
        lambda: verify(fields, files, target="/phaxio-callback?job_id=a+b&x="),
        lambda: verify(fields, files, target="/phaxio-callback?job_id=a%2bb&x="),
        lambda: verify(fields, files, target="/phaxio-callback"),
        lambda: verify(fields, files, signature=signature[:-1]),
        lambda: verify(fields, files, signature="é" * 40),
        lambda: verify(fields, files, signature="\udcff" * 40),
        lambda: verify(fields, files, signature="0" * 40),
        lambda: verify(fields, files, adapter=BODY),
    ):
        with pytest.raises(SignatureInvalid):
            refused()
    for nothing in (None, "", "   "):
        with pytest.raises(SignatureMissing):
            verify(fields, files, signature=nothing)


def test_the_url_is_the_configured_one_and_never_the_host_header():
    received = wire("v21_sent_failure")
    received.headers["Host"] = "127.0.0.1:8080"
    for public_url in (PUBLIC_URL, PUBLIC_URL + "/"):
        PhaxioAdapter(callback_tokens=[TOKEN], api_secrets=[], public_url=public_url).verify(received)
    with pytest.raises(SignatureInvalid):
        PhaxioAdapter(callback_tokens=[TOKEN], api_secrets=[], public_url="https://127.0.0.1:8080").verify(received)


@pytest.mark.parametrize(
    "public_url", ["", "hooks.example.com", "https://u:p@a.example", "https://a.example/?x=1", "https://a.example/#f"]
)
def test_a_public_url_that_no_one_can_have_signed_is_refused_when_it_is_set(public_url):
    with pytest.raises(ValueError, match="PUBLIC_URL"):
        PhaxioAdapter(callback_tokens=[TOKEN], api_secrets=[], public_url=public_url)


def test_an_adapter_without_secrets_is_refused_and_an_empty_one_makes_no_adapter():
    for nothing in ([], [""]):
        with pytest.raises(ValueError, match="token"):
            PhaxioAdapter(callback_tokens=nothing, api_secrets=nothing, public_url=PUBLIC_URL)


def test_every_token_of_a_rotation_verifies():
    for tokens in ([TOKEN, "new"], ["new", TOKEN]):
        PhaxioAdapter(callback_tokens=tokens, api_secrets=[], public_url=PUBLIC_URL).verify(wire("v1_sent"))


def test_a_json_body_under_the_signature_of_an_empty_form_is_refused():
    signature = sign_phaxio(TOKEN, PUBLIC_URL + "/phaxio-callback", [])
    assert OWN.verify(callback(b"", URLENCODED, signature)).content == Form(fields=())
    for content_type in ("application/json", "Application/JSON; charset=utf-8", "application/fax+json", None):
        with pytest.raises(SignatureInvalid, match="JSON"):
            OWN.verify(callback(json.dumps(DONE).encode(), content_type, signature))


def test_under_the_own_scheme_no_form_is_415_and_a_broken_one_400():
    with pytest.raises(UnsupportedMediaType):
        OWN.verify(callback(b"id=1", "text/plain", "0" * 40))
    with pytest.raises(Malformed):
        OWN.verify(callback(b"--b0\r\n", "multipart/form-data; boundary=b0", "0" * 40))


def test_an_unsigned_or_wrongly_long_signature_is_refused_before_the_body_is_looked_at():
    with pytest.raises(SignatureMissing):
        OWN.verify(callback(b"garbage", "multipart/form-data", None))
    with pytest.raises(SignatureInvalid):
        OWN.verify(callback(b"garbage", "multipart/form-data", "0" * 39))


def test_a_form_without_a_content_type_is_sniffed():
    received = wire("v21_received_with_file")
    del received.headers["Content-Type"]
    assert take(received, OWN).document is not None


@pytest.mark.parametrize(("signed", "kept"), [([0, 1, 2], [0, 1, 2]), ([0, 2], [0, 2]), ([0, 1], [0, 1])])
def test_of_repeated_names_only_what_the_signature_covers_is_passed_on(signed, kept):
    """All kept; else the last wins; else the first wins."""
    sent = [fax(), ("note", "first"), ("note", "last")]
    content_type, body = multipart(sent)
    signature = sign_phaxio(TOKEN, PUBLIC_URL + "/phaxio-callback", [sent[at] for at in signed])
    received = callback(body, content_type, signature)
    verified = OWN.verify(received)
    assert sorted(verified.content.fields) == sorted(sent[at] for at in kept)
    notes = [sent[at][1] for at in kept[1:]]
    assert OWN.parse(received, verified).event.fields["note"] == (notes if len(notes) > 1 else notes[0])


@pytest.mark.parametrize("forged", [("fax", json.dumps(DONE | {"status": "failure"})), ("fax", "")])
@pytest.mark.parametrize("at", [0, 1], ids=["before", "after"])
def test_a_field_added_to_a_captured_callback_changes_nothing(forged, at):
    fields = [fax()]
    signature = sign_phaxio(TOKEN, PUBLIC_URL + "/phaxio-callback", fields)
    content_type, body = multipart([*fields[:at], forged, *fields[at:]])
    event = take(callback(body, content_type, signature)).event
    assert event == event_of(fields)


def test_a_file_added_to_a_captured_callback_is_not_its_document():
    fields, files = [fax(direction="received")], [("file", b"%PDF-real")]
    signature = sign_phaxio(TOKEN, PUBLIC_URL + "/phaxio-callback", fields, files)
    for sent in ([("file", b"%PDF-fake"), *files], [*files, ("file", b"%PDF-fake")]):
        content_type, body = multipart(fields, sent)
        assert take(callback(body, content_type, signature)).document.content == b"%PDF-real"
    content_type, body = multipart(fields, [*files, ("other", b"%PDF-fake")])
    with pytest.raises(SignatureInvalid):
        OWN.verify(callback(body, content_type, signature))
