"""Every event in every format: what the suites over all formats go through, and each format's own reader."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from dispatchers import an_event

from dispatcher.formats import FORMATS, Facts, Webhook
from dispatcher.formats.tokens import new_token, public_key
from docs.generate.formats import SampleEvent, sample_events
from shared.callback import Adapter, Callback, Document, Parsed
from shared.domain import Event, EventType, Phase, Provider
from shared.forms import read_form
from shared.ids import uuid7
from shared.providers.phaxio.adapter import PhaxioAdapter
from shared.providers.sinch.adapter import SinchAdapter
from shared.providers.telnyx.adapter import TelnyxAdapter
from shared.signatures import verify_standard

NOW = datetime(2026, 10, 3, 8, 0, 1, 234567, tzinfo=UTC)
HOST = "https://app.example.com"
TARGET = "/hook?account=1&tag=a%2Bb"
URL = HOST + TARGET
TOKENS = {name: new_token(name) for name in FORMATS}
FILE_PARTS = {"phaxio-v2.1": "file", "phaxio-v2": "file", "phaxio-v1": "filename"}
SIGNATURES = ("X-Phaxio-Signature", "telnyx-signature-ed25519", "X-Sinch-Signature", "webhook-signature")

ENDINGS = frozenset(each for each in EventType if each.phase is Phase.POSTFLIGHT)
WORDS = {
    "phaxio-v2.1": ENDINGS | {EventType.PAGE_SENT, EventType.RETRY_SCHEDULED},
    "phaxio-v2": ENDINGS,
    "phaxio-v1": ENDINGS,
    "telnyx-v2": ENDINGS | {EventType.QUEUED, EventType.RECEIVING, EventType.MEDIA_PROCESSED, EventType.SENDING},
    "sinch-v3": ENDINGS,
    "standard-v1": frozenset(EventType),
}
"""What each format has words for, by the contract."""


def minimal_events() -> Iterator[SampleEvent]:
    """Yield an event of every type from every provider that says nothing but which fax it was."""
    for provider in Provider:
        for event_type in EventType:
            event = an_event(7, event_type, provider=provider, id=f"{provider}:7-{event_type.rank}")
            yield SampleEvent(provider.value, f"minimal-{event_type}", event, None)


SAMPLES = list(sample_events(NOW))
EVENTS = [*SAMPLES, *minimal_events()]
RENDERED = [
    (format_name, sample)
    for format_name, rendering in FORMATS.items()
    for sample in EVENTS
    if rendering.has_word_for(sample.event)
]


def case_id(value: Any) -> str:
    return value if isinstance(value, str) else f"{value.provider}-{value.name}"


def facts(format_name: str, **changed: Any) -> Facts:
    fixed = {"url": URL, "tokens": (TOKENS[format_name],), "delivery_id": uuid7(), "attempt": 1, "now": NOW}
    return Facts(**(fixed | changed))


def render(format_name: str, sample: SampleEvent, **changed: Any) -> Webhook:
    rendering = FORMATS[format_name]
    document = sample.document if rendering.wants_document(sample.event) else None
    return rendering.render(sample.event, document, facts(format_name, **changed))


# ---- Reading it back --------------------------------------------------------------------------------------------


class StandardReader:
    """What an application with Standard Webhooks has: the specification's verifier, and our event in the data."""

    def __init__(self, token: str) -> None:
        self._token = token

    def verify(self, callback: Callback) -> None:
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        headers = [callback.headers.get(name) for name in names]
        verify_standard([self._token], *headers, callback.body, callback.received_at.timestamp())

    def parse(self, callback: Callback, _verified: None) -> Parsed:
        return Parsed(event=msgspec.convert(json.loads(callback.body)["data"], Event))


def own_reader(format_name: str, token: str) -> Adapter | StandardReader:
    """Return what the ingress reads this provider's callbacks with."""
    family = format_name.partition("-")[0]
    if family == "phaxio":
        return PhaxioAdapter(callback_tokens=(token,), api_secrets=(), public_url=HOST)
    if family == "telnyx":
        return TelnyxAdapter(public_keys=(public_key(format_name, token),))
    if family == "sinch":
        return SinchAdapter(users=(), passwords=(), hmac_secrets=(token,), allow_unverified=False)
    return {"standard": StandardReader}[family](token)


def as_callback(webhook: Webhook, *, target: str = TARGET, body: bytes | None = None) -> Callback:
    return Callback(
        route="/hook",
        target=target,
        query={},
        headers=webhook.headers,
        body=webhook.body if body is None else body,
        received_at=NOW,
    )


def read_back(format_name: str, webhook: Webhook) -> Parsed:
    """Return what the format's own reader makes of it, or raise what it raises."""
    reader = own_reader(format_name, TOKENS[format_name])
    callback = as_callback(webhook)
    return reader.parse(callback, reader.verify(callback))


def content_of(parsed: Parsed) -> bytes | None:
    return parsed.document.content if isinstance(parsed.document, Document) else None


def json_of(webhook: Webhook) -> dict[str, Any]:
    """Return the JSON of a body, or of a form's `fax`; a name that is there twice raises."""
    source: str | bytes = webhook.body
    if webhook.headers["Content-Type"].startswith("multipart/"):
        form = read_form(webhook.headers["Content-Type"], webhook.body)
        source = _once(list(form.fields))["fax"]
    return json.loads(source, object_pairs_hook=_once)


def form_of(webhook: Webhook) -> dict[str, str]:
    return _once(list(read_form(webhook.headers["Content-Type"], webhook.body).fields))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs), "a name twice: receivers disagree which one counts"
    return dict(pairs)
