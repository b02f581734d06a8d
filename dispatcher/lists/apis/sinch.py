"""Sinch Fax v3: `GET /v3/projects/{projectId}/faxes`. A listed fax is the `fax` of its callback.

The names of the window's parameters end in `>` and `<`, as in Sinch's SDK: `createTime>=…`.
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
from shared.providers.common import read_flag, read_json_object, read_time, text_of
from shared.providers.sinch.event import compose
from shared.providers.sinch.shapes import COMPLETED, INCOMING, read_report
from shared.signatures import basic_header

_ROUTE: Final = "/sinch-inbound"
_ENDED: Final = frozenset({"COMPLETED", "FAILURE", "FAILED"})
_UNDER_WAY: Final = frozenset({"QUEUED", "IN_PROGRESS", "PENDING", ""})
"""A word that is in neither set is an ending if the fax has the time of one."""


class _Answer(msgspec.Struct, rename="camel"):
    faxes: list[msgspec.Raw]
    error: msgspec.Raw | None = None
    page_size: int | None = None
    total_items: int | None = None
    total_pages: int | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_decode_one = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class SinchList:
    """Sinch's list of one project."""

    provider = Provider.SINCH
    settings = "SINCH_PROJECT_ID, SINCH_KEY_ID and SINCH_KEY_SECRET"

    def __init__(self, base_url: str, project_id: str, key_id: str, key_secret: str) -> None:
        self._faxes = f"{base_url}/projects/{quote(project_id, safe='')}/faxes"
        self.headers: Mapping[str, str] = {"Authorization": basic_header(key_id, key_secret)}

    def page_url(self, since: datetime, until: datetime, number: int) -> str:
        """Return the URL of a page."""
        window = {"createTime>": moment(since), "createTime<": moment(until)}
        return with_query(self._faxes, {**window, "page": number, "pageSize": PAGE_SIZE})

    def read_page(self, body: bytes, number: int) -> Page:
        """Read `{faxes, page, pageSize, totalItems, totalPages}`."""
        answer: _Answer = decode_page(self.provider, _decode, body)
        if answer.error is not None and bytes(answer.error) not in {b"null", b'""', b"{}", b"[]"}:
            raise NotAList("sinch says that it could not give its list of faxes: try again later")
        size = answer.page_size or PAGE_SIZE
        if answer.total_pages is not None:
            is_last = number >= answer.total_pages
        elif answer.total_items is not None:
            is_last = number * size >= answer.total_items
        else:
            is_last = not answer.faxes
        return Page(faxes=answer.faxes, total=answer.total_items, is_last=is_last, size=size)

    def read_fax(self, raw: bytes, now: datetime) -> ListedFax:
        """Read a fax as its callback `INCOMING_FAX` or `FAX_COMPLETED` would have told it."""
        fax = read_json_object(raw)
        created_at, completed_at = read_time(fax.get("createTime")), read_time(fax.get("completedTime"))
        listed = ListedFax(created_at=created_at, finished_at=completed_at or created_at)
        status = text_of(fax.get("status")).upper()
        if status in _UNDER_WAY or (status not in _ENDED and completed_at is None):
            return listed
        is_received = text_of(fax.get("direction")).upper() == "INBOUND"
        sent: dict[str, Any] = {"event": INCOMING if is_received else COMPLETED, "fax": fax}
        event = compose(
            read_report(sent),
            as_callback(_ROUTE, now, fax.get("callbackUrl")),
            may_name_media=False,
            has_document=is_received and read_flag(fax.get("hasFile")) is True,
        )
        if not is_ending(event):
            return listed
        return msgspec.structs.replace(
            listed,
            event=msgspec.structs.replace(event, origin=FROM_LIST),
            has_document=event.type is EventType.RECEIVED and read_flag(fax.get("hasFile")) is not False,
        )

    def fax_url(self, fax_id: str) -> str:
        """Return the URL of one fax."""
        return f"{self._faxes}/{quote(fax_id, safe='')}"

    def read_one(self, body: bytes) -> bytes:
        """Read the fax: it is the whole answer."""
        decode_page(self.provider, _decode_one, body)
        return body

    def document_of(self, fax_id: str) -> DocumentStep:
        """Return the URL of the file."""
        return DocumentStep(url=f"{self.fax_url(fax_id)}/file.pdf")
