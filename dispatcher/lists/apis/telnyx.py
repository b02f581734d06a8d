"""Telnyx: `GET /v2/faxes`.

The list has neither the ids of the events nor, in general, the count of pages. An event of the list has an id of its
own, and a callback that comes late is known by fax and type (`lifecycle.repeated_endings`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from dispatcher.lists.apis.base import (
    PAGE_SIZE,
    DocumentStep,
    ListedFax,
    Page,
    as_callback,
    decode_page,
    is_ending,
    moment,
    with_query,
)
from dispatcher.lists.errors import NotAList
from shared.domain import FROM_LIST, EventType, Provider
from shared.providers.common import digest_id, named_media, read_id, read_json_object, read_time, text_of
from shared.providers.telnyx.event import compose

_ROUTE: Final = "/telnyx-webhook"
_MEDIA_URLS: Final = ("stored_media_url", "media_url")


class _Meta(msgspec.Struct):
    page_size: int | None = None
    total_pages: int | None = None
    total_results: int | None = None


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw]
    errors: list[msgspec.Raw] | None = None
    meta: _Meta = msgspec.field(default_factory=_Meta)


class _OneFax(msgspec.Struct):
    data: msgspec.Raw


_decode = msgspec.json.Decoder(_Answer).decode
_decode_one = msgspec.json.Decoder(_OneFax).decode
_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode


class TelnyxList:
    """Telnyx's list."""

    provider = Provider.TELNYX
    settings = "TELNYX_API_KEY"

    def __init__(self, base_url: str, api_key: str) -> None:
        self._faxes = f"{base_url}/faxes"
        self.headers: Mapping[str, str] = {"Authorization": f"Bearer {api_key}"}

    def page_url(self, since: datetime, until: datetime, number: int) -> str:
        """Return the URL of a page."""
        window = {"filter[created_at][gte]": moment(since), "filter[created_at][lte]": moment(until)}
        return with_query(self._faxes, {**window, "page[number]": number, "page[size]": PAGE_SIZE})

    def read_page(self, body: bytes, number: int) -> Page:
        """Read `{data, meta}`."""
        answer: _Answer = decode_page(self.provider, _decode, body)
        if answer.errors:
            raise NotAList("telnyx says that it could not give its list of faxes: try again later")
        pages = answer.meta.total_pages
        is_last = not answer.data if pages is None else number >= pages
        size = answer.meta.page_size or PAGE_SIZE
        return Page(faxes=answer.data, total=answer.meta.total_results, is_last=is_last, size=size)

    def read_fax(self, raw: bytes, now: datetime) -> ListedFax:
        """Read a fax; its status is the last part of the type of the event that told it."""
        fax = read_json_object(raw)
        created_at = read_time(fax.get("created_at"))
        listed = ListedFax(created_at=created_at, finished_at=read_time(fax.get("updated_at")) or created_at)
        fax_id, word = read_id(fax.get("id")), f"fax.{text_of(fax.get('status')).lower()}"
        payload = {
            **{name: value for name, value in fax.items() if name not in {"id", "record_type"}},
            "fax_id": fax_id,
        }
        sent: dict[str, Any] = {"record_type": "event", "event_type": word, "id": f"list.{word}", "payload": payload}
        event = compose(as_callback(_ROUTE, now, fax.get("webhook_url")), sent, payload)
        if not is_ending(event):
            return listed
        event = msgspec.structs.replace(
            event,
            id=digest_id(self.provider, ("list", fax_id, event.type)),
            occurred_at=listed.finished_at,
            origin=FROM_LIST,
        )
        media = named_media(*(fax.get(name) for name in _MEDIA_URLS)) if event.media is not None else None
        return msgspec.structs.replace(
            listed,
            event=event,
            media_url=None if media is None else media.url,
            has_document=event.type is EventType.RECEIVED,
        )

    def fax_url(self, fax_id: str) -> str:
        """Return the URL of one fax."""
        return f"{self._faxes}/{quote(fax_id, safe='')}"

    def read_one(self, body: bytes) -> bytes:
        """Read `{data}`."""
        answer: _OneFax = decode_page(self.provider, _decode_one, body)
        return bytes(answer.data)

    def document_of(self, fax_id: str) -> DocumentStep:
        """Return how a new URL is made: those on the list live for ten minutes."""
        fax_url = self.fax_url(fax_id)
        return DocumentStep(refresh_url=f"{fax_url}/actions/refresh", fax_url=fax_url)


def media_url_of(body: bytes) -> str | None:
    """Return where the answer of `GET /v2/faxes/{id}` says that the document is; None if it does not."""
    answer: _OneFax = decode_page(Provider.TELNYX, _decode_one, body)
    fax = decode_page(Provider.TELNYX, _decode_fields, bytes(answer.data))
    media = named_media(*(fax.get(name) for name in _MEDIA_URLS))
    return None if media is None else media.url
