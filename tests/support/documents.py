"""Documents at a provider, and events that name them by URL."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dispatchers import an_event
from receiver import Receiver

from shared.domain import Event, EventType, Media, Provider

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 100
QUERY = "X-Amz-Credential=AKIASECRET&X-Amz-Signature=c0ffee%2F"


def received(url: str, number: int = 1, *, seconds_ago: float = 0.0, **fields: Any) -> Event:
    """Return a Telnyx event of a received fax whose document lies at *url*."""
    now = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return an_event(
        number, EventType.RECEIVED, provider=Provider.TELNYX, media=Media(url=url), received_at=now, **fields
    )


def document_url(storage: Receiver) -> str:
    return f"{storage.base_url}/bucket/a%2Fb.pdf?{QUERY}"
