"""Every adapter refuses, parses or calls unreadable whatever comes, and its sentences hold no secret."""

import base64
import gzip
import json
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest
from adapters import (
    ADAPTERS,
    GENUINE,
    HEADERS,
    NOW,
    PUBLIC_URL,
    ROUTES,
    SECRETS,
    TYPES,
    callback,
    credentials,
    judge,
    places,
    replaced,
)
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.callback import Callback, Verified
from shared.errors import Refused, Unreadable
from shared.forms import Form
from shared.providers import ALL_ROUTES, ProviderSettings, make_adapters
from shared.providers.common import MAX_DEPTH
from shared.signatures import sign_phaxio

# ---- which adapters there are ----------------------------------------------------------------------------------------


def test_every_configured_provider_serves_its_routes():
    assert set(ADAPTERS) == ALL_ROUTES
    assert {
        "/phaxio-callback",
        "/phaxio-inbound",
        "/telnyx-webhook",
        "/sinch-inbound",
        "/_internal/asterisk/inbound",
    } == ALL_ROUTES
    assert all(route in adapter.routes for route, adapter in ADAPTERS.items())


def test_without_secrets_there_is_no_adapter_at_all():
    assert make_adapters(ProviderSettings(asterisk_spool_dir=Path("/faxdata"), public_url=PUBLIC_URL)) == {}


@pytest.mark.parametrize(
    ("given_settings", "routes"),
    [
        ({"phaxio_api_secrets": ("s",)}, {"/phaxio-callback", "/phaxio-inbound"}),
        ({"phaxio_callback_tokens": ("s",), "public_url": PUBLIC_URL}, {"/phaxio-callback", "/phaxio-inbound"}),
        ({"telnyx_public_keys": SECRETS["telnyx_public_keys"]}, {"/telnyx-webhook"}),
        ({"sinch_users": ("u",), "sinch_passwords": ("p",)}, {"/sinch-inbound"}),
        ({"sinch_hmac_secrets": ("s",)}, {"/sinch-inbound"}),
        ({"sinch_allow_unverified": True}, {"/sinch-inbound"}),
        ({"asterisk_secrets": ("s",)}, {"/_internal/asterisk/inbound"}),
    ],
)
def test_a_provider_is_on_exactly_if_something_of_its_own_is_configured(given_settings, routes):
    assert set(make_adapters(ProviderSettings(**given_settings))) == routes


@pytest.mark.parametrize(
    "wrong",
    [
        {"sinch_users": ("u",)},
        {"sinch_passwords": ("hidden-password",)},
        {"telnyx_public_keys": ("hidden-key",)},
        {"phaxio_callback_tokens": ("hidden-token",)},
        {"asterisk_secrets": ("hidden-secret",), "asterisk_spool_dir": Path("relative")},
    ],
)
def test_settings_that_cannot_be_right_stop_the_start_and_show_no_secret(wrong):
    with pytest.raises(ValueError, match=r"[A-Z]+_[A-Z]+") as stop:
        make_adapters(ProviderSettings(**wrong))
    assert "hidden" not in str(stop.value)


def test_the_settings_do_not_show_themselves():
    assert "secret" not in repr(ProviderSettings(**SECRETS))
    assert "secret" not in f"{ProviderSettings(**SECRETS)}"


# ---- whatever comes, there is a verdict ------------------------------------------------------------------------------

header_texts = st.one_of(
    st.text(max_size=100),
    st.sampled_from(
        [*TYPES, "Basic ", "0" * 40, "f" * 64, "1761048000", "é", "\udce9", "multipart/form-data; boundary="]
    ),
    st.binary(max_size=90).map(lambda octets: base64.b64encode(octets).decode()),
    st.binary(max_size=60).map(lambda octets: "Basic " + base64.b64encode(octets).decode()),
)
some_headers = st.dictionaries(st.sampled_from(HEADERS), header_texts)
bodies = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"", b"{", b"[", b"{}", b"--b\r\n", b"--b--", b"\0", b"a=b", b"fax[id]=1", b"%ff=%00"]),
    st.binary(max_size=100).map(lambda octets: b"--b\r\nContent-Disposition: form-data; name=id\r\n\r\n" + octets),
)


@pytest.mark.parametrize("route", ROUTES)
@settings(deadline=None)
@given(body=bodies, headers=some_headers, target=st.text(max_size=30))
def test_any_bytes_under_any_headers_are_refused_with_a_4xx_and_never_an_error(route, body, headers, target):
    made = Callback(route=route, target=route + target, query={}, headers=headers, body=body, received_at=NOW)
    with pytest.raises(Refused) as refusal:
        ADAPTERS[route].verify(made)
    assert refusal.value.status in {400, 401, 415}
    assert not any(secret in str(refusal.value) for values in SECRETS.values() for secret in values)


@pytest.mark.parametrize("route", ROUTES)
@settings(deadline=None)
@given(body=bodies, content_type=st.one_of(st.none(), st.sampled_from(TYPES), st.text(max_size=60)))
def test_any_bytes_rightly_signed_are_parsed_or_unreadable(route, body, content_type):
    judge(route, body, content_type=content_type)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("content_type", [None, *TYPES])
def test_a_packed_body_is_unreadable_with_that_reason(route, content_type):
    body = gzip.compress(b'{"id": "1", "event": "INCOMING_FAX"}')
    headers = credentials(route, body) | ({} if content_type is None else {"Content-Type": content_type})
    made = callback(route, body, headers)
    verified = ADAPTERS[route].verify(made)
    with pytest.raises(Unreadable, match=r"^the body is packed \(gzip\)$"):
        ADAPTERS[route].parse(made, verified)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["\0", "x\0y", "1", "-1", "9" * 30, "2024-01-01T00:00:00Z", "+15551234567", " 15551234567", "${X}"]
    ),
    st.sampled_from(
        ["success", "failure", "COMPLETED", "FAILURE", "SUCCESS", "FAILED", "inbound", "outbound", "INBOUND"]
    ),
    st.sampled_from(["fax.received", "fax.failed", "fax.delivered", "INCOMING_FAX", "FAX_COMPLETED", "fax_completed"]),
    st.sampled_from(["/faxdata/in.tiff", "/faxdata/../x", "JVBERi0=", "https://a.example/", 10**30, -(2**63), 1e308]),
)
NAMES = (
    *("data", "meta", "payload", "event_type", "id", "fax_id", "occurred_at", "attempt", "direction", "from", "to"),
    *("status", "page_count", "media_url", "partial_content", "failure_reason", "client_state", "caller_id"),
    *("event", "eventTime", "fax", "file", "files", "fileType", "numberOfPages", "pagesSentSuccessfully"),
    *("errorType", "errorCode", "errorId", "errorMessage", "completedTime", "contentUrl", "num_pages", "file_url"),
    *("tiff_path", "to_number", "from_number", "faxstatus", "faxpages", "uniqueid", "FAXSTATUS", "faxerror"),
    *("success", "is_test", "message", "page", "recipient_phone_number", "retry_count", "recipients", "completed_at"),
    *("error_id", "error_type", "error_message", "error_code", "phone_number", "created_at", "tags", "barcodes"),
)
names = st.one_of(st.sampled_from(NAMES), st.text(max_size=8))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=6)
GENERATED = examples(150)


@GENERATED
@given(content=objects)
def test_any_json_object_rightly_signed_is_parsed_or_unreadable(content):
    for route in ROUTES:
        judge(route, json.dumps(content).encode(), content_type="application/json")


@pytest.mark.parametrize("route", ROUTES)
@GENERATED
@given(content=st.dictionaries(names, scalars, max_size=12), query=st.dictionaries(st.just("job_id"), st.text()))
def test_any_form_rightly_signed_is_parsed_or_unreadable(route, content, query):
    body = urlencode(
        {name: "" if value is None else value for name, value in content.items()}, errors="replace"
    ).encode()
    judge(route, body, content_type="application/x-www-form-urlencoded", query=query)


@pytest.mark.parametrize("route", ROUTES)
def test_a_genuine_callback_is_parsed(route):
    assert judge(route, json.dumps(GENUINE[route]).encode(), content_type="application/json") is not None


ODD = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    " ",
    "\0",
    "x" * 300,
    "é\u2028",
    [],
    {},
    [[]],
    {"": None},
    [None] * 3,
    "[",
    "{}",
]


@pytest.mark.parametrize("route", ROUTES)
def test_a_genuine_callback_with_anything_odd_in_any_one_place_is_parsed_or_unreadable(route):
    for path in places(GENUINE[route]):
        for value in ODD:
            judge(route, json.dumps(replaced(GENUINE[route], path, value)).encode(), content_type="application/json")


@pytest.mark.parametrize("route", ROUTES)
@GENERATED
@given(data=st.data())
def test_a_genuine_callback_with_anything_in_any_two_places_is_parsed_or_unreadable(route, data):
    whole = GENUINE[route]
    for _ in range(2):
        path = data.draw(st.sampled_from(list(places(whole))))
        whole = replaced(whole, path, data.draw(values))
    judge(route, json.dumps(whole).encode(), content_type="application/json")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("depth", [MAX_DEPTH - 8, MAX_DEPTH + 1, 500, 950, 5000, 200_000])
def test_however_deep_a_body_is_nested_there_is_a_verdict(route, depth):
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        nested = opening * depth + b"1" + closing * depth
        genuine = json.dumps(GENUINE[route]).encode()
        parsed = judge(route, genuine[:-1] + b', "deep": ' + nested + b"}", content_type="application/json")
        assert (parsed is not None) == (depth < MAX_DEPTH)


@pytest.mark.parametrize("route", ROUTES)
def test_text_that_postgresql_cannot_hold_is_cleaned_wherever_it_stands(route):
    whole = {**GENUINE[route], "extra\0name": "a\0b", "list": [{"x": "\0"}]}
    parsed = judge(route, json.dumps(whole).encode(), content_type="application/json")
    assert "\0" not in json.dumps(parsed.event.fields).replace("\\u0000", "\0")
    assert "a\ufffdb" in msgspec.json.encode(parsed.event.fields).decode()


@pytest.mark.parametrize("route", ROUTES)
def test_bytes_that_are_no_utf8_do_not_lose_the_event(route):
    whole = json.dumps({**GENUINE[route], "note": "@@"}).encode().replace(b"@@", b"caf\xe9")
    parsed = judge(route, whole, content_type="application/json")
    assert "caf\ufffd" in msgspec.json.encode(parsed.event.fields).decode()


@pytest.mark.parametrize("route", ROUTES)
def test_what_is_parsed_does_not_depend_on_who_proved_it(route):
    body = json.dumps(GENUINE[route]).encode()
    made = callback(route, body, {"Content-Type": "application/json"})
    signed = judge(route, body, content_type="application/json")
    assert ADAPTERS[route].parse(made, Verified(by="anything")) == signed


@pytest.mark.parametrize("route", ROUTES)
@given(job_id=st.text(max_size=300))
def test_the_job_id_is_data_and_never_part_of_an_event_s_identity(route, job_id):
    body = json.dumps(GENUINE[route]).encode()
    plain = judge(route, body, content_type="application/json").event
    event = judge(route, body, content_type="application/json", query={"job_id": job_id}).event
    assert (event.id, event.fax_id) == (plain.id, plain.fax_id)
    assert event.job_id is None or event.job_id == event.job_id.strip() != ""


@pytest.mark.parametrize("route", ROUTES)
def test_the_same_callback_with_its_keys_in_another_order_or_spelled_otherwise_is_the_same_event(route):
    whole = GENUINE[route]
    ordered = json.loads(json.dumps(whole), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    spellings = [
        json.dumps(whole).encode(),
        json.dumps(ordered, indent=3).encode(),
        b"\r\n " + json.dumps(whole, ensure_ascii=False).encode() + b"\n",
    ]
    events = [judge(route, body, content_type="application/json").event for body in spellings]
    assert events[0] == events[1] == events[2]


# ---- one provider's proof opens nothing else -------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("other", ROUTES)
def test_the_credentials_of_one_provider_do_not_open_another_s_route(route, other):
    body = b'{"id": 1}'
    made = callback(route, body, {"Content-Type": "application/json", **credentials(other, body)})
    if ADAPTERS[route] is ADAPTERS[other]:
        assert ADAPTERS[route].verify(made).by
        return
    with pytest.raises(Refused) as refusal:
        ADAPTERS[route].verify(made)
    assert refusal.value.status == 401


def test_phaxio_s_two_schemes_make_the_same_event_of_the_same_form():
    fields = [("id", "7"), ("status", "success"), ("direction", "sent")]
    body = urlencode(fields).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    own = callback(
        "/phaxio-callback",
        body,
        {
            **headers,
            "X-Phaxio-Signature": sign_phaxio("phaxio-token-secret", PUBLIC_URL + "/phaxio-callback", fields),
        },
    )
    verified = ADAPTERS["/phaxio-callback"].verify(own)
    assert (verified.by, type(verified.content)) == ("phaxio-sha1", Form)
    by_body = judge("/phaxio-callback", body, content_type="application/x-www-form-urlencoded")
    assert ADAPTERS["/phaxio-callback"].parse(own, verified).event == by_body.event
