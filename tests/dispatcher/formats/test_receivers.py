"""The receivers' own software takes what we send: django-phaxio as a running server, Telnyx's SDK, standardwebhooks."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from django_receiver import TOKEN, django_application
from format_cases import TOKENS, URL, case_id, render
from standardwebhooks import Webhook as StandardWebhook
from standardwebhooks import WebhookVerificationError

from dispatcher.channels.phrases import in_short
from dispatcher.formats import FORMATS, Webhook
from dispatcher.formats.tokens import new_token, public_key
from dispatcher.ops.listener.readers import READERS, Posted
from docs.generate.formats import sample_events
from shared.domain import Direction, EventType, Phase, Provider, utc_now

SAMPLES = list(sample_events(utc_now()))
PUBLIC_KEY = public_key("telnyx-v2", TOKENS["telnyx-v2"])
PHAXIO_CASES = [
    (name, each)
    for name in ("phaxio-v2.1", "phaxio-v2", "phaxio-v1")
    for each in SAMPLES
    if FORMATS[name].has_word_for(each.event)
]
TELNYX_CASES = [each for each in SAMPLES if FORMATS["telnyx-v2"].has_word_for(each.event)]


@pytest.fixture(scope="module")
def application() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    with django_application() as running:
        yield running


def status_of(url: str, webhook: Webhook, body: bytes | None = None) -> int:
    request = urllib.request.Request(url, webhook.body if body is None else body, webhook.headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


# ---- django-phaxio ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("format_name", "sample"), PHAXIO_CASES, ids=case_id)
def test_django_phaxio_answers_200_and_hears_the_fax_whatever_provider_it_came_by(application, format_name, sample):
    url, heard = application
    heard.clear()
    webhook = render(format_name, sample, url=url, tokens=(TOKEN,))
    assert status_of(url, webhook) == 200
    (told,) = heard
    assert told["direction"] == sample.event.direction
    assert told["is_test"] is sample.event.is_test
    assert str(told["fax"]["id"]) == sample.event.fax_id
    assert (told["fax"]["status"] == "success") == (sample.event.type in {EventType.DELIVERED, EventType.RECEIVED})


@pytest.mark.parametrize("format_name", ["phaxio-v2.1", "phaxio-v2", "phaxio-v1"])
def test_django_phaxio_answers_403_to_a_changed_fax_a_changed_file_another_url_and_no_signature(
    application, format_name
):
    url, heard = application
    heard.clear()
    sample = next(each for each in SAMPLES if (each.provider, each.name) == ("telnyx", "received"))
    webhook = render(format_name, sample, url=url, tokens=(TOKEN,))
    for part in (sample.event.fax_id.encode(), sample.document):
        changed = bytes([part[0] ^ 1]) + part[1:]
        assert status_of(url, webhook, webhook.body.replace(part, changed)) == 403
    assert status_of(url.replace("account=1", "account=2"), webhook) == 403
    assert status_of(url, render(format_name, sample, url=url, tokens=())) == 403
    assert heard == []


# ---- Telnyx's SDK -----------------------------------------------------------------------------------------------


class TelnyxApplication:
    """What the SDK offers an application: the lone verifier, and the client that verifies and unwraps."""

    def __init__(self) -> None:
        # Its thousand types take seconds to import: not while tests are only being collected.
        from telnyx import Telnyx  # noqa: PLC0415 - it takes a second
        from telnyx.lib.webhook_verification import WebhookVerificationError, verify_webhook_signature  # noqa: PLC0415 - it takes a second

        self.client = Telnyx(api_key="none", public_key=PUBLIC_KEY)
        self.verify = verify_webhook_signature
        self.refusals = (WebhookVerificationError, ValueError)  # versions differ

    def unwrap(self, webhook: Webhook) -> Any:
        return self.client.webhooks.unwrap(webhook.body.decode(), headers=webhook.headers)


@pytest.fixture(scope="module")
def sdk() -> TelnyxApplication:
    return TelnyxApplication()


@pytest.mark.parametrize("sample", TELNYX_CASES, ids=case_id)
def test_the_telnyx_sdk_verifies_and_unwraps_whatever_provider_it_came_by(sdk, sample):
    webhook = render("telnyx-v2", sample, now=utc_now())
    sdk.verify(webhook.body, webhook.headers, PUBLIC_KEY)
    event = sdk.unwrap(webhook)
    if sample.event.direction is Direction.SENT:  # the SDK's types know no received fax
        assert event.data.payload.fax_id == sample.event.fax_id
        assert event.data.payload.direction == "outbound"
        assert event.data.event_type.startswith("fax.")
    if sample.event.occurred_at and sample.event.direction is Direction.SENT:
        assert event.data.occurred_at == sample.event.occurred_at


def test_the_telnyx_sdk_reads_a_failure_of_phaxios_as_one_of_telnyxs(sdk):
    sample = next(each for each in SAMPLES if (each.provider, each.name) == ("phaxio", "sent-failure"))
    webhook = render("telnyx-v2", sample, now=utc_now())
    event = sdk.unwrap(webhook)
    assert type(event).__name__ == "FaxFailed"
    assert (event.data.payload.status, event.data.payload.failure_reason) == ("failed", "Busy")


def test_the_telnyx_sdk_refuses_one_changed_byte_and_another_key(sdk):
    webhook = render("telnyx-v2", TELNYX_CASES[0], now=utc_now())
    changed = msgspec.structs.replace(webhook, body=webhook.body.replace(b"fax", b"fay", 1))
    with pytest.raises(sdk.refusals, match="does not match"):
        sdk.unwrap(changed)
    other = public_key("telnyx-v2", new_token("telnyx-v2"))
    with pytest.raises(sdk.refusals, match="does not match"):
        sdk.verify(webhook.body, webhook.headers, other)


# ---- standardwebhooks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES, ids=case_id)
def test_standardwebhooks_verifies_every_event_and_gives_it_back(sample):
    webhook = render("standard-v1", sample, now=utc_now())
    message = StandardWebhook(TOKENS["standard-v1"]).verify(webhook.body, webhook.headers)
    assert message["type"] == sample.event.type
    assert message["data"]["fax_id"] == sample.event.fax_id


def test_standardwebhooks_verifies_with_either_secret_of_a_rotation_and_with_no_other():
    old, new = new_token("standard-v1"), new_token("standard-v1")
    webhook = render("standard-v1", SAMPLES[0], now=utc_now(), tokens=(old, new))
    for secret in (old, new, new.removeprefix("whsec_")):
        assert StandardWebhook(secret).verify(webhook.body, webhook.headers)
    with pytest.raises(WebhookVerificationError):
        StandardWebhook(new_token("standard-v1")).verify(webhook.body, webhook.headers)
    with pytest.raises(WebhookVerificationError):
        StandardWebhook(old).verify(webhook.body + b" ", webhook.headers)


# ---- `faxhook listen` -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_name", "sample"),
    [(name, each) for name in FORMATS for each in SAMPLES if FORMATS[name].has_word_for(each.event)],
    ids=case_id,
)
def test_faxhook_listen_says_which_fax_to_whom_and_why_not(format_name, sample):
    now = utc_now()
    webhook = render(format_name, sample, now=now)
    posted = Posted(url=URL, headers=webhook.headers, body=webhook.body, now=now.timestamp())
    told = READERS[format_name](posted, [TOKENS[format_name]])
    event = sample.event
    assert (told.refused, told.fax_id, told.pages) == (None, event.fax_id, event.pages)
    assert told.to_number == event.to_number or event.to_number is None
    if event.type in {EventType.FAILED, EventType.RECEIVE_FAILED}:
        assert told.what == f"{in_short(event.type)} ({event.failure.message})"


def test_every_provider_and_both_phases_were_put_to_the_receivers():
    assert {each.provider for _, each in PHAXIO_CASES} == set(Provider)
    assert {each.event.phase for _, each in PHAXIO_CASES} == set(Phase)
    assert {each.provider for each in TELNYX_CASES} == set(Provider)
