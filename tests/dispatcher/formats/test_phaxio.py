"""phaxio-v2.1: what an application of Phaxio's reads, and a signature that it can verify."""

import json
from datetime import UTC, datetime

import pytest
from dispatchers import an_event
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.formats import FORMATS, Facts, Webhook
from shared.domain import Event, EventType, Failure, Media, Phase, Provider
from shared.forms import Form, read_form
from shared.ids import uuid7
from shared.signatures import sign_phaxio

URL = "https://example.com/hook?account=1&tag=a%2Bb"
FORMAT = FORMATS["phaxio-v2.1"]
WORDED = [each for each in EventType if each.phase is Phase.POSTFLIGHT] + [
    EventType.PAGE_SENT,
    EventType.RETRY_SCHEDULED,
]


def rendered(event: Event, document: bytes | None = None, tokens: tuple[str, ...] = ("token",)) -> tuple[Webhook, Form]:
    facts = Facts(url=URL, tokens=tokens, delivery_id=uuid7(), attempt=1, now=datetime.now(UTC))
    webhook = FORMAT.render(event, document, facts)
    return webhook, read_form(webhook.headers["Content-Type"], webhook.body)


@pytest.mark.parametrize("event_type", EventType)
def test_it_has_words_for_endings_pages_and_retries_only(event_type: EventType) -> None:
    assert FORMAT.has_word_for(an_event(1, event_type)) is (event_type in WORDED)


@pytest.mark.parametrize("event_type", WORDED)
@pytest.mark.parametrize("provider", Provider)
def test_every_event_with_a_word_renders_to_a_form_signed_over_the_url(
    event_type: EventType, provider: Provider
) -> None:
    webhook, form = rendered(an_event(7, event_type, provider=provider))
    assert webhook.headers["X-Phaxio-Signature"] == sign_phaxio("token", URL, form.fields, [])
    names = [name for name, _ in form.fields]
    assert len(names) == len(set(names)), "a name twice: receivers disagree which one counts"
    assert not any("[" in name for name in names)
    fields = dict(form.fields)
    fax = json.loads(fields["fax"])
    assert fields["direction"] == fax["direction"]
    if event_type.phase is Phase.POSTFLIGHT:
        assert fields["event_type"] == "fax_completed"
        assert fields["success"] == ("true" if event_type in {EventType.DELIVERED, EventType.RECEIVED} else "false")
        assert fax["status"] in {"success", "failure", "partialsuccess"}
    else:
        assert fields["event_type"] in {"transmitting_page", "retry_scheduled"}
        assert "success" not in fields


def test_a_telnyx_failure_reads_as_phaxios_and_nothing_is_invented() -> None:
    event = an_event(
        1,
        EventType.FAILED,
        provider=Provider.TELNYX,
        fax_id="c62be5bc-9b13-4b6c-abda-34dd8b541287",
        to_number="+13129457420",
        from_number="+19459457421",
        pages=3,
        occurred_at=datetime(2026, 10, 3, 8, 0, tzinfo=UTC),
        failure=Failure(code="user_busy", message="user_busy", permanent=False),
    )
    _, form = rendered(event)
    fax = json.loads(dict(form.fields)["fax"])
    assert fax["id"] == "c62be5bc-9b13-4b6c-abda-34dd8b541287"
    assert (fax["status"], fax["num_pages"]) == ("failure", 3)
    # `error_id` is a number with Phaxio: a word goes where words may stand, or typed clients fail on it.
    assert (fax["error_id"], fax["error_type"], fax["error_message"]) == (None, "user_busy", "user_busy")
    assert fax["completed_at"] == "2026-10-03T08:00:00.000+00:00"
    assert [each["phone_number"] for each in fax["recipients"]] == ["+13129457420"]
    assert (fax["cost"], fax["caller_name"]) == (None, None)


def test_phaxios_own_event_keeps_its_own_object() -> None:
    own = {"id": 5, "status": "success", "cost": 7, "tags": {"order": "1"}, "recipients": [{"phone_number": "+1"}]}
    _, form = rendered(an_event(5, fields={"fax": own, "event_type": "fax_completed"}))
    fax = json.loads(dict(form.fields)["fax"])
    assert {name: fax[name] for name in own} == own


def test_a_page_carries_its_number_and_recipient() -> None:
    fields = {"page": "2", "recipient_phone_number": "+15559870000"}
    _, form = rendered(an_event(1, EventType.PAGE_SENT, fields=fields))
    sent = dict(form.fields)
    assert (sent["event_type"], sent["page"], sent["recipient_phone_number"]) == (
        "transmitting_page",
        "2",
        "+15559870000",
    )


@given(content=st.binary(max_size=2000), fax_id=st.text(max_size=30))
def test_a_received_fax_carries_its_file_byte_for_byte_under_a_harmless_name(content: bytes, fax_id: str) -> None:
    media = Media(key="k", sha256="s", bytes=len(content), content_type="application/pdf")
    event = an_event(1, EventType.RECEIVED, media=media, fax_id=fax_id)
    webhook, form = rendered(event, content)
    (part,) = form.files
    assert (part.name, part.content, part.content_type) == ("file", content, "application/pdf")
    assert part.filename is not None
    assert part.filename.endswith(".pdf")
    assert not set('"\r\n/\\') & set(part.filename)
    assert webhook.headers["X-Phaxio-Signature"] == sign_phaxio("token", URL, form.fields, [("file", content)])


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=50))
def test_any_text_of_a_provider_comes_through_whole(text: str) -> None:
    webhook, form = rendered(an_event(1, fields={"fax": {"caller_name": text}}))
    assert json.loads(dict(form.fields)["fax"])["caller_name"] == text
    assert webhook.headers["X-Phaxio-Signature"] == sign_phaxio("token", URL, form.fields, [])


def test_without_a_token_nothing_is_signed_and_with_several_the_first_signs() -> None:
    webhook, _ = rendered(an_event(1), tokens=())
    assert "X-Phaxio-Signature" not in webhook.headers
    webhook, form = rendered(an_event(1), tokens=("first", "second"))
    assert webhook.headers["X-Phaxio-Signature"] == sign_phaxio("first", URL, form.fields, [])


def test_only_finished_received_faxes_want_their_document() -> None:
    wanting = {each for each in EventType if FORMAT.wants_document(an_event(1, each))}
    assert wanting == {EventType.RECEIVED, EventType.RECEIVE_FAILED}
