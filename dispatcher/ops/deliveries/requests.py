"""Reads the request of an attempt, as it was sent."""

import base64
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.channels.rebuild import MadeAttempt, NotShown, Request, check_shown, rebuild
from dispatcher.channels.sent import Sent, read_sent
from dispatcher.ledger.faxes.documents import kept_in
from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.deliveries.bodies import AttemptWithRequest, FormField, SentRequest
from dispatcher.ops.faxes.rows import attempt_of
from shared.domain import Event, Media, decode_event
from shared.errors import Malformed
from shared.forms import MULTIPART, media_type, read_form
from shared.ids import command_id
from shared.media import MediaStore, MediaUnavailable

ATTEMPT: Final = """
SELECT attempts.*, d.endpoint_id, events.body, events.media
FROM attempts JOIN deliveries d ON d.id = attempts.delivery_id JOIN events ON events.id = d.event_id
WHERE attempts.delivery_id = $1 AND attempts.number = $2
"""


class RequestReader:
    """Shows requests. *media* is where documents are kept; None: requests that carried one are not shown whole."""

    def __init__(self, pool: Pool, media: MediaStore | None) -> None:
        self._pool = pool
        self._media = media

    async def of(self, delivery_id: UUID, number: int, *, who: str, with_document: bool = True) -> AttemptWithRequest:
        """Return an attempt and its request; *with_document*: the body too if it carries the fax's document.

        That look is in the audit, under the name *who*.

        Raises:
            NoSuch: No such attempt was made, or it is pruned.
        """
        row = await self._pool.fetchrow(ATTEMPT, delivery_id, min(number, 2**31 - 1))
        if row is None:
            raise NoSuch("attempt", number, f" of delivery {delivery_id}")
        attempt = msgspec.structs.asdict(attempt_of(row))
        try:
            request = await self._request(row, with_document=with_document)
        except (NotShown, MediaUnavailable) as why:
            return AttemptWithRequest(**attempt, request=None, why_no_request=str(why))
        if with_document and request.document is not None:
            await write_audit(self._pool, who, "request.read", delivery_id, {"attempt": number})
        return AttemptWithRequest(**attempt, request=request)

    async def _request(self, row: Any, *, with_document: bool) -> SentRequest:
        sent = None if row["sent"] is None else read_sent(row["sent"])
        if sent is None or row["url"] is None:
            raise NotShown("it was sent by a version of faxhook that recorded it in another way, or not at all")
        if row["body"] is None:
            raise NotShown("the content of its event was pruned")
        check_shown(sent)
        event, document = await self._carried(sent, row)
        request = rebuild(
            MadeAttempt(
                sent=sent,
                url=row["url"],
                number=row["number"],
                started_at=row["started_at"],
                delivery_id=row["delivery_id"],
                command_id=command_id(event.id, row["endpoint_id"]),
                event=event,
                document=document,
            )
        )
        media = None if document is None else event.media
        return shown_request(request, media, with_document=with_document or document is None)

    async def _carried(self, sent: Sent, row: Any) -> tuple[Event, bytes | None]:
        """Return the event as it was sent, and the document that went with it."""
        event = decode_event(row["body"])
        if sent.document == "none":
            return event, None
        media = event.media
        if media is None or media.key is None:
            media = kept_in(row["media"])
            if media is None:
                raise NotShown("the document that it carried is not kept any more")
        if self._media is None:
            raise NotShown("it carried a document: MEDIA_URL must say where documents are kept")
        return msgspec.structs.replace(event, media=media), await self._media.get(media)


def shown_request(request: Request, media: Media | None, *, with_document: bool) -> SentRequest:
    """Return *request* as the API shows it; without *with_document*, nothing of the document in it. Pure."""
    text = _text_of(request.body)
    content_type = next((value for name, value in request.headers if name.lower() == "content-type"), "")
    return SentRequest(
        method=request.method,
        url=request.url,
        headers=tuple([name, value] for name, value in request.headers),
        body=text if with_document else None,
        body_base64=base64.b64encode(request.body).decode() if with_document and text is None else None,
        size_bytes=len(request.body),
        form=_form_of(content_type, request.body),
        document=media,
    )


def _form_of(content_type: str, body: bytes) -> tuple[FormField, ...] | None:
    if media_type(content_type) != MULTIPART:
        return None
    try:
        form = read_form(content_type, body)
    except Malformed:
        return None
    fields = [FormField(name=name, value=value) for name, value in form.fields]
    fields += [
        FormField(name=part.name, filename=part.filename, content_type=part.content_type, size_bytes=len(part.content))
        for part in form.files
    ]
    return tuple(fields)


def _text_of(body: bytes) -> str | None:
    """Return *body* as text; None if it is not text: bytes that are not UTF-8, or zeros."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
