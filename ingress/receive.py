"""From a callback that was read to its answer: verify, parse, keep, and only then 200.

| step | error | answer |
|---|---|---|
| verify | unsigned, wrongly signed, expired, unreadable form | 4xx |
| parse | the sender is verified, the content is not understood | quarantined, 200 |
| | our own code fails | quarantined, 200 |
| keep | the media store or the broker did not take it | 503, the provider repeats it |
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ingress.metrics import Metrics
from shared.amqp.publisher import NotKept
from shared.broker import DEAD_CALLBACK, FAX_DEAD, FAX_IN
from shared.callback import Adapter, Callback, Parsed, Verified
from shared.documents import with_document
from shared.domain import SCHEMA_VERSION, Event, Provider
from shared.errors import Unavailable, Unreadable, place_of
from shared.ids import uuid7
from shared.log import get_logger
from shared.media import DocumentStore, MediaUnavailable
from shared.quarantine import QuarantinedCallback, event_message

KEEP_TIMEOUT_SECONDS: Final = 1.7
"""For storing and publishing together: Telnyx gives up after 2 s."""

THREAD_FROM_BYTES: Final = 256 * 1024
"""A digest over this much takes about 0.15 ms (HMAC-SHA1, 0.55 ms per MB); larger bodies are handled in a thread."""

SPOOL_THREADS: Final = 4
"""For reading the spool only: a spool whose disk hangs must not delay another provider's callback."""

_CREDENTIALS: Final = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "telnyx-signature-ed25519",
        "x-internal-secret",
        "x-phaxio-signature",
        "x-phaxio-signature-sha256",
        "x-sinch-signature",
    }
)
"""Headers that prove who the sender is; they are not kept."""


class EventPublisher(Protocol):
    """What the receiver needs of a publisher."""

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: dict[str, str | int]) -> None:
        """Return once a queue holds the message; raise `NotKept` otherwise."""


class Accepted(msgspec.Struct, frozen=True, tag="accepted", tag_field="status"):
    """The answer 200 for an event that was published."""

    event_id: str


class Quarantined(msgspec.Struct, frozen=True, tag="quarantined", tag_field="status"):
    """The answer 200 for a callback that is kept in `dead.callbacks`."""

    callback_id: str


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a callback: the answer, and what is logged of it.

    Attributes:
        event: As published; None if the callback is quarantined.
        cause: Why it is quarantined, as a code and as a sentence.
    """

    answer: Accepted | Quarantined
    event: Event | None = None
    cause: str | None = None
    reason: str | None = None


class Receiver:
    """Handles callbacks of the configured providers."""

    def __init__(
        self,
        publisher: EventPublisher,
        media: DocumentStore,
        metrics: Metrics,
        *,
        spool_dir: Path | None,
        spool_limit_bytes: int,
    ) -> None:
        self._publisher = publisher
        self._media = media
        self._metrics = metrics
        self._spool_dir = spool_dir
        self._spool_limit_bytes = spool_limit_bytes
        self._spool_threads = ThreadPoolExecutor(SPOOL_THREADS, thread_name_prefix="spool")
        self._log = get_logger()

    async def receive(self, adapter: Adapter, callback: Callback) -> Received:
        """Verify, parse and keep *callback*; return what to answer.

        Raises:
            Refused: What to answer otherwise; nothing is kept then.
        """
        try:
            if len(callback.body) < THREAD_FROM_BYTES:
                return await self._receive(adapter, callback)
            async with asyncio.timeout(KEEP_TIMEOUT_SECONDS):
                return await self._receive(adapter, callback)
        except (NotKept, MediaUnavailable) as error:
            raise Unavailable(str(error)) from error
        except TimeoutError as error:
            raise Unavailable("the callback could not be kept in time") from error

    async def _receive(self, adapter: Adapter, callback: Callback) -> Received:
        # A large body is digested and parsed in a thread; for a small one a coroutine more would be felt.
        is_small = len(callback.body) < THREAD_FROM_BYTES
        verified = adapter.verify(callback) if is_small else await asyncio.to_thread(adapter.verify, callback)
        # From here on nothing is lost: what is not understood is quarantined, what is not kept is repeated.
        try:
            if is_small:
                parsed = adapter.parse(callback, verified)
            else:
                parsed = await asyncio.to_thread(adapter.parse, callback, verified)
            event = parsed.event
            if parsed.document is not None:
                async with asyncio.timeout(KEEP_TIMEOUT_SECONDS):
                    event = await self._with_document(parsed)
            message, headers = event_message(event)
        except Unreadable as error:
            return await self._quarantine(adapter.provider, callback, verified, error.code, str(error))
        except (MediaUnavailable, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - our own bug must not lose a verified callback
            reason = f"our parser failed with {place_of(error)}"
            return await self._quarantine(adapter.provider, callback, verified, "parser_crashed", reason)
        # The document is kept already, so that the event can name it; only the event's confirm makes the answer a 200.
        started = time.perf_counter()
        await self._publisher.publish(FAX_IN, event.routing_key, message, headers)
        self._metrics.event_kept_seconds.observe(time.perf_counter() - started)
        return Received(answer=Accepted(event.id), event=event)

    async def _with_document(self, parsed: Parsed) -> Event:
        started = time.perf_counter()
        event, missing = await with_document(
            parsed, self._media, self._spool_dir, self._spool_limit_bytes, self._spool_threads
        )
        if missing is not None:
            self._metrics.media_missing.inc()
            self._log.warning("media.missing", event_id=event.id, reason=missing)
        else:
            self._metrics.media_kept_seconds.observe(time.perf_counter() - started)
        return event

    async def _quarantine(
        self, provider: Provider, callback: Callback, verified: Verified, cause: str, reason: str
    ) -> Received:
        callback_id = str(uuid7())
        content_type = callback.headers.get("Content-Type", "application/octet-stream")
        try:
            async with asyncio.timeout(KEEP_TIMEOUT_SECONDS):
                body = await self._media.put(callback.body, _printable(content_type))
                message = QuarantinedCallback(
                    callback_id=callback_id,
                    provider=provider,
                    route=callback.route,
                    target=_printable(callback.target),
                    headers={
                        name: _printable(value)
                        for name, value in callback.headers.items()
                        if name.lower() not in _CREDENTIALS
                    },
                    verified_by=verified.by,
                    body=body,
                    received_at=callback.received_at,
                    cause=cause,
                    reason=reason,
                )
                await self._publisher.publish(
                    FAX_DEAD,
                    DEAD_CALLBACK,
                    msgspec.json.encode(message),
                    {"callback_id": callback_id, "cause": cause, "schema": SCHEMA_VERSION},
                )
        except (NotKept, MediaUnavailable, TimeoutError) as error:
            raise Unavailable("the callback could not be kept in time") from error
        return Received(answer=Quarantined(callback_id), cause=cause, reason=reason)


def _printable(text: str) -> str:
    """Return *text* without lone surrogates, which JSON cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
