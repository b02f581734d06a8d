"""Signed sample callbacks for `faxhook simulate PROVIDER EVENT` and the demo: the ingress accepts them like real ones.

A sample has a name that means the same for every provider (`sent-success`), and the provider's own name where only one
sample has it (`fax.received`; `fax.failed` may be of a sent fax or of a received one). The same event of the same fax
with the same `occurred_at` is a repetition, as the provider itself would send it.
"""

import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from dispatcher.ops.simulator.bodies import SampleDraft, SampleFax, asterisk, encode_draft, phaxio, sinch, telnyx
from dispatcher.ops.simulator.fields import Change, apply_fields
from dispatcher.ops.simulator.settings import SimulateSettings
from dispatcher.ops.simulator.signing import sign
from shared.domain import EventType, utc_now
from shared.errors import FaxhookError

FROM_NUMBER: Final = "+15550100101"
TO_NUMBER: Final = "+15550100102"


class UnknownSample(FaxhookError):
    """There is no such provider or event, or several events have that name; the message lists the samples."""

    code = "unknown_sample"


class SampleCallback(msgspec.Struct, frozen=True, kw_only=True):
    """A callback to be posted to `PUBLIC_URL` + `target`, byte for byte.

    Attributes:
        query: Without question mark; empty without one.
        event_name: Our name, also if the provider's was asked for.
        event_type: What the ingress makes of it, unless changes make it something else.
        added: Fields that only a change put into the sample: mistyped, perhaps.
    """

    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    fax_id: str
    event_name: str
    event_type: EventType
    added: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Path and query as in the request."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Sample(msgspec.Struct, frozen=True):
    """What a sample is in our words, how the provider writes it, and the own name if no other has it."""

    type: EventType
    write: Callable[[SampleFax], SampleDraft]
    own_name: str = ""


def _sample(write: Callable[..., SampleDraft], event_type: EventType, own_name: str = "", /, **fields: Any) -> Sample:
    return Sample(event_type, partial(write, **fields), own_name)


def _telnyx(
    direction: str, event_type: EventType, name: str, status: str, *, is_shared_name: bool = False, **fields: Any
) -> Sample:
    write = partial(telnyx, direction=direction, event_type=name, status=status, **fields)
    return Sample(event_type, write, "" if is_shared_name else name)


_SENT = partial(phaxio, direction="sent")
_ENDED = partial(phaxio, direction="sent", event_type="fax_completed")
_RECEIVED = partial(phaxio, direction="received", event_type="fax_completed")
_PAGE = partial(phaxio, direction="sent", status="inprogress", event_type="transmitting_page", page="1")
_RETRY = partial(phaxio, direction="sent", status="inprogress", event_type="retry_scheduled", retry_count="1")
_outbound = partial(_telnyx, "outbound")
_inbound = partial(_telnyx, "inbound")
_DOCUMENT = partial(_telnyx, "inbound", has_media=True)
_COMPLETED = partial(sinch, event="FAX_COMPLETED", direction="OUTBOUND")
_INCOMING = partial(sinch, event="INCOMING_FAX", direction="INBOUND")
_ASTERISK_FAILED = partial(asterisk, faxstatus="FAILED")

SAMPLES: Final[dict[str, dict[str, Sample]]] = {
    "phaxio": {
        "queued": _sample(_SENT, EventType.QUEUED, status="queued"),
        "sending": _sample(_SENT, EventType.SENDING, "inprogress", status="inprogress"),
        "page-sent": _sample(_PAGE, EventType.PAGE_SENT, "transmitting_page"),
        "retry-scheduled": _sample(_RETRY, EventType.RETRY_SCHEDULED, "retry_scheduled"),
        "sent-success": _sample(_ENDED, EventType.DELIVERED, status="success"),
        "sent-failure": _sample(_ENDED, EventType.FAILED, status="failure"),
        "sent-partial": _sample(_ENDED, EventType.PARTIALLY_DELIVERED, "partialsuccess", status="partialsuccess"),
        "received": _sample(_RECEIVED, EventType.RECEIVED, status="success"),
        "received-failure": _sample(_RECEIVED, EventType.RECEIVE_FAILED, status="failure"),
    },
    "telnyx": {
        "queued": _outbound(EventType.QUEUED, "fax.queued", "queued"),
        "media-processed": _outbound(EventType.MEDIA_PROCESSED, "fax.media.processed", "media.processed"),
        "sending": _outbound(EventType.SENDING, "fax.sending.started", "sending"),
        "sent-success": _outbound(EventType.DELIVERED, "fax.delivered", "delivered", call_duration_secs=79),
        "sent-failure": _outbound(
            EventType.FAILED, "fax.failed", "failed", is_shared_name=True, failure_reason="user_busy"
        ),
        "receiving": _inbound(EventType.RECEIVING, "fax.receiving.started", "receiving"),
        "media-processing": _inbound(EventType.MEDIA_PROCESSED, "fax.media.processing.started", "media.processing"),
        "received": _DOCUMENT(EventType.RECEIVED, "fax.received", "received"),
        "received-partial": _DOCUMENT(
            EventType.RECEIVED, "fax.received", "received", is_shared_name=True, partial_content=True
        ),
        # Inbound under the outbound name, as one revision of Telnyx's guide has it.
        "received-as-delivered": _DOCUMENT(EventType.RECEIVED, "fax.delivered", "delivered", is_shared_name=True),
        "received-failure": _inbound(
            EventType.RECEIVE_FAILED, "fax.failed", "failed", is_shared_name=True, failure_reason="sender_call_dropped"
        ),
        "unknown": _inbound(EventType.UNKNOWN, "fax.email.delivered", "delivered"),
    },
    "sinch": {
        "sent-success": _sample(_COMPLETED, EventType.DELIVERED, status="COMPLETED"),
        "sent-failure": _sample(_COMPLETED, EventType.FAILED, status="FAILURE", pages_sent=0),
        "sent-partial": _sample(_COMPLETED, EventType.FAILED, status="FAILURE", pages_sent=1),
        "received": _sample(_INCOMING, EventType.RECEIVED, status="COMPLETED"),
        "received-failure": _sample(_INCOMING, EventType.RECEIVE_FAILED, status="FAILURE"),
    },
    "asterisk": {
        "received": _sample(asterisk, EventType.RECEIVED, "SUCCESS", faxstatus="SUCCESS", faxstatusstring="OK"),
        "received-partial": _sample(_ASTERISK_FAILED, EventType.RECEIVE_FAILED, faxpages=1, faxerror="HANGUP"),
        "received-failure": _sample(_ASTERISK_FAILED, EventType.RECEIVE_FAILED, faxpages=0, faxerror="TIMEOUT"),
    },
}
"""Every sample by provider and name. The names are the same for every provider."""

_PATHS: Final = {
    "telnyx": "/telnyx-webhook",
    "sinch": "/sinch-inbound",
    "asterisk": "/_internal/asterisk/inbound",
}
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NEW_IDS: Final[dict[str, Callable[[datetime], str]]] = {
    "phaxio": lambda _: str(10_000_000 + secrets.randbelow(2_000_000_000)),
    "telnyx": lambda _: str(uuid.uuid4()),
    "sinch": lambda _: "01" + "".join(secrets.choice(_CROCKFORD) for _ in range(24)),  # a ULID's shape
    "asterisk": lambda now: f"{int(now.timestamp())}.{secrets.randbelow(1_000_000)}",
}


def samples_of(provider: str) -> Mapping[str, Sample]:
    """Return *provider*'s samples by name, in the order in which they would happen.

    Raises:
        UnknownSample: There is no such provider.
    """
    if provider not in SAMPLES:
        raise UnknownSample(f"there is no provider {provider!r}; there are {', '.join(SAMPLES)}")
    return SAMPLES[provider]


def find(provider: str, event: str) -> tuple[str, Sample]:
    """Return the name and the sample that *event* means: our name in any case, or the provider's own.

    Raises:
        UnknownSample: No such provider or event.
    """
    samples = samples_of(provider)
    wanted = event.strip().lower()
    for name, sample in samples.items():
        if wanted and wanted in (name, sample.own_name.lower()):
            return name, sample
    raise UnknownSample(f"{provider} has no sample {event!r}, or several of that name; there are {', '.join(samples)}")


def sample_fax(provider: str, now: datetime, *, fax_id: str | None = None, **fields: Any) -> SampleFax:
    """Return a fax; *fields* are those of `SampleFax`. An absent *fax_id* is a new one, in the provider's shape."""
    fixed: dict[str, Any] = {"from_number": FROM_NUMBER, "to_number": TO_NUMBER, "pages": 2, "occurred_at": now}
    return SampleFax(fax_id=fax_id or _NEW_IDS[provider](now), **{**fixed, **fields})


def make_sample(
    settings: SimulateSettings,
    base_url: str,
    provider: str,
    event: str,
    *,
    now: datetime | None = None,
    job_id: str | None = None,
    changes: Sequence[Change] = (),
    document: bytes | None = None,
    **fax_fields: Any,
) -> SampleCallback:
    """Return a signed callback.

    Args:
        settings: With at least this provider's secret.
        base_url: Where it is posted, unless *settings* hold the `PUBLIC_URL` of the ingress: Phaxio signs it.
        provider: One of `SAMPLES`.
        event: See `find`.
        now: Aware UTC, when it is signed; absent: now.
        job_id: Goes into the query of a sent fax's callbacks.
        changes: Of single fields, made in this order before it is signed.
        document: Is sent instead of the sample's own, where the provider sends one.
        fax_fields: See `sample_fax`.

    Raises:
        UnknownSample: No such provider or event.
        BadChange: A change that cannot be made.
        MissingSecret: Its secret is not set, or cannot sign.
    """
    name, sample = find(provider, event)
    now = now or utc_now()
    fax = sample_fax(provider, now, **fax_fields)
    draft, added = apply_fields(sample.write(fax), changes, document)
    content = encode_draft(draft)
    path = _PATHS.get(provider) or ("/phaxio-inbound" if name.startswith("received") else "/phaxio-callback")
    query = urlencode({"job_id": job_id}) if job_id and not name.startswith("receiv") else ""
    url = (settings.public_url or base_url).rstrip("/") + (f"{path}?{query}" if query else path)
    headers = {"Content-Type": content.content_type, **sign(provider, content, settings, url, now)}
    return SampleCallback(
        path=path,
        query=query,
        headers=headers,
        body=content.body,
        fax_id=fax.fax_id,
        event_name=name,
        event_type=sample.type,
        added=added,
    )
