"""Sample callbacks pass the same adapters as real ones, and mean what their names say."""

import base64
import re
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.ops.sample_bodies import SampleDraft, written
from dispatcher.ops.sample_documents import sample_pdf, sample_tiff
from dispatcher.ops.sample_fields import BadChange, Change, changed, parse_change
from dispatcher.ops.sample_lives import life_of, muddled
from dispatcher.ops.sample_signing import MissingSecret, SampleSecrets
from dispatcher.ops.samples import SAMPLES, UnknownSample, build, draft_of, events_of, find
from shared.callback import Callback, Document, SpoolFile
from shared.domain import Direction, EventType
from shared.errors import Refused
from shared.providers import ProviderSettings, make_adapters
from shared.providers.spool import TIFF_MARKS
from shared.signatures import telnyx_public_key

NOW = datetime(2025, 10, 21, 12, 0, 0, tzinfo=UTC)
SEED = bytes(range(32))
PUBLIC_URL = "https://hooks.example.com/fax"
SECRETS = SampleSecrets(
    phaxio_callback_token="phaxio-token",
    phaxio_api_secret="phaxio-api",
    telnyx_seed=base64.b64encode(SEED).decode(),
    sinch_user="sinch",
    sinch_password="with:colons",
    sinch_hmac_secret="sinch-hmac",
    asterisk_secret="sekret",
)
ADAPTERS = make_adapters(
    ProviderSettings(
        phaxio_callback_tokens=("phaxio-token",),
        phaxio_api_secrets=("phaxio-api",),
        telnyx_public_keys=(telnyx_public_key(SEED),),
        sinch_users=("sinch",),
        sinch_passwords=("with:colons",),
        sinch_hmac_secrets=("sinch-hmac",),
        asterisk_secrets=("sekret",),
        asterisk_spool_dir=Path("/faxdata"),
        public_url=PUBLIC_URL,
    )
)
ALL = [(provider, event) for provider in SAMPLES for event in events_of(provider)]


def make(provider, event, *, secrets=SECRETS, now=NOW, **options):
    return build(provider, event, secrets=secrets, public_url=PUBLIC_URL, now=now, **options)


def receive(sample, adapters=ADAPTERS, now=NOW):
    query = {name: values[0] for name, values in parse_qs(sample.query).items()}
    callback = Callback(
        route=sample.path,
        target=sample.target,
        query=query,
        headers=sample.headers,
        body=sample.body,
        received_at=now,
    )
    adapter = adapters[sample.path]
    return adapter.parse(callback, adapter.verify(callback))


def test_there_is_a_sample_of_every_event_that_a_provider_sends():
    types = {provider: {sample.type for sample in SAMPLES[provider].values()} for provider in SAMPLES}
    ends_of_received = {EventType.RECEIVED, EventType.RECEIVE_FAILED}
    assert types == {
        "phaxio": {
            *(EventType.QUEUED, EventType.SENDING, EventType.PAGE_SENT, EventType.RETRY_SCHEDULED),
            *(EventType.DELIVERED, EventType.FAILED, EventType.PARTIALLY_DELIVERED),
        }
        | ends_of_received,
        "telnyx": {
            *(EventType.QUEUED, EventType.MEDIA_PROCESSED, EventType.SENDING, EventType.DELIVERED, EventType.FAILED),
            *(EventType.RECEIVING, EventType.UNKNOWN),
        }
        | ends_of_received,
        "sinch": {EventType.DELIVERED, EventType.FAILED} | ends_of_received,
        "asterisk": ends_of_received,
    }


@pytest.mark.parametrize(("provider", "event"), ALL)
def test_every_sample_is_let_in_and_is_the_event_that_its_name_says(provider, event):
    sample = make(provider, event, fax_id="1234567", from_number="+4722334455", to_number="+442071838750", pages=3)
    told = receive(sample).event
    assert (told.provider, told.fax_id, told.type) == (provider, "1234567", sample.event_type)
    # A fax to two recipients has no one number that it went to.
    to_number = None if (provider, event) == ("phaxio", "sent-partial") else "+442071838750"
    assert (told.from_number, told.to_number) == ("+4722334455", to_number)
    assert told.direction is (
        Direction.RECEIVED if re.match("receiv|media-processing|unknown", event) else Direction.SENT
    )
    assert told.type is {
        "sent-success": EventType.DELIVERED,
        "sent-failure": EventType.FAILED,
        "received": EventType.RECEIVED,
        "received-failure": EventType.RECEIVE_FAILED,
    }.get(event, told.type)
    assert (told.failure is not None) is (
        told.type in {EventType.FAILED, EventType.RECEIVE_FAILED} or event == "sent-partial"
    )
    assert told.partial is (event in {"sent-partial", "received-partial"} and provider != "phaxio")
    assert told.occurred_at in {NOW, None} or told.type.phase == "inflight"
    assert sample.event_name == event


@pytest.mark.parametrize(("provider", "event"), ALL)
def test_every_sample_with_nothing_given_but_its_names_is_let_in_too(provider, event):
    first, second = make(provider, event), make(provider, event)
    assert receive(first).event.type is first.event_type
    assert first.fax_id != second.fax_id
    assert receive(first).event.id != receive(second).event.id


@pytest.mark.parametrize(("provider", "event"), ALL)
def test_asked_for_again_a_sample_is_the_repetition_of_the_same_event(provider, event):
    later = NOW + timedelta(hours=6)
    first = receive(make(provider, event, fax_id="77")).event
    again = receive(make(provider, event, fax_id="77", now=later, occurred_at=NOW), now=later).event
    assert (again.id, again.occurred_at) == (first.id, first.occurred_at)


@pytest.mark.parametrize("provider", SAMPLES)
def test_the_samples_of_one_fax_are_all_different_events(provider):
    ids = [receive(make(provider, event, fax_id="77")).event.id for event in events_of(provider)]
    # Only these two say the same fax, event and status in Sinch's words, as the event id has it; and failed is failed.
    same = {"sinch": 1, "asterisk": 1}.get(provider, 0)
    assert len(set(ids)) == len(ids) - same


@pytest.mark.parametrize(("provider", "event"), ALL)
def test_a_changed_byte_or_another_secret_is_refused(provider, event):
    sample = make(provider, event)
    other = make(
        provider,
        event,
        secrets=SampleSecrets(
            phaxio_callback_token="other",
            telnyx_seed=base64.b64encode(bytes(32)).decode(),
            sinch_user="sinch",
            sinch_password="other",
            sinch_hmac_secret="other",
            asterisk_secret="other",
        ),
    )
    with pytest.raises(Refused):
        receive(other)
    if provider != "asterisk":  # its secret covers no body
        spot = sample.body.index(b"1")
        with pytest.raises(Refused):
            receive(type(sample)(**{**as_dict(sample), "body": sample.body[:spot] + b"2" + sample.body[spot + 1 :]}))


def as_dict(sample):
    return {name: getattr(sample, name) for name in type(sample).__struct_fields__}


@pytest.mark.parametrize(
    ("provider", "own_name", "event"),
    [
        ("phaxio", "transmitting_page", "page-sent"),
        ("phaxio", "retry_scheduled", "retry-scheduled"),
        ("phaxio", "inprogress", "sending"),
        ("phaxio", "partialsuccess", "sent-partial"),
        ("telnyx", "fax.queued", "queued"),
        ("telnyx", "fax.media.processed", "media-processed"),
        ("telnyx", "fax.sending.started", "sending"),
        ("telnyx", "fax.delivered", "sent-success"),
        ("telnyx", "fax.receiving.started", "receiving"),
        ("telnyx", "fax.media.processing.started", "media-processing"),
        ("telnyx", "FAX.RECEIVED", "received"),
        ("telnyx", "fax.email.delivered", "unknown"),
        ("asterisk", "success", "received"),
        ("phaxio", " Sent-Success ", "sent-success"),
    ],
)
def test_the_provider_s_own_name_is_understood_where_it_means_one_event(provider, own_name, event):
    assert make(provider, own_name).event_name == event


@pytest.mark.parametrize(
    ("provider", "event"),
    [
        ("phaxio", "fax_completed"),
        ("telnyx", "fax.failed"),
        ("sinch", "FAX_COMPLETED"),
        ("sinch", "INCOMING_FAX"),
        ("asterisk", "FAILED"),
        ("sinch", ""),
        ("phaxio", "sent"),
    ],
)
def test_a_name_that_means_none_or_several_is_answered_with_those_there_are(provider, event):
    with pytest.raises(UnknownSample) as trouble:
        make(provider, event)
    assert all(name in str(trouble.value) for name in events_of(provider))


def test_an_unknown_provider_is_answered_with_those_there_are():
    for ask in (lambda: make("efax", "received"), lambda: events_of("efax")):
        with pytest.raises(UnknownSample, match="phaxio, telnyx, sinch, asterisk"):
            ask()


@pytest.mark.parametrize("provider", ["phaxio", "telnyx", "asterisk"])
def test_without_its_secret_a_sample_cannot_be_made(provider):
    with pytest.raises(MissingSecret, match=provider):
        make(provider, "received", secrets=SampleSecrets())
    for seed in ("not base64!", base64.b64encode(b"short").decode()):
        with pytest.raises(MissingSecret, match="telnyx"):
            make("telnyx", "received", secrets=SampleSecrets(telnyx_seed=seed))


def test_phaxio_s_samples_may_be_signed_faxbot_s_way():
    sample = make("phaxio", "received", secrets=SampleSecrets(phaxio_api_secret="phaxio-api"))
    assert len(sample.headers["X-Phaxio-Signature"]) == 64
    assert receive(sample).event.type is EventType.RECEIVED


def test_sinch_s_samples_prove_themselves_by_what_is_given_and_by_nothing_where_that_is_wanted():
    cases = [
        ({"sinch_user": "u", "sinch_password": "p"}, {"sinch_users": ("u",), "sinch_passwords": ("p",)}),
        ({"sinch_hmac_secret": "h"}, {"sinch_hmac_secrets": ("h",)}),
        ({}, {"sinch_allow_unverified": True}),
    ]
    for secrets, configured in cases:
        sample = make("sinch", "received", secrets=SampleSecrets(**secrets))
        assert receive(sample, make_adapters(ProviderSettings(**configured))).event.type is EventType.RECEIVED


def test_secrets_do_not_show_themselves():
    assert "sekret" not in repr(SECRETS)


def test_a_received_fax_carries_a_real_pdf_of_its_pages():
    for provider in ("phaxio", "sinch"):
        document = receive(make(provider, "received", pages=2)).document
        assert isinstance(document, Document)
        assert document.content_type == "application/pdf"
        assert document.content.count(b"/Type/Page/") == 2
        assert receive(make(provider, "received-failure")).document is None


def test_telnyx_names_its_document_by_url():
    assert receive(make("telnyx", "received")).event.media.url.startswith("https://")


def test_asterisk_names_its_document_by_path():
    sample = make("asterisk", "received", tiff_path="/faxdata/in.tiff")
    assert receive(sample).document == SpoolFile(path=Path("/faxdata/in.tiff"))
    assert receive(make("asterisk", "received")).document is None


@pytest.mark.parametrize("provider", ["phaxio", "telnyx", "sinch"])
def test_the_job_id_goes_with_sent_faxes_and_is_signed_where_the_url_is(provider):
    sample = make(provider, "sent-success", job_id="a job/7 & more")
    assert receive(sample).event.job_id == "a job/7 & more"
    assert make(provider, "received", job_id="job").query == ""
    assert make(provider, "sent-success").query == ""


def test_client_state_comes_back_with_telnyx_s_sent_faxes():
    assert receive(make("telnyx", "queued", client_state="c3RhdGU=")).event.client_state == "c3RhdGU="


def test_phaxio_s_samples_are_marked_as_tests():
    assert receive(make("phaxio", "sent-success")).event.is_test


# ---- changes of single fields ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "change", "field", "value"),
    [
        ("phaxio", "fax.num_pages=9", "pages", 9),
        ("phaxio", "fax.from_number=+4722334455", "from_number", "+4722334455"),
        ("phaxio", "fax.is_test=false", "is_test", False),
        ("telnyx", "data.payload.page_count=9", "pages", 9),
        ("telnyx", "data.id=my-own", "id", "telnyx:my-own"),
        ("telnyx", "meta.attempt=3", "attempt", 3),
        ("sinch", "fax.numberOfPages=9", "pages", 9),
        ("sinch", "fax.to=+442071838750", "to_number", "+442071838750"),
        ("asterisk", "faxpages=9", "pages", 9),
        ("asterisk", "from_number=15550100103", "from_number", "+15550100103"),
    ],
)
def test_any_field_may_be_changed_and_is_signed_as_it_stands_then(provider, change, field, value):
    event = receive(make(provider, "received", changes=[parse_change(change)])).event
    assert getattr(event, field) == value


def test_a_field_may_be_taken_out_and_a_document_exchanged():
    sample = make("phaxio", "received", changes=[Change("fax.num_pages", None)], document=b"%PDF-other")
    received = receive(sample)
    assert received.event.pages is None
    assert received.document.content == b"%PDF-other"
    for provider in ("telnyx", "asterisk"):
        with pytest.raises(BadChange, match="no document"):
            make(provider, "received", document=b"x")


def test_a_bare_number_stays_text_where_the_sample_has_text_and_json_is_what_it_says():
    draft = SampleDraft(shape="json", fields={"text": "1", "number": 1, "list": [{"a": 1}], "nothing": None})
    changes = ["text=5", "number=5", "list.0.a=x", 'nothing={"a":[1]}', 'new="5"']
    fields, added = changed(draft, [parse_change(change) for change in changes])
    assert fields.fields == {"text": "5", "number": 5, "list": [{"a": "x"}], "nothing": {"a": [1]}, "new": "5"}
    assert added == ("new",)
    assert draft.fields["list"] == [{"a": 1}]


ANY_TEXT = st.text(st.characters(codec=None))
PART = st.sampled_from(["fax", "recipients", "0", "9" * 5000, "-1", "status"]) | ANY_TEXT


@given(st.lists(PART, max_size=4), ANY_TEXT)
@example(["fax", "recipients", "9" * 5000], "1")
@example(["fax", "\udc80"], "1")
def test_whatever_is_typed_is_a_change_or_a_sentence(path, value):
    with suppress(BadChange):
        draft, _ = changed(draft_of("phaxio", "received", NOW), [parse_change(f"{'.'.join(path)}={value}")])
        assert written(draft).body


# ---- lives -----------------------------------------------------------------------------------------------------------

ENDINGS = [(provider, event) for provider, event in ALL if find(provider, event)[1].phase == "postflight"]


@pytest.mark.parametrize(("provider", "ending"), ENDINGS)
def test_a_life_is_what_the_provider_says_in_order_of_rank_and_time_each_a_different_event(provider, ending):
    steps = life_of(provider, ending, pages=3, ends_at=NOW)
    events = [
        receive(make(provider, step.event, fax_id="77", changes=step.changes, occurred_at=step.occurred_at)).event
        for step in steps
    ]
    assert steps[-1].event == ending
    assert [event.type.rank for event in events] == sorted(event.type.rank for event in events)
    assert len({event.id for event in events}) == len(events)
    assert len({event.direction for event in events}) == 1
    times = [step.occurred_at for step in steps]
    assert times == sorted(set(times))
    assert times[-1] == NOW
    assert len(events) == {
        ("phaxio", "sent-failure"): 7,
        ("phaxio", "sent-success"): 6,
        ("phaxio", "sent-partial"): 6,
        ("telnyx", "sent-success"): 4,
        ("telnyx", "sent-failure"): 4,
    }.get((provider, ending), 3 if provider == "telnyx" else 1)


def test_no_life_ends_with_what_is_no_ending():
    with pytest.raises(UnknownSample, match="sent-success, sent-failure"):
        life_of("telnyx", "queued", pages=1, ends_at=NOW)


def test_the_same_seed_is_the_same_order_and_nothing_is_lost_by_it():
    calm = muddled([1, 2, 3], repeat=2, shuffle=False, seed=7)
    assert calm == [1, 1, 2, 2, 3, 3]
    wild = muddled(range(20), repeat=3, shuffle=True, seed=7)
    assert wild == muddled(range(20), repeat=3, shuffle=True, seed=7)
    assert wild != muddled(range(20), repeat=3, shuffle=True, seed=8)
    assert sorted(wild) == sorted([*range(20)] * 3)


# ---- the documents ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "pages"), [("Sample", 1), ("(a) \\ b) Zoë", 3)])
def test_the_pdf_s_own_table_leads_to_each_of_its_objects(text, pages):
    pdf = sample_pdf(text, pages)
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", pdf)[1])
    lines = pdf[start:].split(b"\n")
    size = int(lines[1].split()[1])
    assert (lines[0], size) == (b"xref", 6 + pages)
    for number in range(1, size):
        entry = lines[2 + number]
        assert len(entry) == 19  # and the line feed: 20 bytes, as the format demands
        assert pdf[int(entry[:10]) :].startswith(b"%d 0 obj\n" % number)
    length = int(re.search(rb"/Length (\d+)", pdf)[1])
    contents = pdf.partition(b"stream\n")[2].partition(b"\nendstream")[0]
    assert len(contents) == length
    assert len(sample_pdf("Sample fax 1")) < 1000


def test_the_tiff_s_directory_leads_to_its_pixels():
    tiff = sample_tiff()
    assert tiff.startswith(TIFF_MARKS)
    at = struct.unpack_from("<I", tiff, 4)[0]
    count = struct.unpack_from("<H", tiff, at)[0]
    entries = [struct.unpack_from("<HHII", tiff, at + 2 + 12 * number) for number in range(count)]
    tags = {tag: value for tag, _, _, value in entries}
    assert [tag for tag, *_ in entries] == sorted(tags)
    assert tags[273] + tags[279] == at
    assert tags[279] == tags[256] * tags[257] // 8
    assert struct.unpack_from("<I", tiff, at + 2 + 12 * count) == (0,)
    assert len(tiff) == at + 2 + 12 * count + 4
