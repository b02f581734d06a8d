"""Sinch: what lets its callbacks in, and what they mean in every shape."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest

from shared.callback import Callback, Document, Verified
from shared.domain import Direction, EventType, Failure, Media, Phase
from shared.errors import CredentialsInvalid, Refused, SignatureInvalid, SignatureMissing, Unreadable
from shared.providers.sinch import SinchAdapter
from shared.signatures import basic_header, sign_body

SAMPLES = Path(__file__).parents[2] / "samples"
SINCH = SAMPLES / "sinch"
META = json.loads((SINCH / "incoming_fax.multipart.meta.json").read_text())
USER, PASSWORD = META["basic_auth"]["user"], META["basic_auth"]["password"]
HMAC_VECTORS = json.loads((SINCH / "faxbot_hmac_vectors.json").read_text())["vectors"]
OTHER_APIS = json.loads((SINCH / "sinch_other_api_signature_vectors.json").read_text())
CODES = json.loads((SINCH / "error_codes.json").read_text())["codes"]
SECRET = "sinch-hmac-secret"
NOW = datetime(2025, 10, 21, 12, 0, 0, tzinfo=UTC)
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n\r\n\x00\xff\xfe--end"


def adapter(*, users=(), passwords=(), secrets=(), allow_unverified=False):
    return SinchAdapter(users=users, passwords=passwords, hmac_secrets=secrets, allow_unverified=allow_unverified)


BASIC = adapter(users=[USER], passwords=[PASSWORD])
SIGNED = adapter(secrets=[SECRET])
BOTH = adapter(users=[USER], passwords=[PASSWORD], secrets=[SECRET])
PROVEN = Verified(by="sinch-basic")


def sample(name, folder=SINCH):
    return json.loads((folder / name).read_text())


def callback(content, *, content_type="application/json", headers=None, query=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    types = {} if content_type is None else {"Content-Type": content_type}
    return Callback(
        route="/sinch-inbound",
        target="/sinch-inbound",
        query=query or {},
        headers={**types, **(headers or {})},
        body=body,
        received_at=NOW,
    )


def parse(content, verified=PROVEN, **options):
    return BASIC.parse(callback(content, **options), verified)


def event_of(content, **options):
    return parse(content, **options).event


def multipart(fields, files=()):
    boundary = "x-boundary"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    body = "".join(parts).encode()
    for name, content_type, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="fax"\r\n'
        head += f"Content-Type: {content_type}\r\n\r\n" if content_type else "\r\n"
        body += head.encode() + content + b"\r\n"
    return {
        "content": body + f"--{boundary}--\r\n".encode(),
        "content_type": f"multipart/form-data; boundary={boundary}",
    }


def incoming(**fax):
    return {"event": "INCOMING_FAX", "fax": {"id": "F1", "direction": "INBOUND", "status": "COMPLETED", **fax}}


def completed(**fax):
    return {"event": "FAX_COMPLETED", "fax": {"id": "F1", "direction": "OUTBOUND", "status": "COMPLETED", **fax}}


# ---- who may call ----------------------------------------------------------------------------------------------------


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


# ---- the shapes ------------------------------------------------------------------------------------------------------


def test_the_json_sample_is_a_received_fax_with_its_document():
    parsed = parse((SINCH / "incoming_fax.json").read_bytes())
    event = parsed.event
    assert (event.type, event.phase, event.direction) == (EventType.RECEIVED, Phase.POSTFLIGHT, Direction.RECEIVED)
    assert (event.fax_id, event.status, event.pages) == ("01HDFHACK1YN7CCDYRA6ZRMA8Z", "COMPLETED", 1)
    assert (event.from_number, event.to_number) == ("+14155552222", "+14155553333")
    assert event.occurred_at == datetime(2021, 11, 1, 23, 25, 39, tzinfo=UTC)
    assert (event.failure, event.media, event.partial) == (None, None, False)
    assert parsed.document == Document(content=b"fasdfdasdaf", content_type="application/pdf")


def test_the_multipart_sample_is_the_same_event_and_its_file_is_kept_byte_for_byte():
    body = (SINCH / "incoming_fax.multipart.bin").read_bytes()
    parsed = parse(body, content_type=META["content_type"])
    assert hashlib.sha256(parsed.document.content).hexdigest() == META["pdf_sha256"]
    assert len(parsed.document.content) == META["pdf_len"]
    assert parsed.document.content_type == "application/pdf"
    as_json = event_of((SINCH / "incoming_fax.json").read_bytes())
    assert (parsed.event.id, parsed.event.type) == (as_json.id, as_json.type)
    assert parsed.event.fields["fax"] == as_json.fields["fax"]


def test_file_bytes_are_the_same_by_either_encoding():
    as_json = parse({**incoming(), "file": base64.b64encode(PDF).decode(), "fileType": "PDF"})
    as_form = parse(
        **multipart(
            [("event", "INCOMING_FAX"), ("fax", json.dumps(incoming()["fax"]))], [("file", "application/pdf", PDF)]
        )
    )
    assert as_json.document == as_form.document == Document(content=PDF, content_type="application/pdf")
    assert as_json.event.id == as_form.event.id


def test_the_completed_sample_is_a_delivered_fax():
    parsed = parse(sample("fax_completed.outbound.derived.json"))
    event = parsed.event
    assert (event.type, event.direction, event.pages) == (EventType.DELIVERED, Direction.SENT, 2)
    assert (event.failure, event.partial) == (None, False)
    assert event.fields["fax"]["labels"] == {"job": "42"}
    assert parsed.document.content == b"%PDF-1.4\n"


@pytest.mark.parametrize("name", ["sinch_inbound_docs_2025.json", "sinch_inbound_docs_2026.json"])
def test_faxbot_s_own_documentation_is_understood(name):
    parsed = parse(sample(name, SAMPLES / "faxbot"))
    assert (parsed.event.type, parsed.event.pages) == (EventType.RECEIVED, 2)
    assert (parsed.event.from_number, parsed.event.to_number) == ("+15551230000", "+15559870000")
    assert parsed.document is None


def test_the_documentation_s_placeholder_of_a_file_stays_with_the_fields():
    assert event_of(sample("sinch_inbound_docs_2026.json", SAMPLES / "faxbot")).fields["file"] == "<base64 PDF>"


def test_an_event_and_its_time_are_read_through_one_layer_of_quotes():
    fax = json.dumps(incoming()["fax"])
    quoted = [("event", '"INCOMING_FAX"'), ("eventTime", '"2024-05-14T11:22:05Z"'), ("fax", fax)]
    plain = [("event", "INCOMING_FAX"), ("eventTime", "2024-05-14T11:22:05Z"), ("fax", fax)]
    assert event_of(**multipart(quoted)) == event_of(**multipart(plain))
    assert event_of(**multipart(quoted)).occurred_at == datetime(2024, 5, 14, 11, 22, 5, tzinfo=UTC)


def test_a_fax_that_is_a_text_is_read_in_json_too_quoted_once_more_or_not():
    fax = json.dumps(incoming()["fax"])
    once = event_of({"event": "INCOMING_FAX", "fax": fax})
    twice = event_of(**multipart([("event", "INCOMING_FAX"), ("fax", json.dumps(fax))]))
    assert once == twice == event_of(incoming())


@pytest.mark.parametrize(
    "beside",
    [
        {"file": base64.b64encode(PDF).decode(), "fileType": "PDF"},
        {"files": [{"file": base64.b64encode(PDF).decode(), "fileType": "PDF"}]},
        {"files": json.dumps([{"file": base64.b64encode(PDF).decode(), "fileType": "PDF"}])},
        {"file": base64.b64encode(PDF).decode(), "files": [{"file": base64.b64encode(PDF).decode()}]},
        {"file": base64.encodebytes(PDF).decode()},
        {"file": base64.urlsafe_b64encode(PDF).decode().rstrip("=")},
        {"file": "data:application/pdf;base64," + base64.b64encode(PDF).decode()},
    ],
    ids=["file", "files", "files as text", "the same twice", "with line ends", "url-safe", "data url"],
)
def test_base64_is_decoded_wherever_it_stands_and_never_goes_with_the_event(beside):
    parsed = parse({**incoming(), **beside})
    assert parsed.document == Document(content=PDF, content_type="application/pdf")
    assert base64.b64encode(PDF[:24]).decode()[:20] not in json.dumps(parsed.event.fields)


@pytest.mark.parametrize("name", ["file", "files", "files[]", "files[0]", "document"])
def test_a_file_part_is_the_document_under_any_name(name):
    form = multipart([("event", "INCOMING_FAX"), ("fax", '{"id": "F1"}')], [(name, "", PDF)])
    assert parse(**form).document == Document(content=PDF, content_type="application/pdf")


@pytest.mark.parametrize(
    ("file_type", "content_type"),
    [
        ("TIF", "image/tiff"),
        ("tif", "image/tiff"),
        ("JPG", "image/jpeg"),
        ("PNG", "image/png"),
        ("TXT", "text/plain"),
        ("HTML", "text/html"),
        ("DOCX", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("PDF", "application/pdf"),
        ("WEBP", "application/octet-stream"),
        (None, "application/octet-stream"),
    ],
)
def test_the_file_type_names_what_the_first_bytes_do_not(file_type, content_type):
    file = base64.b64encode(b"no mark").decode()
    assert parse({**incoming(), "file": file, "fileType": file_type}).document.content_type == content_type
    marked = base64.b64encode(PDF).decode()
    assert parse({**incoming(), "file": marked, "fileType": file_type}).document.content_type == "application/pdf"


@pytest.mark.parametrize(
    "beside", [{}, {"file": ""}, {"file": None}, {"files": []}, {"files": [None, {}, 7]}, {"file": 7}]
)
def test_without_a_file_the_event_goes_out_without_a_document(beside):
    parsed = parse({**incoming(), **beside})
    assert (parsed.event.type, parsed.document, parsed.event.media) == (EventType.RECEIVED, None, None)


def test_an_empty_file_part_is_no_document():
    form = multipart([("event", "INCOMING_FAX"), ("fax", '{"id": "F1"}')], [("file", "application/pdf", b"")])
    assert parse(**form).document is None


def test_a_damaged_document_is_quarantined_whole():
    with pytest.raises(Unreadable, match="base64"):
        parse({**incoming(), "file": "*" * 1025})
    assert event_of({**incoming(), "file": "*" * 1024}).fields["file"] == "*" * 1024


def test_two_different_documents_are_quarantined_because_an_event_carries_one():
    with pytest.raises(Unreadable, match="2 documents"):
        parse({**incoming(), "file": base64.b64encode(b"one").decode(), "files": [{"file": "dHdv"}]})


# ---- Faxbot's flat shape ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("id", "from", "to", "num_pages"), ("fax_id", "from_number", "to_number", "pages")])
def test_the_flat_shape_is_read_by_both_sets_of_names_as_json_and_as_a_form(names):
    flat = dict(zip(names, ("abcd-1234", "+15551230000", "+15559870000", 2), strict=True))
    as_json, as_form = (
        event_of(flat),
        event_of(urlencode(flat).encode(), content_type="application/x-www-form-urlencoded"),
    )
    as_parts = event_of(**multipart(flat.items()))
    for event in (as_json, as_form, as_parts):
        assert (event.type, event.fax_id, event.pages) == (EventType.RECEIVED, "abcd-1234", 2)
        assert (event.from_number, event.to_number) == ("+15551230000", "+15559870000")
    assert len({as_json.id, as_form.id, as_parts.id, event_of(sample("faxbot_simplified.json")).id}) == 1


@pytest.mark.parametrize(
    ("status", "event_type"),
    [
        ("received", EventType.RECEIVED),
        ("SUCCESS", EventType.RECEIVED),
        ("Completed", EventType.RECEIVED),
        ("failed", EventType.RECEIVE_FAILED),
        ("FAILURE", EventType.RECEIVE_FAILED),
        ("", EventType.RECEIVED),
        (None, EventType.RECEIVED),
        ("eaten", EventType.UNKNOWN),
    ],
)
def test_a_flat_status_is_read_in_any_case_and_absent_means_received(status, event_type):
    assert event_of({"id": "a", "status": status}).type is event_type


def test_the_flat_default_status_makes_the_same_event_as_the_word():
    assert event_of({"id": "a"}).id == event_of({"id": "a", "status": "Received"}).id


@pytest.mark.parametrize("name", ["file_url", "media_url"])
def test_a_named_url_is_media_if_its_sender_is_proven_and_plain_data_if_not(name):
    flat = {"id": "a", name: "https://fax.example/a.pdf"}
    assert event_of(flat).media == Media(url="https://fax.example/a.pdf")
    unproven = event_of(flat, verified=Verified(by="sinch-unverified"))
    assert (unproven.media, unproven.fields[name]) == (None, "https://fax.example/a.pdf")
    assert event_of({"id": "a", name: "file:///etc/passwd"}).media is None


def test_a_document_that_came_makes_its_url_needless():
    parsed = parse({"id": "a", "file_url": "https://fax.example/a.pdf", "file": base64.b64encode(PDF).decode()})
    assert (parsed.document.content, parsed.event.media) == (PDF, None)


def test_the_content_url_of_a_received_fax_is_media_and_of_a_sent_one_is_not():
    url = "https://fax.example/a.pdf"
    assert event_of(incoming(contentUrl=url)).media == Media(url=url)
    assert event_of(incoming(contentUrl=[url])).media == Media(url=url)
    assert event_of(incoming(contentUrl=[url, url + "2"])).media is None
    assert event_of(completed(contentUrl=url)).media is None
    assert event_of(completed(contentUrl=url)).fields["fax"]["contentUrl"] == url


# ---- what an event means ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "direction", "status", "event_type"),
    [
        ("INCOMING_FAX", "INBOUND", "COMPLETED", EventType.RECEIVED),
        ("INCOMING_FAX", "INBOUND", "FAILURE", EventType.RECEIVE_FAILED),
        ("FAX_COMPLETED", "OUTBOUND", "COMPLETED", EventType.DELIVERED),
        ("FAX_COMPLETED", "OUTBOUND", "FAILURE", EventType.FAILED),
        ("fax_completed", "outbound", "failure", EventType.FAILED),
        # The direction decides what kind of fax it was, not the event's name.
        ("FAX_COMPLETED", "INBOUND", "COMPLETED", EventType.RECEIVED),
        ("INCOMING_FAX", "OUTBOUND", "FAILURE", EventType.FAILED),
        ("INCOMING_FAX", "outbound", "FAILURE", EventType.FAILED),
        # Without a direction the name does.
        ("INCOMING_FAX", None, "COMPLETED", EventType.RECEIVED),
        ("FAX_COMPLETED", None, "COMPLETED", EventType.DELIVERED),
        # Without a name the direction does, and without both the route.
        (None, "OUTBOUND", "COMPLETED", EventType.DELIVERED),
        (None, "INBOUND", "FAILURE", EventType.RECEIVE_FAILED),
        (None, None, "COMPLETED", EventType.RECEIVED),
        # A fax is not declared finished that says it is not.
        ("FAX_COMPLETED", "OUTBOUND", "QUEUED", EventType.QUEUED),
        ("FAX_COMPLETED", "OUTBOUND", "IN_PROGRESS", EventType.SENDING),
        ("INCOMING_FAX", "INBOUND", "IN_PROGRESS", EventType.RECEIVING),
        # Words that nobody knows are kept and seen, and decide nothing.
        ("FAX_COMPLETED", "OUTBOUND", "ABDUCTED", EventType.UNKNOWN),
        ("FAX_TELEPORTED", "OUTBOUND", "COMPLETED", EventType.UNKNOWN),
        # Everything but the id is optional in practice.
        ("INCOMING_FAX", None, None, EventType.RECEIVED),
        ("FAX_COMPLETED", None, None, EventType.DELIVERED),
    ],
)
def test_event_direction_and_status_together_tell_what_happened(event, direction, status, event_type):
    content = {"event": event, "fax": {"id": "F1", "direction": direction, "status": status}}
    assert event_of(content).type is event_type
    assert event_of(content).phase is event_type.phase


def test_an_error_without_a_status_that_is_known_is_a_failure():
    assert event_of(completed(status=None, errorType="CALL_ERROR", errorCode=17)).type is EventType.FAILED
    assert event_of(incoming(status="HUH", errorMessage="noise")).type is EventType.RECEIVE_FAILED


@pytest.mark.parametrize(
    ("pages", "sent", "status", "partial"),
    [
        (3, 1, "FAILURE", True),
        ("3", "2", "FAILURE", True),
        (3, 0, "FAILURE", False),
        (3, 3, "FAILURE", False),
        (3, None, "FAILURE", False),
        (None, 1, "FAILURE", False),
        (3, 1, "COMPLETED", False),
    ],
)
def test_a_sent_fax_that_failed_with_some_of_its_pages_through_is_failed_and_partial(pages, sent, status, partial):
    event = event_of(completed(numberOfPages=pages, pagesSentSuccessfully=sent, status=status))
    assert event.partial is partial
    assert event.type is (EventType.FAILED if status == "FAILURE" else EventType.DELIVERED)


PERMANENT = {
    *(("CALL_ERROR", code) for code in ("32", "34", "49")),
    *(("DOCUMENT_CONVERSION_ERROR", code) for code in ("4", "55", "122", "128", "129", "130", "133")),
    *(("FAX_ERROR", code) for code in ("46", "75", "133")),
}


def test_the_documented_errors_are_10_and_10_and_39():
    assert [len(CODES[name]) for name in ("CALL_ERROR", "DOCUMENT_CONVERSION_ERROR", "FAX_ERROR")] == [10, 10, 39]


@pytest.mark.parametrize(
    ("error_type", "code", "message"),
    [(error_type, code, message) for error_type, codes in CODES.items() for code, message in codes.items()],
)
def test_every_documented_error_is_kept_and_its_permanence_known_by_type_and_code(error_type, code, message):
    fax = {"status": "FAILURE", "errorType": error_type, "errorCode": int(code), "errorMessage": message}
    permanent = None if (error_type, code) == ("DOCUMENT_CONVERSION_ERROR", "54") else (error_type, code) in PERMANENT
    failure = event_of(completed(**fax)).failure
    assert failure == Failure(type=error_type, code=code, message=message, permanent=permanent)
    assert event_of(completed(**{**fax, "errorCode": code})).failure == failure


@pytest.mark.parametrize(
    ("fax", "failure"),
    [
        ({"errorType": "CALL_ERROR", "errorId": 17}, Failure(type="CALL_ERROR", code="17", permanent=False)),
        (
            {"errorType": "CALL_ERROR", "errorId": 34, "errorCode": "NOT_OPERATIONAL"},
            Failure(type="CALL_ERROR", code="34", message="NOT_OPERATIONAL", permanent=True),
        ),
        (
            {"errorType": "CALL_ERROR", "errorId": 34, "errorCode": "17"},
            Failure(type="CALL_ERROR", code="17", permanent=False),
        ),
        ({"errorCode": "NO_ANSWER"}, Failure(code="NO_ANSWER")),
        ({"errorType": "FATAL_ERROR", "errorCode": 1}, Failure(type="FATAL_ERROR", code="1")),
        ({"errorType": "line_error", "errorCode": 17}, Failure(type="line_error", code="17", permanent=False)),
        ({"errorCode": None, "errorType": None}, None),
        ({}, None),
        ({"errorCode": [17], "errorType": {}}, None),
    ],
)
def test_older_and_odd_errors_are_kept_without_inventing(fax, failure):
    assert event_of(completed(status="FAILURE", **fax)).failure == failure


def test_an_error_beside_success_is_no_failure():
    assert event_of(completed(errorType="FAX_ERROR", errorCode=79)).failure is None


def test_the_end_of_the_fax_is_its_time_and_the_callback_s_only_where_that_lacks():
    both = {**incoming(completedTime="2026-10-03T14:00:00Z"), "eventTime": "2026-10-03T14:00:01Z"}
    assert event_of(both).occurred_at == datetime(2026, 10, 3, 14, tzinfo=UTC)
    assert event_of({**incoming(), "eventTime": "2026-10-03T14:00:01Z"}).occurred_at.second == 1
    assert event_of(incoming()).occurred_at is None


def test_numbers_come_out_in_e164():
    event = event_of(incoming(**{"from": " 14155552222", "to": "sip:fax@example.com"}))
    assert (event.from_number, event.to_number) == ("+14155552222", "sip:fax@example.com")


def test_the_job_id_is_passed_on_and_no_part_of_the_event_s_id():
    with_job, without = event_of(completed(), query={"job_id": "job-7"}), event_of(completed())
    assert (with_job.job_id, without.job_id) == ("job-7", None)
    assert with_job.id == without.id


# ---- one event, one id -----------------------------------------------------------------------------------------------


def test_repetitions_in_any_encoding_with_any_time_and_file_are_one_event():
    fax = incoming(numberOfPages=2)["fax"]
    variants = [
        event_of({"event": "INCOMING_FAX", "eventTime": "2024-01-01T00:00:00Z", "fax": fax}),
        event_of({"fax": fax, "eventTime": "2024-01-02T00:00:00Z", "event": "INCOMING_FAX", "file": "JVBERi0="}),
        event_of({"event": "incoming_fax ", "fax": {**fax, "status": "completed", "numberOfPages": 3}}),
        event_of(
            **multipart([("fax", json.dumps(fax)), ("event", '"INCOMING_FAX"')], [("file", "application/pdf", PDF)])
        ),
        event_of({"event": "INCOMING_FAX", "fax": json.dumps(fax)}, content_type="text/plain"),
    ]
    assert len({event.id for event in variants}) == 1
    assert variants[0].id.startswith("sinch:")


def test_another_fax_status_or_event_is_another_event():
    ids = [
        event_of(content).id
        for content in (
            incoming(),
            incoming(id="F2"),
            incoming(status="FAILURE"),
            {"event": "FAX_COMPLETED", "fax": incoming()["fax"]},
        )
    ]
    assert len(set(ids)) == len(ids)


# ---- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"content": {}},
        {"content": {"from": "+1", "status": "received"}},
        {"content": {"event": "INCOMING_FAX"}},
        {"content": {"event": "INCOMING_FAX", "id": "flat-id-beside-an-event"}},
        {"content": {"event": "INCOMING_FAX", "fax": {}}},
        {"content": {"event": "INCOMING_FAX", "fax": "not json"}},
        {"content": {"event": "INCOMING_FAX", "fax": "[1]"}},
        {"content": {"event": "INCOMING_FAX", "fax": ["F1"]}},
        {"content": {"fax": {"id": {"deep": 1}}}},
        {"content": {"id": True}},
        {"content": {"id": "x" * 201}},
        {"content": []},
        {"content": b""},
        {"content": b"\xff\xfe\x00"},
        {"content": b'{"id": '},
        {"content": b"--b\r\nbroken", "content_type": "multipart/form-data; boundary=b"},
        {"content": b"whatever", "content_type": "multipart/form-data"},
        {"content": b"id=1&id=2", "content_type": "application/x-www-form-urlencoded"},
        {"content": b"id=1&status=received&status=failed", "content_type": "application/x-www-form-urlencoded"},
        {"content": b"&".join(b"a%d=" % number for number in range(1000)), "content_type": None},
    ],
)
def test_what_names_no_fax_or_two_or_cannot_be_read_is_unreadable(options):
    with pytest.raises(Unreadable) as trouble:
        parse(**options)
    assert not isinstance(trouble.value, Refused)


def test_a_missing_or_wrong_content_type_does_not_matter_once_the_sender_is_known():
    body = json.dumps(incoming()).encode()
    for content_type in (
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "x",
    ):
        assert event_of(body, content_type=content_type).type is EventType.RECEIVED
    form = multipart([("id", "F1")])["content"]
    for content_type in (None, "application/octet-stream", "application/json"):
        assert event_of(form, content_type=content_type).fax_id == "F1"


def test_a_repeated_field_that_decides_nothing_is_kept_as_a_list():
    event = event_of(b"id=1&tag=a&tag=b&tag=a&id=1", content_type="application/x-www-form-urlencoded")
    assert (event.fax_id, event.fields["tag"]) == ("1", ["a", "b", "a"])


def test_nothing_that_was_sent_is_thrown_away():
    content = {**incoming(price={"amount": 0.07}, brandNew=[1, None]), "eventTime": "2024-01-01T00:00:00Z", "extra": 1}
    assert event_of(content).fields == content
