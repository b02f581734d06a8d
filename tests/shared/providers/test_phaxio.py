"""Phaxio: every sample is the right event, one byte changed is refused, and both schemes cover what they cover."""

import doctest
import hashlib
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

import shared.providers.common
import shared.providers.phaxio_errors
from shared.callback import Callback, Document, Parsed
from shared.domain import Direction, EventType, Failure, Media, Phase, Provider, decode_event, encode_event
from shared.errors import Malformed, Refused, SignatureInvalid, SignatureMissing, Unreadable, UnsupportedMediaType
from shared.forms import Form, read_form
from shared.providers.common import MAX_DEPTH
from shared.providers.phaxio import PhaxioAdapter
from shared.signatures import sign_body, sign_phaxio

SAMPLES = Path(__file__).parents[2] / "samples"
WIRE = SAMPLES / "phaxio" / "wire"
OBJECTS = SAMPLES / "phaxio" / "objects"
FAXBOT = SAMPLES / "faxbot"
VECTORS = json.loads((SAMPLES / "phaxio" / "signature_vectors.json").read_text())["vectors"]

TOKEN = "0123456789"
SECRET = "faxbot-api-secret"
PUBLIC_URL = "https://hooks.example.com"
URLENCODED = "application/x-www-form-urlencoded"
NOW = datetime(2026, 10, 3, 12, tzinfo=UTC)
BOTH = PhaxioAdapter(callback_tokens=[TOKEN], api_secrets=[SECRET], public_url=PUBLIC_URL)
OWN = PhaxioAdapter(callback_tokens=[TOKEN], api_secrets=[], public_url=PUBLIC_URL)
BODY = PhaxioAdapter(callback_tokens=[], api_secrets=[SECRET], public_url="")
DONE = {"id": 1, "status": "success", "direction": "sent", "completed_at": 1435602496}


def callback(body, content_type, signature, *, target="/phaxio-callback", query=None, name="X-Phaxio-Signature"):
    headers = CIMultiDict({} if content_type is None else {"content-type": content_type})
    if signature is not None:
        headers[name] = signature
    return Callback(
        route=target.partition("?")[0], target=target, query=query or {}, headers=headers, body=body, received_at=NOW
    )


def multipart(fields, files=()):
    """Return content type and body; files are (name, content) or (name, content, filename, type)."""
    lines = []
    for name, value in fields:
        octets = value.encode("utf-8", "surrogateescape")
        lines.append(b'--b0\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), octets))
    for name, content, *more in files:
        filename, kind = more or ("f.pdf", "application/pdf")
        head = f'--b0\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {kind}'
        lines.append(head.encode() + b"\r\n\r\n" + content + b"\r\n")
    return "multipart/form-data; boundary=b0", b"".join(lines) + b"--b0--\r\n"


def by_phaxio(fields, files=(), *, target="/phaxio-callback", **more):
    """Return a callback as Phaxio signs it."""
    content_type, body = multipart(fields, files)
    signature = sign_phaxio(TOKEN, PUBLIC_URL + target, fields, [file[:2] for file in files])
    return callback(body, content_type, signature, target=target, **more)


def by_faxbot(body, content_type="application/json", **more):
    """Return a callback as Faxbot 2025 signs it; anything but bytes is sent as JSON."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return callback(body, content_type, sign_body(SECRET, body), **more)


def take(received, adapter=BOTH) -> Parsed:
    parsed = adapter.parse(received, adapter.verify(received))
    assert decode_event(encode_event(parsed.event)) == parsed.event, "an event survives the broker"
    assert parsed.event.phase is parsed.event.type.phase
    return parsed


def event_of(fields, **more):
    return take(by_phaxio(fields, **more)).event


def wire(name):
    said = json.loads((WIRE / f"{name}.json").read_text())
    body = (WIRE / said["body_file"]).read_bytes()
    target = said["url"].removeprefix(PUBLIC_URL)
    return callback(body, said["headers"]["Content-Type"], said["headers"]["X-Phaxio-Signature"], target=target)


def fax(**keys):
    return ("fax", json.dumps(DONE | keys))


def digest(*parts):
    return "phaxio:" + hashlib.sha256("".join(f"{len(part)}:{part}," for part in parts).encode()).hexdigest()[:32]


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(shared.providers.common).failed == 0
    assert doctest.testmod(shared.providers.phaxio_errors).failed == 0


# ---- every sample is the right event


def test_v21_sent_and_completed():
    event = take(wire("v21_sent_fax_completed"), OWN).event
    assert (event.provider, event.type, event.phase) == (Provider.PHAXIO, EventType.DELIVERED, Phase.POSTFLIGHT)
    assert (event.direction, event.fax_id, event.status, event.pages) == (Direction.SENT, "123456", "success", 3)
    assert event.occurred_at == datetime(2015, 9, 2, 16, 28, 54, tzinfo=UTC)
    assert event.received_at == NOW
    assert (event.from_number, event.to_number) == ("+18088675309", "+14141234567")
    assert event.is_test
    assert event.failure is None
    assert event.fields["event_type"] == "fax_completed"
    assert event.fields["fax"]["cost"] == 21
    assert event.fields["fax"]["tags"] == {"order_id": "1234"}
    assert event.id == digest("123456", "sent", "fax_completed", "success", "1441211334")


def test_v21_sent_and_failed():
    event = take(wire("v21_sent_failure"), OWN).event
    assert event.type is EventType.FAILED
    assert event.failure == Failure(type="lineError", code="17", message="Busy", permanent=False)


def test_v21_page_on_the_way():
    event = take(wire("v21_inflight_transmitting_page"), OWN).event
    assert (event.type, event.phase) == (EventType.PAGE_SENT, Phase.INFLIGHT)
    assert (event.to_number, event.status, event.occurred_at) == ("+14141234567", "inprogress", None)
    assert event.fields["page"] == "2"
    assert event.id == digest("123456", "transmitting_page", "+14141234567", "2", "0")


def test_v21_received_with_its_document():
    parsed = take(wire("v21_received_with_file"), OWN)
    event = parsed.event
    assert (event.type, event.direction) == (EventType.RECEIVED, Direction.RECEIVED)
    assert (event.from_number, event.to_number) == ("+16504888494", "+13142666714")
    assert event.fields["fax"]["caller_name"] == "Zoë & Søn"
    assert event.media is None
    assert parsed.document.content_type == "application/pdf"
    assert len(parsed.document.content) == 7472
    assert (
        hashlib.sha1(parsed.document.content, usedforsecurity=False).hexdigest()
        == "1a8ec2e4a8891a365c46f2670d759f6e52a38167"
    )


def test_v1_sent_with_texts_where_numbers_are_expected():
    event = take(wire("v1_sent"), OWN).event
    assert (event.type, event.fax_id, event.pages) == (EventType.DELIVERED, "13112687", 1)
    assert event.occurred_at == datetime.fromtimestamp(1435602496, UTC)
    assert event.to_number == "+18142341450"
    assert event.fields["message"] == ""
    assert event.fields["fax"]["recipients"][0]["bitrate"] == "9600"


@pytest.mark.parametrize(
    ("sample", "number", "occurred_at"),
    [
        ("v1_callback_fax.java_example", "+14141234567", 1441211334),
        ("v1_fax_sent.real", "+18142341450", 1435602496),
        ("v1_fax_status_success.nerab", "+14141234567", 1293911100),
        ("v21_get_fax_real_api_response.ruby_cassette", "+15558675309", 1636061310),
        ("v2_fax_info.dotnet", "+14141234567", 1441211334),
        ("v2_fax_info.java", "+14141234567", 1441211334),
        ("v2_fax_extra_fields.java", "+14141234567", 1441211334),
    ],
)
def test_each_captured_fax_object_is_read_in_a_callback_and_kept_whole(sample, number, occurred_at):
    content = json.loads((OBJECTS / f"{sample}.json").read_text())
    content = content.get("data", content)
    event = event_of([("fax", json.dumps(content))])
    assert (event.fax_id, event.to_number, event.pages) == (str(content["id"]), number, content["num_pages"])
    assert event.occurred_at == datetime.fromtimestamp(occurred_at, UTC)
    assert event.fields["fax"] == content
    assert event.type is (EventType.DELIVERED if content["status"] == "success" else EventType.QUEUED)


def test_each_form_of_faxbots_tests_is_read():
    for name in ("phaxio_callback_form", "phaxio_callback_form_autotunnel"):
        said = json.loads((FAXBOT / f"{name}.json").read_text())
        body = urlencode(said["fields"]).encode()
        query = {"job_id": "test_job_123"}
        event = take(by_faxbot(body, URLENCODED, target=said["endpoint"].split()[1], query=query), BODY).event
        assert (event.fax_id, event.pages, event.to_number) == (said["fields"]["fax[id]"], 2, "+15551234567")
        assert event.job_id == "test_job_123"
        assert event.type is EventType.DELIVERED
        assert event.fields["fax"].get("cost") == said["fields"].get("fax[cost]")
        assert event.from_number == said["fields"].get("fax[from]")


def test_the_forms_and_json_of_faxbots_documentation_are_read():
    event = take(by_faxbot((FAXBOT / "phaxio_callback_form_docs.txt").read_bytes().strip(), URLENCODED)).event
    assert (event.fax_id, event.status, event.pages) == ("123456", "success", 2)
    body = (FAXBOT / "phaxio_inbound_docs_json.json").read_bytes()
    event = take(by_faxbot(body, target="/phaxio-inbound")).event
    assert (event.fax_id, event.type, event.pages) == ("98765", EventType.RECEIVED, 3)
    assert (event.from_number, event.to_number) == ("+15551230000", "+15559870000")
    assert event.media == Media(url="https://files.phaxio.com/...")
    event = take(by_faxbot((FAXBOT / "phaxio_sample_payload_console.json").read_bytes())).event
    assert (event.type, event.to_number) == (EventType.RECEIVED, "+15551234567"), "what it says goes before the route"
    assert event.occurred_at is None, "<ISO> is no time"


def test_the_inbound_fields_of_faxbot_2026_verify_with_its_token_and_url():
    said = json.loads((FAXBOT / "phaxio_inbound_2026_test_fields.json").read_text())
    adapter = PhaxioAdapter(callback_tokens=[said["token"]], api_secrets=[], public_url="https://testserver")
    fields = [tuple(pair) for pair in said["fields"]]
    content_type, body = multipart(fields, [("file", b"%PDF-1.4")])
    signature = sign_phaxio(said["token"], said["url"], fields, [("file", b"%PDF-1.4")])
    parsed = take(callback(body, content_type, signature, target="/phaxio-inbound"), adapter)
    assert (parsed.event.fax_id, parsed.event.to_number) == ("9001", "+15555550123")
    assert parsed.document == Document(content=b"%PDF-1.4", content_type="application/pdf")


CASES_2026 = json.loads((FAXBOT / "phaxio_callback_2026_test_cases.json").read_text())


@pytest.mark.parametrize("fields", CASES_2026["accepted_shapes"])
def test_each_shape_that_faxbot_2026_accepts_is_accepted(fields):
    event = event_of([tuple(pair) for pair in fields])
    assert event.fax_id in ("remote-one", "123")
    assert event.type is EventType.DELIVERED


@pytest.mark.parametrize("fields", CASES_2026["refused_shapes"])
def test_each_shape_that_faxbot_2026_refuses_is_unreadable(fields):
    with pytest.raises(Unreadable, match="different faxes"):
        event_of([tuple(pair) for pair in fields])


# ---- Phaxio's own scheme


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
def test_a_public_url_that_nobody_can_have_signed_is_refused_when_it_is_set(public_url):
    with pytest.raises(ValueError, match="PUBLIC_URL"):
        PhaxioAdapter(callback_tokens=[TOKEN], api_secrets=[], public_url=public_url)


def test_an_adapter_without_secrets_is_refused_and_an_empty_one_is_none():
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


# ---- the raw body's scheme


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
        (b"id=1&event_type=fax_completed&status=melted", URLENCODED),
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


# ---- shapes


SHAPES = {
    "json in fax": [("fax", json.dumps(DONE | {"num_pages": 3})), ("success", "true")],
    "bracketed": [
        *((f"fax[{name}]", str(value)) for name, value in (DONE | {"num_pages": 3}).items()),
        ("success", "true"),
    ],
    "flat": [*((name, str(value)) for name, value in (DONE | {"num_pages": 3}).items()), ("success", "true")],
}


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
def test_all_three_shapes_say_the_same_event_with_the_same_fields(fields):
    event = event_of(fields)
    assert (event.fax_id, event.type, event.pages) == ("1", EventType.DELIVERED, 3)
    assert event.occurred_at == datetime.fromtimestamp(1435602496, UTC)
    assert event.id == digest("1", "sent", "fax_completed", "success", "1435602496")
    assert event.fields["success"] == "true"
    assert {name: str(value) for name, value in event.fields["fax"].items() if name != "direction"} == {
        "id": "1",
        "status": "success",
        "completed_at": "1435602496",
        "num_pages": "3",
    }


def test_the_same_completion_in_v1_and_v21_words_is_the_same_event():
    v1 = event_of([("fax", json.dumps({"id": 7, "status": "success", "completed_at": 1441211334}))])
    v21 = event_of(
        [
            ("event_type", "fax_completed"),
            ("fax", json.dumps({"id": "7", "status": "Success", "completed_at": "2015-09-02T11:28:54.000-05:00"})),
        ]
    )
    assert v1.id == v21.id


def test_shapes_that_agree_are_one_and_nothing_of_either_is_lost():
    event = event_of([fax(), ("id", "1"), ("status", "SUCCESS"), ("fax[id]", "1"), ("fax[cost]", "7"), ("extra", "x")])
    assert event.fields["fax"]["cost"] == "7"
    assert event.fields["fax"]["id"] == 1
    assert (event.fields["fax[id]"], event.fields["extra"], event.fields["status"]) == ("1", "x", "SUCCESS")


def test_repeated_names_that_decide_nothing_are_kept_as_a_list():
    event = event_of([fax(), ("fax[tags][]", "a"), ("fax[tags][]", "b"), ("fax[tags][]", "a"), ("success", "true")])
    assert event.fields["fax[tags][]"] == ["a", "b", "a"]


def test_the_aliases_of_faxbot_are_read():
    event = take(
        by_faxbot(
            {"faxId": "a-1", "status": "received", "pages": "4", "from": " 15551230000", "to": "15559870000"},
            target="/phaxio-inbound",
        )
    ).event
    assert (event.fax_id, event.pages, event.from_number, event.to_number) == ("a-1", 4, "+15551230000", "+15559870000")
    assert event.fields["fax"]["from"] == " 15551230000", "what was sent stays as it was sent"


@pytest.mark.parametrize("name", ["file_url", "media_url", "pdf_url"])
def test_media_that_is_only_named_is_named(name):
    assert event_of([fax(**{name: "https://files.example/1"})]).media == Media(url="https://files.example/1")
    assert event_of([fax(), (name, "http://files.example/1")]).media == Media(url="http://files.example/1")
    odd = event_of([fax(**{name: "file:///etc/passwd"})])
    assert odd.media is None
    assert odd.fields["fax"][name] == "file:///etc/passwd"


def test_texts_that_no_database_can_hold_are_cleaned():
    spoiled = r'{"id": 1, "status": "success", "caller_name": "a\u0000b", "tags": {"x\u0000": ["\u0000"]}}'
    event = event_of([("fax", spoiled), ("metadata", "\udcff\0")], query={"job_id": "j\0\udcff"})
    assert event.fields["fax"]["caller_name"] == "a\ufffdb"
    assert event.fields["fax"]["tags"] == {"x\ufffd": ["\ufffd"]}
    assert event.fields["metadata"] == "\ufffd\ufffd"
    assert event.job_id == "j\ufffd\ufffd"
    raw = take(by_faxbot(b'{"id": "\xff1", "caller_name": "\xe9"}')).event
    assert (raw.fax_id, raw.fields["fax"]["caller_name"]) == ("\ufffd1", "\ufffd")


# ---- what the words mean


@pytest.mark.parametrize(
    ("status", "sent", "received"),
    [
        ("queued", EventType.QUEUED, EventType.QUEUED),
        ("pendingbatch", EventType.QUEUED, EventType.QUEUED),
        ("inprogress", EventType.SENDING, EventType.RECEIVING),
        ("in_progress", EventType.SENDING, EventType.RECEIVING),
        ("sending", EventType.SENDING, EventType.RECEIVING),
        ("success", EventType.DELIVERED, EventType.RECEIVED),
        (" Success ", EventType.DELIVERED, EventType.RECEIVED),
        ("partialsuccess", EventType.PARTIALLY_DELIVERED, EventType.RECEIVED),
        ("failure", EventType.FAILED, EventType.RECEIVE_FAILED),
        ("error", EventType.FAILED, EventType.RECEIVE_FAILED),
        ("cancelled", EventType.FAILED, EventType.RECEIVE_FAILED),
        ("received", EventType.UNKNOWN, EventType.RECEIVED),
        ("melting", EventType.UNKNOWN, EventType.UNKNOWN),
    ],
)
def test_a_status_means_what_the_table_says(status, sent, received):
    for direction, wanted in (("sent", sent), ("received", received)):
        event = event_of([fax(status=status, direction=direction)])
        assert event.type is wanted
        assert event.status == status.strip()
        assert event.partial is (status == "partialsuccess" and direction == "received")
        if wanted is not EventType.UNKNOWN:
            assert event_of([fax(status=status, direction=direction), ("event_type", "fax_completed")]).type is wanted


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ([fax(status="melted"), ("success", "true")], EventType.DELIVERED),
        ([fax(status="melted"), ("success", "false")], EventType.FAILED),
        ([fax(status=None), ("success", "false")], EventType.FAILED),
        ([fax(status="melted", error_id=17)], EventType.FAILED),
        ([fax(status="melted", direction="received", file_url="https://a.example/")], EventType.RECEIVED),
    ],
)
def test_a_completed_fax_of_unknown_status_ends_as_something_else_says(fields, wanted):
    event = event_of([*fields, ("event_type", "fax_completed")])
    assert event.type is wanted
    assert event.phase is Phase.POSTFLIGHT


def test_without_event_type_an_unknown_status_is_inflight_and_a_missing_one_left_to_success():
    assert event_of([fax(status="melted"), ("success", "true")]).type is EventType.UNKNOWN
    assert event_of([fax(status=None), ("success", "true")]).type is EventType.DELIVERED
    assert event_of([fax(status=None)]).type is EventType.UNKNOWN


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Transmitting_Page", EventType.PAGE_SENT),
        ("retry_scheduled", EventType.RETRY_SCHEDULED),
        ("new", EventType.UNKNOWN),
    ],
)
def test_an_event_type_names_what_is_inflight_whatever_the_status(name, wanted):
    event = event_of([fax(status="success"), ("event_type", name)])
    assert (event.type, event.phase, event.occurred_at) == (wanted, Phase.INFLIGHT, None)
    assert event.fields["event_type"] == name


@pytest.mark.parametrize(
    ("field", "own", "route", "wanted"),
    [
        ("received", "sent", "/phaxio-callback", Direction.RECEIVED),
        ("SENT", "received", "/phaxio-inbound", Direction.SENT),
        (None, "received", "/phaxio-callback", Direction.RECEIVED),
        ("sideways", "sent", "/phaxio-inbound", Direction.SENT),
        (None, None, "/phaxio-callback", Direction.SENT),
        (None, None, "/phaxio-inbound", Direction.RECEIVED),
    ],
)
def test_the_direction_is_the_fields_else_the_faxs_else_the_routes(field, own, route, wanted):
    fields = [fax(direction=own), *([("direction", field)] if field else [])]
    assert event_of(fields, target=route).direction is wanted


def test_a_received_fax_without_or_with_an_empty_file_has_no_document():
    failed = fax(direction="received", status="failure", error_type="faxError", error_id="12")
    for files in ((), [("file", b"")]):
        parsed = take(by_phaxio([failed], files))
        assert parsed.document is None
        assert parsed.event.type is EventType.RECEIVE_FAILED


@pytest.mark.parametrize("names", [["file"], ["filename"], ["whatever"], ["other", "file"], ["filename", "other"]])
def test_the_document_is_the_part_named_for_it_or_the_only_one(names):
    files = [(name, b"x" if name == "other" else b"%PDF-1") for name in names]
    assert take(by_phaxio([fax(direction="received")], files)).document.content == b"%PDF-1"


@pytest.mark.parametrize(
    ("content", "sent", "wanted"),
    [
        (b"%PDF-1.4", "text/html", "application/pdf"),
        (b"II*\0", "text/html", "image/tiff"),
        (b"other", "image/png", "image/png"),
        (b"other", "nonsense", "application/pdf"),
    ],
)
def test_the_documents_type_is_told_by_its_signed_bytes_first(content, sent, wanted):
    parsed = take(by_phaxio([fax()], [("file", content, "f", sent)]))
    assert parsed.document == Document(content=content, content_type=wanted)


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"error_type": "lineError", "error_id": 17, "error_message": "Busy"}, ("lineError", "17", "Busy", False)),
        ({"error_type": "lineError", "error_id": "34"}, ("lineError", "34", None, True)),
        ({"error_type": "faxError", "error_id": 133}, ("faxError", "133", None, True)),
        ({"error_type": "faxError", "error_id": 131}, ("faxError", "131", None, False)),
        ({"error_type": "documentConversionError", "error_id": 133}, ("documentConversionError", "133", None, True)),
        ({"error_type": "documentConversionError", "error_id": 57}, ("documentConversionError", "57", None, False)),
        ({"error_type": "fatalError", "error_id": 3}, ("fatalError", "3", None, None)),
        ({"error_type": "my own", "error_code": "v1's text"}, ("my own", None, "v1's text", None)),
        ({"error_id": 34}, (None, "34", None, None)),
    ],
)
def test_a_failure_is_told_in_phaxios_words_and_judged_by_type_and_id_together(keys, wanted):
    failure = event_of([fax(status="failure", **keys)]).failure
    assert (failure.type, failure.code, failure.message, failure.permanent) == wanted
    assert event_of([fax(status="success", **keys)]).failure is None


def test_a_failure_without_words_is_told_by_most_recipients_then_by_v1s_message_else_not_at_all():
    busy = {"status": "failure", "error_type": "lineError", "error_id": 17, "error_message": "Busy"}
    gone = {"status": "failure", "error_type": "lineError", "error_id": 73}
    event = event_of([fax(status="failure", recipients=[gone, busy, busy, {"status": "success"}])])
    assert event.failure == Failure(type="lineError", code="17", message="Busy", permanent=False)
    assert event_of([fax(status="failure"), ("message", "No answer")]).failure == Failure(message="No answer")
    assert event_of([fax(status="failure"), ("message", "")]).failure is None


def test_two_recipients_with_different_outcomes_are_a_partial_delivery_to_nobody_in_particular():
    recipients = [
        {"phone_number": "+14141234567", "status": "success"},
        {"phone_number": "+14141234568", "status": "failure", "error_type": "lineError", "error_id": 50},
    ]
    event = event_of([fax(status="partialsuccess", recipients=recipients, to_number=None)])
    assert (event.type, event.to_number, event.partial) == (EventType.PARTIALLY_DELIVERED, None, False)
    assert event.failure == Failure(type="lineError", code="50", permanent=True)
    assert event.fields["fax"]["recipients"] == recipients


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("+16504888494", "+16504888494"),
        (" 16504888494", "+16504888494"),
        ("16504888494", "+16504888494"),
        (16504888494, "+16504888494"),
        ("6504888494", "+16504888494"),
        (" 4722334455", "+4722334455"),
        ("+1 (650) 488-8494", "+16504888494"),
        ("321", "321"),
        ("0041441234567", "0041441234567"),
        ("sip:fax@example.com", "sip:fax@example.com"),
        ("anonymous", "anonymous"),
        ("١٢٣٤٥٦٧٨٩٠١", "١٢٣٤٥٦٧٨٩٠١"),
        ("+", "+"),
        ("1" * 16, "1" * 16),
        ("", None),
        (None, None),
        ([1], None),
        (True, None),
    ],
)
def test_numbers_come_out_in_e164_and_what_is_none_as_it_is(sent, read):
    event = event_of([fax(direction="received", from_number=sent)])
    assert event.from_number == read
    assert event.fields["fax"]["from_number"] == sent


def test_a_sent_fax_comes_from_its_caller_id_only_if_that_is_a_number():
    assert event_of([fax(caller_id="8088675309")]).from_number == "+18088675309"
    assert event_of([fax(caller_id="Caller")]).from_number is None
    assert event_of([fax(caller_id="+18088675309", from_number="+1650")]).from_number == "+1650"
    assert event_of([fax(caller_id="+18088675309", direction="received")]).from_number is None


@pytest.mark.parametrize("completed_at", [None, "", "<ISO>", "2015-09-02T11:28:54", 10**20, -1e300, [1], True])
def test_a_time_that_is_none_costs_nothing_but_the_time(completed_at):
    event = event_of([fax(completed_at=completed_at)])
    assert event.occurred_at is None
    assert event.type is EventType.DELIVERED


@pytest.mark.parametrize("pages", ["abc", -1, 2.5, 2**31, 10**12, None, True, ["1"]])
def test_pages_that_are_no_count_cost_nothing_but_the_count(pages):
    event = event_of([fax(num_pages=pages)])
    assert event.pages is None
    assert event.fields["fax"]["num_pages"] == pages


def test_no_pages_are_zero_pages_and_not_unknown():
    assert event_of([fax(num_pages=0, pages=7)]).pages == 0


@pytest.mark.parametrize(
    ("field", "own", "wanted"), [("true", False, True), ("0", True, False), (None, True, True), (None, None, False)]
)
def test_a_test_fax_is_one_if_the_callback_says_so_else_the_fax(field, own, wanted):
    assert event_of([fax(is_test=own), *([("is_test", field)] if field else [])]).is_test is wanted


def test_a_queued_fax_happened_when_it_was_created():
    created = event_of(
        [fax(status="queued", completed_at=None, created_at="2021-11-04T16:28:30.000-05:00")]
    ).occurred_at
    requested = event_of([fax(status="queued", completed_at=None, requested_at="1636061310")]).occurred_at
    assert created == requested == datetime(2021, 11, 4, 21, 28, 30, tzinfo=UTC)


def test_job_id_comes_from_the_query_and_identifies_nothing():
    with_job = event_of([fax()], target="/phaxio-callback?job_id=j1", query={"job_id": " j1 "})
    without = event_of([fax()])
    assert (with_job.job_id, without.job_id) == ("j1", None)
    assert with_job.id == without.id
    assert event_of([fax()], query={"job_id": "j" * 201}).job_id is None, "too long to be anybody's"


# ---- the event's id


def page(retry_count=0, **more):
    recipients = [
        {"phone_number": "+14140000000", "retry_count": 9},
        {"number": "+14141234567", "retry_count": retry_count},
    ]
    fields = {"event_type": "transmitting_page", "page": "1", "recipient_phone_number": "+14141234567"} | more
    return [fax(status="inprogress", recipients=recipients), *fields.items()]


def test_a_redials_first_page_is_another_event_than_the_first_calls():
    ids = {event_of(page(redials)).id for redials in (0, 1, 2)} | {event_of(page(page="2")).id}
    assert len(ids) == 4
    assert event_of(page(1)).id == digest("1", "transmitting_page", "+14141234567", "1", "1")
    assert event_of(page(1, recipient_phone_number=" 14141234567", page=" 1 ")).id == event_of(page("1")).id


def test_a_retry_is_identified_by_recipient_and_count():
    def retry(count, number="+14141234567"):
        return event_of(
            [fax(), ("event_type", "retry_scheduled"), ("retry_count", count), ("recipient_phone_number", number)]
        )

    assert retry("1").id == digest("1", "retry_scheduled", "+14141234567", "1")
    assert len({retry("1").id, retry("2").id, retry("1", "+14141234568").id}) == 3
    assert retry("1").to_number == "+14141234567"


def test_an_unfinished_status_is_identified_by_itself_and_completion_by_its_time():
    assert event_of([fax(status="InProgress")]).id == digest("1", "sent", "inprogress")
    assert event_of([fax(completed_at=None)]).id == digest("1", "sent", "fax_completed", "success", "")
    ids = {event_of([fax(completed_at=at)]).id for at in (1, 2, "soon", None)} | {event_of([fax(status="failure")]).id}
    assert len(ids) == 5


def test_an_unknown_event_type_is_identified_by_every_field_but_the_fax():
    def new(*more, cost=0):
        return event_of([fax(cost=cost), ("event_type", "fax_archived"), *more]).id

    assert new(("b", "2"), ("a", " 1")) == digest("1", "fax_archived", "a", "1", "b", "2", "event_type", "fax_archived")
    assert new(("a", "1"), cost=1) == new(("a", "1"), cost=2)
    assert len({new(("a", "1")), new(("a", "2")), new(("a1", "")), new()}) == 4
    listed = take(by_faxbot({"event_type": "x", "fax": {"id": 1}, "a": {"c": 1, "b": [2]}})).event.id
    assert listed == take(by_faxbot({"a": {"b": [2], "c": 1}, "fax": {"id": "1"}, "event_type": "x"})).event.id


def test_repetitions_that_differ_in_bytes_scheme_job_and_time_are_one_event():
    content_type, body = multipart([("event_type", "fax_completed"), fax(cost=8)])
    events = [
        event_of([fax(), ("event_type", "fax_completed")]),
        event_of([("event_type", " FAX_COMPLETED "), fax(cost=7), ("success", "true")], query={"job_id": "x"}),
        take(callback(body, content_type, sign_body(SECRET, body))).event,
        take(by_faxbot({"fax": DONE})).event,
    ]
    assert len({event.id for event in events}) == 1


def test_the_id_takes_its_parts_unambiguously():
    assert event_of([fax(id="1,4:sent")]).id != event_of([fax(id="1")]).id
    ids = {event_of([fax(), ("event_type", "x"), *more]).id for more in ([("ab", "c")], [("a", "bc")], [("abc", "")])}
    assert len(ids) == 3


# ---- anything at all

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
