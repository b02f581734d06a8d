"""What holds for every format: each event it has a word for goes out whole, signed, and is read as what it was."""

import pytest
from format_cases import (
    ENDINGS,
    EVENTS,
    FILE_PARTS,
    RENDERED,
    SAMPLES,
    SIGNATURES,
    TOKENS,
    WORDS,
    as_callback,
    case_id,
    content_of,
    json_of,
    own_reader,
    read_back,
    render,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.formats import FORMATS
from dispatcher.formats.tokens import check_token, new_token
from docs.generate.formats import SampleEvent
from shared.domain import Direction, EventType, Failure, Phase, Provider
from shared.errors import Refused
from shared.forms import MAX_FIELDS, read_form

OWN = {"phaxio": Provider.PHAXIO, "telnyx": Provider.TELNYX, "sinch": Provider.SINCH}
T = EventType
STANDARD_LIMIT_BYTES = 20_000
NO_PARTIAL = {"telnyx-v2", "sinch-v3"}  # they have no word of their own for it: it is a failure there

every_case = pytest.mark.parametrize(("format_name", "sample"), RENDERED, ids=case_id)


# ---- Which events it has words for ------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", EVENTS, ids=case_id)
@pytest.mark.parametrize("format_name", FORMATS)
def test_it_has_a_word_for_what_the_contract_says_and_for_nothing_else(format_name, sample):
    # Telnyx's unknown events are not unknown to an application of Telnyx's.
    is_telnyx_own = format_name == "telnyx-v2" and (sample.provider, sample.name) == ("telnyx", "unknown")
    expected = sample.event.type in WORDS[format_name] or is_telnyx_own
    assert FORMATS[format_name].has_word_for(sample.event) is expected


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("provider", Provider)
def test_no_ending_is_ever_without_a_word(format_name, provider):
    endings = {each.event.type for each in EVENTS if each.provider == provider and each.event.type in ENDINGS}
    assert endings == ENDINGS
    assert all(FORMATS[format_name].has_word_for(each.event) for each in EVENTS if each.event.type in ENDINGS)


# ---- What is sent -----------------------------------------------------------------------------------------------


@every_case
def test_its_own_reader_verifies_it_and_reads_the_same_event(format_name, sample):
    sent, read = sample.event, read_back(format_name, render(format_name, sample)).event
    is_partial = sent.type is T.PARTIALLY_DELIVERED and format_name in NO_PARTIAL
    assert read.type is (T.FAILED if is_partial else sent.type)
    assert (read.phase, read.direction, read.fax_id) == (sent.phase, sent.direction, sent.fax_id)
    assert (read.from_number, read.to_number, read.pages) == (sent.from_number, sent.to_number, sent.pages)
    assert (read.failure is None) == (sent.failure is None) or is_partial
    if sent.failure is not None and not is_partial:
        assert read.failure.message == sent.failure.message or sent.failure.message is None
    if sent.phase is Phase.POSTFLIGHT:
        as_told = (read.occurred_at or sent.occurred_at) and int(read.occurred_at.timestamp())
        assert as_told == (sent.occurred_at and int(sent.occurred_at.timestamp()))


@every_case
def test_an_event_in_its_own_providers_format_comes_back_as_itself_with_all_its_fields(format_name, sample):
    if OWN.get(format_name.partition("-")[0]) != sample.provider or sample.name.startswith("minimal"):
        return
    sent, read = sample.event, read_back(format_name, render(format_name, sample)).event
    assert read.id == sent.id, "the same event told twice must be known again"
    assert read.status == sent.status
    if format_name == "phaxio-v1":
        return  # another shape of the same; test_phaxio says which
    added = {"direction", "is_test", "success", "message", "event_type"} if sample.provider == "phaxio" else {"meta"}
    kept = {name: value for name, value in read.fields.items() if name not in added}
    expected = {name: value for name, value in sent.fields.items() if name not in added | {"fileType"}}
    if format_name == "phaxio-v2":
        expected = {name: value for name, value in expected.items() if name == "fax"}
    kept.pop("fileType", None)
    assert kept == expected


@every_case
def test_a_received_document_goes_along_byte_for_byte_where_the_format_has_a_place_for_it(format_name, sample):
    webhook = render(format_name, sample)
    has_place = format_name in FILE_PARTS or format_name == "sinch-v3"
    assert content_of(read_back(format_name, webhook)) == (sample.document if has_place else None)
    if format_name in FILE_PARTS and sample.document:
        (part,) = read_form(webhook.headers["Content-Type"], webhook.body).files
        assert (part.name, part.content_type) == (FILE_PARTS[format_name], sample.event.media.content_type)


@pytest.mark.parametrize("format_name", FORMATS)
def test_documents_of_sent_faxes_and_of_events_on_the_way_are_not_asked_for(format_name):
    for sample in EVENTS:
        is_received_ending = sample.event.direction is Direction.RECEIVED and sample.event.phase is Phase.POSTFLIGHT
        assert not FORMATS[format_name].wants_document(sample.event) or is_received_ending


# ---- Signatures -------------------------------------------------------------------------------------------------


@every_case
def test_it_is_signed_once_and_with_one_byte_changed_it_is_refused(format_name, sample):
    webhook = render(format_name, sample)
    assert len([name for name in SIGNATURES if name in webhook.headers]) == 1
    reader = own_reader(format_name, TOKENS[format_name])
    reader.verify(as_callback(webhook))
    places = [webhook.body.index(sample.event.fax_id.encode())]
    if sample.document and b"II*" in webhook.body:
        places.append(webhook.body.index(b"II*") + 3)
    if not format_name.startswith("phaxio"):  # there, the form's framing is not covered
        places += [0, len(webhook.body) // 2, len(webhook.body) - 1]
    for place in places:
        changed = bytearray(webhook.body)
        changed[place] ^= 1
        with pytest.raises(Refused):
            reader.verify(as_callback(webhook, body=bytes(changed)))


@pytest.mark.parametrize("format_name", FORMATS)
def test_another_token_does_not_verify_it(format_name):
    sample = next(each for each in SAMPLES if each.event.type is T.DELIVERED)
    with pytest.raises(Refused):
        own_reader(format_name, new_token(format_name)).verify(as_callback(render(format_name, sample)))


@pytest.mark.parametrize("tokens", [(), ("",), ("\n no token of any kind \n",)])
@pytest.mark.parametrize("format_name", FORMATS)
def test_without_a_token_that_can_sign_nothing_is_signed(format_name, tokens):
    if tokens and tokens[0] and check_token(format_name, "any text will do") is None:
        return  # here every text is a key
    sample = next(each for each in SAMPLES if each.event.type is T.DELIVERED)
    webhook = render(format_name, sample, tokens=tokens)
    assert not set(SIGNATURES) & set(webhook.headers)
    assert webhook.body


@pytest.mark.parametrize("format_name", FORMATS)
def test_with_several_tokens_the_first_verifies_and_the_second_only_where_all_sign(format_name):
    first, second = new_token(format_name), new_token(format_name)
    sample = next(each for each in SAMPLES if each.event.type is T.DELIVERED)
    callback = as_callback(render(format_name, sample, tokens=(first, second)))
    own_reader(format_name, first).verify(callback)
    if format_name == "standard-v1":
        own_reader(format_name, second).verify(callback)
    else:
        with pytest.raises(Refused):
            own_reader(format_name, second).verify(callback)


# ---- Bounds -----------------------------------------------------------------------------------------------------


@every_case
def test_no_name_is_there_twice_and_no_limit_is_passed(format_name, sample):
    webhook = render(format_name, sample)
    json_of(webhook)  # raises for a name that is there twice
    assert all(value.isascii() and value.isprintable() for value in webhook.headers.values())
    if format_name in FILE_PARTS:
        form = read_form(webhook.headers["Content-Type"], webhook.body)
        assert len(form.fields) < MAX_FIELDS
        assert not [name for name, _ in form.fields if "[" in name], "receivers nest such names and cannot verify"
    elif sample.document is None:
        assert len(webhook.body) < STANDARD_LIMIT_BYTES


@pytest.mark.parametrize("format_name", FORMATS)
def test_what_was_not_said_is_not_said(format_name):
    """A fax that failed, and nothing else is known: every word in the body is one that this follows from."""
    event = next(each for each in EVENTS if each.name == "minimal-fax.failed" and each.provider == "asterisk")
    message = json_of(render(format_name, event))
    leaves = dict(_leaves(message))
    assert {name: value for name, value in leaves.items() if value is not None} == FOLLOWS[format_name]
    if format_name not in {"phaxio-v2.1", "phaxio-v2", "standard-v1"}:
        assert None not in leaves.values(), "here what is not known is absent"


_OURS = {"id": "asterisk:7-100", "provider": "asterisk", "type": "fax.failed", "phase": "postflight", "fax_id": "7"}
_OURS |= {"direction": "sent", "received_at": "2026-10-03T08:00:00Z", "is_test": False, "partial": False}
_PHAXIO = {"id": 7, "direction": "sent", "status": "failure", "is_test": False}
FOLLOWS = {
    "phaxio-v2.1": _PHAXIO,
    "phaxio-v2": _PHAXIO,
    "phaxio-v1": _PHAXIO,
    "telnyx-v2": {
        "data.record_type": "event",
        "data.event_type": "fax.failed",
        "data.id": "asterisk:7-100",
        "data.payload.direction": "outbound",
        "data.payload.fax_id": "7",
        "data.payload.status": "failed",
        "meta.attempt": 1,
        "meta.delivered_to": "https://app.example.com/hook?account=1&tag=a%2Bb",
    },
    "sinch-v3": {"event": "FAX_COMPLETED", "fax.id": "7", "fax.direction": "OUTBOUND", "fax.status": "FAILURE"},
    "standard-v1": {
        "type": "fax.failed",
        "timestamp": "2026-10-03T08:00:00Z",
        **{f"data.{name}": value for name, value in _OURS.items()},
    },
}


def _leaves(value, path=""):
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else name)
    elif value != []:
        yield path, value


@pytest.mark.parametrize("format_name", FORMATS)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=60),
    content=st.binary(min_size=1, max_size=200),
)
def test_whatever_text_and_document_a_provider_sends_it_verifies_and_the_document_is_whole(format_name, text, content):
    received = next(each for each in SAMPLES if (each.provider, each.name) == ("asterisk", "received-partial"))
    fields = {"fax_id": text, "failure": Failure(type=text, code=text, message=text), "to_number": text}
    fields |= {"fields": {text: text, "fax": {text: text}}}
    for provider in Provider:
        event = type(received.event)(**({**_as_dict(received.event), "provider": provider} | fields))
        sample = SampleEvent(provider, "odd", event, content)
        webhook = render(format_name, sample)
        reader = own_reader(format_name, TOKENS[format_name])
        reader.verify(as_callback(webhook))
        if format_name in FILE_PARTS:
            (part,) = read_form(webhook.headers["Content-Type"], webhook.body).files
            assert part.content == content


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from(
    [
        "id",
        "status",
        "direction",
        "recipients",
        "completed_at",
        "requested_at",
        "created_at",
        "number",
        "barcodes",
        "error_code",
        "errorCode",
        "event",
        "event_type",
        "payload",
        "meta",
        "file",
        "page",
        "message",
        "is_test",
    ]
)
_OBJECTS = st.dictionaries(_NAMES, _JSON | st.lists(st.dictionaries(_NAMES, _JSON)), max_size=6)


@settings(max_examples=50, deadline=None)
@given(fields=_OBJECTS, inner=_OBJECTS)
def test_no_provider_can_send_what_a_format_cannot_render(fields, inner):
    fields |= {"fax": inner, "payload": inner}
    for sample in SAMPLES:
        event = type(sample.event)(**(_as_dict(sample.event) | {"fields": fields}))
        odd = SampleEvent(sample.provider, "odd", event, None)
        for format_name, rendering in FORMATS.items():
            if rendering.has_word_for(event):
                json_of(render(format_name, odd))


def _as_dict(event):
    return {name: getattr(event, name) for name in event.__struct_fields__}
