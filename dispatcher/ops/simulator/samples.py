"""Signed sample callbacks for `faxhook simulate PROVIDER EVENT` and the demo: they pass the ingress like real ones.

An event is asked for by a word that means the same with every provider (`sent-success`), or by the provider's own
where that says which one is meant (`fax.received`; `fax.failed` may be of a sent fax or of a received one). The same
event of the same fax with the same `occurred_at` is a repetition, as the provider itself would send it.
"""

import secrets as randomness
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import urlencode

import msgspec

from dispatcher.ops.simulator.bodies import MEDIA_URL, SampleDraft, SampleFax, asterisk, phaxio, sinch, telnyx, written
from dispatcher.ops.simulator.fields import Change, apply_fields
from dispatcher.ops.simulator.signing import SampleSecrets, sign
from shared.domain import EventType
from shared.errors import FaxhookError

FROM_NUMBER: Final = "+15550100101"
TO_NUMBER: Final = "+15550100102"


class UnknownSample(FaxhookError):
    """There is no such provider or event, or its name may mean several; the message lists what there is."""

    code = "unknown_sample"


class SampleCallback(msgspec.Struct, frozen=True, kw_only=True):
    """A callback to be posted to `PUBLIC_URL` + `target`, byte for byte.

    Attributes:
        query: Without question mark; empty if there is none.
        event_name: Ours, also where it was asked for by the provider's.
        event_type: What the ingress makes of it, unless changes make it something else.
        added: Fields that the sample had only by a change: mistyped, perhaps.
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
        """Path and query as they stand in the request."""
        return f"{self.path}?{self.query}" if self.query else self.path


class _Sample(msgspec.Struct, frozen=True):
    """One row: what it is in our words, how the provider writes it, the provider's own name if it means only this."""

    type: EventType
    write: Callable[[SampleFax], SampleDraft]
    own_name: str = ""


_SENT = partial(phaxio, direction="sent")
_RECEIVED = partial(phaxio, direction="received", event_type="fax_completed")
_OUTBOUND = partial(telnyx, direction="outbound")
_INBOUND = partial(telnyx, direction="inbound")
_COMPLETED = partial(sinch, event="FAX_COMPLETED", direction="OUTBOUND")
_INCOMING = partial(sinch, event="INCOMING_FAX", direction="INBOUND")

SAMPLES: Final[dict[str, dict[str, _Sample]]] = {
    "phaxio": {
        "queued": _Sample(EventType.QUEUED, partial(_SENT, status="queued")),
        "sending": _Sample(EventType.SENDING, partial(_SENT, status="inprogress"), "inprogress"),
        "page-sent": _Sample(
            EventType.PAGE_SENT,
            partial(_SENT, status="inprogress", event_type="transmitting_page", page="1"),
            "transmitting_page",
        ),
        "retry-scheduled": _Sample(
            EventType.RETRY_SCHEDULED,
            partial(_SENT, status="inprogress", event_type="retry_scheduled", retry_count="1"),
            "retry_scheduled",
        ),
        "sent-success": _Sample(EventType.DELIVERED, partial(_SENT, status="success", event_type="fax_completed")),
        "sent-failure": _Sample(EventType.FAILED, partial(_SENT, status="failure", event_type="fax_completed")),
        "sent-partial": _Sample(
            EventType.PARTIALLY_DELIVERED,
            partial(_SENT, status="partialsuccess", event_type="fax_completed"),
            "partialsuccess",
        ),
        "received": _Sample(EventType.RECEIVED, partial(_RECEIVED, status="success")),
        "received-failure": _Sample(EventType.RECEIVE_FAILED, partial(_RECEIVED, status="failure")),
    },
    "telnyx": {
        "queued": _Sample(EventType.QUEUED, partial(_OUTBOUND, event_type="fax.queued", status="queued"), "fax.queued"),
        "media-processed": _Sample(
            EventType.MEDIA_PROCESSED,
            partial(_OUTBOUND, event_type="fax.media.processed", status="media.processed"),
            "fax.media.processed",
        ),
        "sending": _Sample(
            EventType.SENDING,
            partial(_OUTBOUND, event_type="fax.sending.started", status="sending"),
            "fax.sending.started",
        ),
        "sent-success": _Sample(
            EventType.DELIVERED,
            partial(_OUTBOUND, event_type="fax.delivered", status="delivered", call_duration_secs=79),
            "fax.delivered",
        ),
        "sent-failure": _Sample(
            EventType.FAILED,
            partial(_OUTBOUND, event_type="fax.failed", status="failed", failure_reason="user_busy"),
        ),
        "receiving": _Sample(
            EventType.RECEIVING,
            partial(_INBOUND, event_type="fax.receiving.started", status="receiving"),
            "fax.receiving.started",
        ),
        "media-processing": _Sample(
            EventType.MEDIA_PROCESSED,
            partial(_INBOUND, event_type="fax.media.processing.started", status="media.processing"),
            "fax.media.processing.started",
        ),
        "received": _Sample(
            EventType.RECEIVED,
            partial(_INBOUND, event_type="fax.received", status="received", has_media=True),
            "fax.received",
        ),
        "received-partial": _Sample(
            EventType.RECEIVED,
            partial(_INBOUND, event_type="fax.received", status="received", has_media=True, partial_content=True),
        ),
        # Inbound under the outbound name, as one revision of Telnyx's guide has it.
        "received-as-delivered": _Sample(
            EventType.RECEIVED,
            partial(_INBOUND, event_type="fax.delivered", status="delivered", has_media=True),
        ),
        "received-failure": _Sample(
            EventType.RECEIVE_FAILED,
            partial(_INBOUND, event_type="fax.failed", status="failed", failure_reason="sender_call_dropped"),
        ),
        "unknown": _Sample(
            EventType.UNKNOWN,
            partial(_INBOUND, event_type="fax.email.delivered", status="delivered"),
            "fax.email.delivered",
        ),
    },
    "sinch": {
        "sent-success": _Sample(EventType.DELIVERED, partial(_COMPLETED, status="COMPLETED")),
        "sent-failure": _Sample(EventType.FAILED, partial(_COMPLETED, status="FAILURE", pages_sent=0)),
        "sent-partial": _Sample(EventType.FAILED, partial(_COMPLETED, status="FAILURE", pages_sent=1)),
        "received": _Sample(EventType.RECEIVED, partial(_INCOMING, status="COMPLETED")),
        "received-failure": _Sample(EventType.RECEIVE_FAILED, partial(_INCOMING, status="FAILURE")),
    },
    "asterisk": {
        "received": _Sample(
            EventType.RECEIVED, partial(asterisk, faxstatus="SUCCESS", faxstatusstring="OK"), "SUCCESS"
        ),
        "received-partial": _Sample(
            EventType.RECEIVE_FAILED, partial(asterisk, faxstatus="FAILED", faxpages=1, faxerror="HANGUP")
        ),
        "received-failure": _Sample(
            EventType.RECEIVE_FAILED,
            partial(asterisk, faxstatus="FAILED", faxpages=0, faxerror="TIMEOUT"),
        ),
    },
}
"""Every sample by provider and name. The words are chosen to be the same everywhere."""


def events_of(provider: str) -> list[str]:
    """Return the names of *provider*'s samples, in the order in which they would happen.

    Raises:
        UnknownSample: There is no such provider.
    """
    return list(_samples_of(provider))


def find(provider: str, event: str) -> tuple[str, EventType]:
    """Return our name of a sample asked for by ours or the provider's own, and what the ingress makes of it.

    Raises:
        UnknownSample: No such provider or event.
    """
    name, sample = _find(provider, event)
    return name, sample.type


def own_name(provider: str, event: str) -> str:
    """Return the provider's own name of a sample; empty where that may mean several."""
    return _find(provider, event)[1].own_name


def draft_of(provider: str, event: str, now: datetime) -> SampleDraft:
    """Return what a sample holds, for people who look for a field to change."""
    _, sample = _find(provider, event)
    return sample.write(
        SampleFax(
            fax_id=_NEW_IDS[provider](now), from_number=FROM_NUMBER, to_number=TO_NUMBER, pages=2, occurred_at=now
        )
    )


def build(
    provider: str,
    event: str,
    *,
    secrets: SampleSecrets,
    public_url: str,
    now: datetime,
    fax_id: str | None = None,
    occurred_at: datetime | None = None,
    from_number: str = FROM_NUMBER,
    to_number: str = TO_NUMBER,
    pages: int = 2,
    job_id: str | None = None,
    client_state: str | None = None,
    tiff_path: str = "",
    media_url: str = MEDIA_URL,
    changes: Sequence[Change] = (),
    document: bytes | None = None,
) -> SampleCallback:
    """Return a signed callback.

    Args:
        provider: One of `SAMPLES`.
        event: One of `events_of(provider)` in any case, or the provider's own name of it.
        secrets: At least this provider's.
        public_url: What the ingress has as `PUBLIC_URL`: Phaxio signs it.
        now: Aware UTC; when it is signed.
        fax_id: None makes a new one, in the shape of the provider's.
        occurred_at: Aware UTC; None means *now*. Phaxio's events are told apart by it.
        from_number: E.164.
        to_number: E.164; for received faxes this is our number.
        pages: From 1; the partial samples need 2.
        job_id: Goes into the query of sent faxes' callbacks.
        client_state: Telnyx echoes it.
        tiff_path: What the Asterisk names.
        media_url: Where Telnyx says that the document of a received fax lies.
        changes: Of single fields, made in this order before it is signed.
        document: Goes along instead of the sample's own, where the provider sends one.

    Raises:
        UnknownSample: No such provider or event.
        BadChange: A change that cannot be made.
        MissingSecret: Its secret was not given, or is none.
    """
    name, sample = _find(provider, event)
    fax = SampleFax(
        fax_id=fax_id or _NEW_IDS[provider](now),
        from_number=from_number,
        to_number=to_number,
        pages=pages,
        occurred_at=occurred_at or now,
        client_state=client_state,
        tiff_path=tiff_path,
        media_url=media_url,
    )
    draft, added = apply_fields(sample.write(fax), changes, document)
    content = written(draft)
    path = _PATHS.get(provider) or ("/phaxio-inbound" if name.startswith("received") else "/phaxio-callback")
    query = urlencode({"job_id": job_id}) if job_id and not name.startswith("receiv") else ""
    url = public_url.rstrip("/") + (f"{path}?{query}" if query else path)
    headers = {"Content-Type": content.content_type, **sign(provider, content, secrets, url, now)}
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


def _samples_of(provider: str) -> Mapping[str, _Sample]:
    if provider not in SAMPLES:
        raise UnknownSample(f"there is no provider {provider!r}; there are {', '.join(SAMPLES)}")
    return SAMPLES[provider]


def _find(provider: str, event: str) -> tuple[str, _Sample]:
    samples = _samples_of(provider)
    wanted = event.strip().lower()
    for name, sample in samples.items():
        if wanted and wanted in (name, sample.own_name.lower()):
            return name, sample
    raise UnknownSample(f"{provider} has no sample {event!r}, or several of that name; there are {', '.join(samples)}")


_PATHS: Final = {
    "telnyx": "/telnyx-webhook",
    "sinch": "/sinch-inbound",
    "asterisk": "/_internal/asterisk/inbound",
}
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NEW_IDS: Final[dict[str, Callable[[datetime], str]]] = {
    "phaxio": lambda _: str(10_000_000 + randomness.randbelow(2_000_000_000)),
    "telnyx": lambda _: str(uuid.uuid4()),
    "sinch": lambda _: "01" + "".join(randomness.choice(_CROCKFORD) for _ in range(24)),  # a ULID's shape
    "asterisk": lambda now: f"{int(now.timestamp())}.{randomness.randbelow(1_000_000)}",
}
