"""A letter of a queue reprocessed: a callback by the parser, an event by the reader, a delivery by a new message.

The result is published and confirmed before the letter is removed from its queue.
"""

import asyncio
from pathlib import Path
from typing import Any, Final

from dispatcher.messages import PersistentPublisher, Publishing, publish_delivery
from dispatcher.ops.dead.letters import Kind
from dispatcher.ops.dead.queues.reading import Found, as_callback, as_event
from dispatcher.ops.dead.store import DeliveryStatus
from shared.broker import FAX_IN, FAX_WORK, WORK_KEY
from shared.documents import with_document
from shared.domain import Event, Provider
from shared.errors import FaxhookError, Refused, Unreadable, place_of
from shared.media import MediaStore, MediaUnavailable
from shared.providers import make_parsers
from shared.quarantine import callback_of, event_message, verified_of

THREAD_FROM_BYTES: Final = 64 * 1024


class NotReprocessed(FaxhookError):
    """The letter stays dead; the sentence says why."""

    code = "not_reprocessed"


class Reprocessor:
    """Reprocesses letters.

    Args:
        media: Holds callbacks' bodies and documents; None where MEDIA_URL is not set.
        spool_dir: Of Asterisk's documents, as the ingress has it; None if they cannot be read here.
    """

    def __init__(
        self, publisher: Publishing, media: MediaStore | None, spool_dir: Path | None, document_limit_bytes: int
    ) -> None:
        self._publisher = PersistentPublisher(publisher)
        self._media = media
        self._spool_dir = spool_dir
        self._document_limit_bytes = document_limit_bytes
        self._parsers = make_parsers(spool_dir)

    async def reprocess(self, kind: Kind, body: bytes, found: Found, status: DeliveryStatus | None) -> None:
        """Publish the event or delivery of a letter, which is in the queue of *kind*.

        Raises:
            NotReprocessed: It has none: the letter stays where it is.
        """
        match kind:
            case "callback":
                await self._publish(await self._event_of_callback(body))
            case "event":
                event = as_event(body)
                if event is None:
                    raise NotReprocessed("it still cannot be read")
                await self._publish(event)
            case "delivery":
                await self._publish_delivery(found, status)

    async def _publish(self, event: Event) -> None:
        try:
            message, headers = event_message(event)
        except Unreadable as error:
            raise NotReprocessed(str(error)) from error
        await self._publisher.publish(FAX_IN, event.routing_key, message, headers)

    async def _publish_delivery(self, found: Found, status: DeliveryStatus | None) -> None:
        if found.copy is None:
            raise NotReprocessed("it still cannot be read")
        if status is None:
            raise NotReprocessed("the ledger does not know this delivery: it cannot be attempted")
        await publish_delivery(self._publisher, FAX_WORK, WORK_KEY, found.copy.delivery_id, status.attempts + 1)

    async def _event_of_callback(self, message: bytes) -> Event:
        kept = as_callback(message)
        if kept is None:
            raise NotReprocessed("it still cannot be read")
        if self._media is None:
            raise NotReprocessed("MEDIA_URL is not set here: the callback's body is in the media store")
        try:
            body = await self._media.get(kept.body)
            callback = callback_of(kept, body)
            parser = self._parsers[kept.provider]

            def parse() -> Any:
                return parser.parse(callback, verified_of(kept, callback))

            parsed = parse() if len(body) < THREAD_FROM_BYTES else await asyncio.to_thread(parse)
            event, missing = await with_document(parsed, self._media, self._spool_dir, self._document_limit_bytes)
        except (Unreadable, Refused) as error:
            raise NotReprocessed(f"our parser still cannot read it: {error}") from error
        except MediaUnavailable as error:
            raise NotReprocessed(str(error)) from error
        except Exception as error:  # a parser that crashes leaves the letter where it is
            raise NotReprocessed(f"our parser failed with {place_of(error)}") from error
        if event.provider is Provider.ASTERISK and self._spool_dir is None and _names_file(event):
            raise NotReprocessed("ASTERISK_SPOOL_DIR is not set here: the fax's file would be left out")
        if missing not in {None, "missing"}:
            raise NotReprocessed(f"its document cannot be kept: {missing}")
        return event


def _names_file(event: Event) -> bool:
    return any(name.lower() == "tiff_path" and value for name, value in event.fields.items())
