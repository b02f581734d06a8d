"""Sample callbacks pass the same adapters as real ones, and mean what their names say."""

import base64
import re
from datetime import timedelta
from pathlib import Path

import pytest
from made_samples import ALL, NOW, SECRETS, as_dict, make, receive, settings_of

from dispatcher.ops.simulator.samples import SAMPLES, UnknownSample, samples_of
from dispatcher.ops.simulator.signing import MissingSecret
from shared.callback import Document, SpoolFile
from shared.domain import Direction, EventType
from shared.errors import Refused
from shared.providers import ProviderSettings, make_adapters


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
    ids = [receive(make(provider, event, fax_id="77")).event.id for event in SAMPLES[provider]]
    # Only these two say the same fax, event and status in Sinch's words, as the event id has it; and failed is failed.
    same = {"sinch": 1, "asterisk": 1}.get(provider, 0)
    assert len(set(ids)) == len(ids) - same


@pytest.mark.parametrize(("provider", "event"), ALL)
def test_a_changed_byte_or_another_secret_is_refused(provider, event):
    sample = make(provider, event)
    other = make(
        provider,
        event,
        secrets=settings_of(
            phaxio_callback_token="other",
            telnyx_simulate_seed=base64.b64encode(bytes(32)).decode(),
            sinch_inbound_basic_user="sinch",
            sinch_inbound_basic_pass="other",
            sinch_inbound_hmac_secret="other",
            asterisk_inbound_secret="other",
        ),
    )
    with pytest.raises(Refused):
        receive(other)
    if provider != "asterisk":  # its secret covers no body
        spot = sample.body.index(b"1")
        with pytest.raises(Refused):
            receive(type(sample)(**{**as_dict(sample), "body": sample.body[:spot] + b"2" + sample.body[spot + 1 :]}))


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
    assert all(name in str(trouble.value) for name in SAMPLES[provider])


def test_an_unknown_provider_is_answered_with_those_there_are():
    for ask in (lambda: make("efax", "received"), lambda: samples_of("efax")):
        with pytest.raises(UnknownSample, match="phaxio, telnyx, sinch, asterisk"):
            ask()


@pytest.mark.parametrize("provider", ["phaxio", "telnyx", "asterisk"])
def test_without_its_secret_a_sample_cannot_be_made(provider):
    with pytest.raises(MissingSecret, match=provider):
        make(provider, "received", secrets=settings_of())
    for seed in ("not base64!", base64.b64encode(b"short").decode()):
        with pytest.raises(MissingSecret, match="telnyx"):
            make("telnyx", "received", secrets=settings_of(telnyx_simulate_seed=seed))


def test_phaxio_s_samples_may_be_signed_faxbot_s_way():
    sample = make("phaxio", "received", secrets=settings_of(phaxio_api_secret="phaxio-api"))
    assert len(sample.headers["X-Phaxio-Signature"]) == 64
    assert receive(sample).event.type is EventType.RECEIVED


def test_sinch_s_samples_prove_themselves_by_what_is_given_and_by_nothing_where_that_is_wanted():
    cases = [
        (
            {"sinch_inbound_basic_user": "u", "sinch_inbound_basic_pass": "p"},
            {"sinch_users": ("u",), "sinch_passwords": ("p",)},
        ),
        ({"sinch_inbound_hmac_secret": "h"}, {"sinch_hmac_secrets": ("h",)}),
        ({}, {"sinch_allow_unverified": True}),
    ]
    for secrets, configured in cases:
        sample = make("sinch", "received", secrets=settings_of(**secrets))
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
