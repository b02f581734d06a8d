"""Single attempts: the document if the format carries one, the endpoint's URL, its failover if that fails.

Every attempt ends: a bound over all of it catches what its parts forget to bound.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

from dispatcher.channels import Attempt, Channel
from dispatcher.channels.outcome import NotTold, NotTried, Outcome, Told
from dispatcher.delivery.document_budget import Reservation
from dispatcher.delivery.documents import LEASE_SECONDS as FETCH_LEASE_SECONDS
from dispatcher.delivery.documents import MOST_BYTES as MOST_DOCUMENT_BYTES
from dispatcher.delivery.documents import may_need_fetch
from dispatcher.egress.errors import ProxyAway
from dispatcher.formats import FORMATS
from dispatcher.policy.delivery import LeasedDelivery
from dispatcher.policy.routing import has_word
from shared.domain import Event
from shared.errors import FaxhookError
from shared.ids import command_id
from shared.media import MediaUnavailable
from shared.runtime.watchdog import Look


class Documents(Protocol):
    """What gives an event's document."""

    async def of(self, event: Event, attempt: int) -> tuple[Event, bytes | None]:
        """Return it, and the event that tells of it; raise `MediaUnavailable` or `ProxyAway` for our own trouble."""


class AttemptHung(FaxhookError):
    """Our own code forgot to bound a wait."""

    code = "attempt_hung"


class Attempts:
    """Makes attempts, and knows which are under way."""

    def __init__(self, channels: Mapping[str, Channel], documents: Documents) -> None:
        self._channels = channels
        self._documents = documents
        self._under_way: dict[UUID, int] = {}

    def progress(self) -> Look:
        """Return for the watchdog how many attempts are under way, and which is the oldest."""
        return len(self._under_way), next(iter(self._under_way.items()), None)

    def lease_seconds(self, delivery: LeasedDelivery) -> float:
        """Return how long a lease must last for an attempt to end within it, a document to fetch included."""
        fetches = may_need_fetch(delivery.event) and self._wants_document(delivery)
        return delivery.endpoint.lease_seconds + (FETCH_LEASE_SECONDS if fetches else 0.0)

    def document_bytes(self, delivery: LeasedDelivery) -> int:
        """Return how large the document of an attempt may be."""
        media = delivery.event.media
        if media is None or not self._wants_document(delivery):
            return 0
        return (media.bytes or MOST_DOCUMENT_BYTES) if media.key is not None else MOST_DOCUMENT_BYTES

    async def make(self, delivery: LeasedDelivery, now: datetime, reservation: Reservation) -> Outcome:
        """Make one at *now*, the document within *reservation*.

        Raises:
            AttemptHung: Our own code forgot to bound a wait.
        """
        most_seconds = delivery.endpoint.lease_seconds + FETCH_LEASE_SECONDS
        self._under_way[delivery.delivery_id] = delivery.attempt
        try:
            async with asyncio.timeout(most_seconds) as bound:
                return await self._attempt(delivery, now, reservation)
        except TimeoutError:
            if not bound.expired():
                raise
            raise AttemptHung(f"an attempt had not ended after {most_seconds:.0f} s") from None
        finally:
            del self._under_way[delivery.delivery_id]

    async def _attempt(self, delivery: LeasedDelivery, now: datetime, reservation: Reservation) -> Outcome:
        endpoint = delivery.endpoint
        if endpoint.format not in FORMATS:
            # Set by a newer version of ours, which knows what to send; this one requeues it.
            return NotTried(error="unknown_format")
        try:
            outcome = await self._try_url(delivery, endpoint.url, now, reservation)
            failover_url = endpoint.failover_url
            if (
                isinstance(outcome, NotTold)
                and failover_url is not None
                and has_word(failover_url, endpoint.format, delivery.event)
            ):
                failover = await self._try_url(delivery, failover_url, now, reservation)
                # Our own trouble on the way to the failover does not undo that the endpoint itself failed us; nor does
                # a failure there undo that the endpoint wants to be told no more.
                if isinstance(failover, Told) or not (isinstance(failover, NotTried) or outcome.is_gone):
                    outcome = failover
        except (MediaUnavailable, ProxyAway) as error:
            return NotTried(error=error.code)
        return outcome

    async def _try_url(self, delivery: LeasedDelivery, url: str, now: datetime, reservation: Reservation) -> Outcome:
        endpoint, event = delivery.endpoint, delivery.event
        channel = self._channel(url)
        document = None
        if event.media is not None and channel.wants_document(event, endpoint.format):
            event, document = await self._documents.of(event, delivery.attempt)
            reservation.shrink(len(document or b""))
        return await channel.attempt(
            Attempt(
                event=event,
                document=document,
                url=url,
                format=endpoint.format,
                tokens=endpoint.tokens,
                headers=endpoint.headers,
                timeout_seconds=endpoint.timeout_seconds,
                delivery_id=delivery.delivery_id,
                command_id=command_id(event.id, endpoint.id),
                number=delivery.attempt,
                now=now,
            )
        )

    def _wants_document(self, delivery: LeasedDelivery) -> bool:
        urls = (delivery.endpoint.url, delivery.endpoint.failover_url)
        if delivery.endpoint.format not in FORMATS:
            return False
        return any(url and self._channel(url).wants_document(delivery.event, delivery.endpoint.format) for url in urls)

    def _channel(self, url: str) -> Channel:
        return self._channels[url.partition(":")[0]]
