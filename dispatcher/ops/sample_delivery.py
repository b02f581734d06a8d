"""A test delivery: a sample event to an endpoint's URL, in its format and with its signature, outside the ledger."""

from collections.abc import Mapping

import msgspec

from dispatcher.channels import Channel
from dispatcher.routing import Endpoint
from shared.domain import EventType


class SampleOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        is_told: The application answered as a told one does.
        verdict: In a sentence.
        type: Of the sample event.
        event_id: Of the sample, as the application saw it.
        url: Where it was posted to, without user and password.
        error: A stable code such as `timeout`; None where it was told.
        answer: The first 2 KiB, unprintable characters escaped.
    """

    is_told: bool
    verdict: str
    type: EventType
    event_id: str
    url: str | None
    http_status: int | None
    error: str | None
    seconds: float
    answer: str


async def send_sample(
    endpoint: Endpoint, channels: Mapping[str, Channel], event_type: EventType | None = None
) -> SampleOutcome:
    """Send a sample event of *event_type* (None: one that the endpoint would be told of) and say what came back."""
    raise NotImplementedError
