"""Phaxio: `GET /v2.1/faxes`. A listed fax is the `fax` of its callback, so the event has the callback's own id."""

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
from shared.providers.common import read_json_object, read_time, text_of
from shared.providers.phaxio.event import compose
from shared.providers.phaxio.shapes import Report
from shared.signatures import basic_header

_ROUTES: Final = {"received": "/phaxio-inbound"}
_ENDED: Final = frozenset({"success", "failure", "partialsuccess"})
_UNDER_WAY: Final = frozenset({"queued", "pendingbatch", "inprogress", "ringing", "callactive", "willretry", ""})
"""A word that is in neither set is an ending if the fax has the time of one."""


class _Paging(msgspec.Struct):
    total: int | None = None
    per_page: int | None = None
    page: int | None = None


class _Answer(msgspec.Struct):
    success: bool
    data: list[msgspec.Raw] | None = None
    paging: _Paging = msgspec.field(default_factory=_Paging)


class _OneFax(msgspec.Struct):
    success: bool
    data: msgspec.Raw


_decode = msgspec.json.Decoder(_Answer).decode
_decode_one = msgspec.json.Decoder(_OneFax).decode


class PhaxioList:
    """Phaxio's list."""

    provider = Provider.PHAXIO
    settings = "PHAXIO_API_KEY and PHAXIO_API_KEY_SECRET"

    def __init__(self, base_url: str, key: str, secret: str) -> None:
        self._faxes = f"{base_url}/faxes"
        self.headers: Mapping[str, str] = {"Authorization": basic_header(key, secret)}

    def page_url(self, since: datetime, until: datetime, number: int) -> str:
        """Return the URL of a page."""
        window = {"created_after": moment(since), "created_before": moment(until)}
        return with_query(self._faxes, {**window, "page": number, "per_page": PAGE_SIZE})

    def read_page(self, body: bytes, number: int) -> Page:
        """Read `{success, message, data, paging}`."""
        answer: _Answer = decode_page(self.provider, _decode, body)
        if not answer.success or answer.data is None:
            raise NotAList("phaxio says that it could not give its list of faxes: try again later")
        total, size = answer.paging.total, answer.paging.per_page or PAGE_SIZE
        is_last = not answer.data if total is None else number * size >= total
        return Page(faxes=answer.data, total=total, is_last=is_last, size=size)

    def read_fax(self, raw: bytes, now: datetime) -> ListedFax:
        """Read a fax as its callback `fax_completed` would have told it."""
        fax = read_json_object(raw)
        created_at, completed_at = read_time(fax.get("created_at")), read_time(fax.get("completed_at"))
        listed = ListedFax(created_at=created_at, finished_at=completed_at or created_at)
        status, direction = text_of(fax.get("status")).lower(), text_of(fax.get("direction")).lower()
        if status in _UNDER_WAY or (status not in _ENDED and completed_at is None):
            return listed
        # Beside the fax a callback has what django-phaxio, for one, asks for.
        form: dict[str, Any] = {"event_type": "fax_completed", "success": str(status == "success").lower()}
        form |= {name: value for name in ("direction", "is_test") if (value := text_of(fax.get(name)))}
        callback = as_callback(_ROUTES.get(direction, "/phaxio-callback"), now)
        event = compose(Report(fax=fax, form=form), callback).event
        if not is_ending(event):
            return listed
        return msgspec.structs.replace(
            listed,
            event=msgspec.structs.replace(event, media=None, origin=FROM_LIST),
            has_document=event.type is EventType.RECEIVED,
        )

    def fax_url(self, fax_id: str) -> str:
        """Return the URL of one fax."""
        return f"{self._faxes}/{quote(fax_id, safe='')}"

    def read_one(self, body: bytes) -> bytes:
        """Read `{success, message, data}`."""
        answer: _OneFax = decode_page(self.provider, _decode_one, body)
        if not answer.success:
            raise NotAList("phaxio says that it could not give the fax: try again later")
        return bytes(answer.data)

    def document_of(self, fax_id: str) -> DocumentStep:
        """Return the URL of the file."""
        return DocumentStep(url=f"{self.fax_url(fax_id)}/file")
