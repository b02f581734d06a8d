"""Phaxio's fax object, of any provider's event: as versions 2 and 2.1 have it, and as version 1 has it.

| ours | version 2 and 2.1 | version 1 |
|---|---|---|
| fax_id | `id`, an integer if it is one; other providers' texts stay texts | the same |
| direction | `direction` | the same |
| pages | `num_pages` | the same |
| type | `status`: `success`, `partialsuccess`, `failure`; inflight `inprogress` | the same |
| is_test | `is_test` | the same |
| from_number | `from_number`; of a sent fax `caller_id` too | the same |
| to_number | `to_number`; of a sent fax `recipients[0].phone_number` too | `recipients[0].number` |
| occurred_at of an ending | `completed_at`, RFC 3339 with milliseconds | `completed_at`, unix seconds |
| no provider but Phaxio gives it | `created_at` | `requested_at`, unix seconds |
| failure.type, else a code that is no number | `error_type`; Sinch's spelled as Phaxio's | the same |
| failure.code | `error_id`, an integer | the same |
| failure.message, else its code | `error_message` | `error_code` |
| none but Phaxio gives them | `cost`, `tags`, `barcodes`, `caller_name`, `bitrate`, … | the first two |
| what is not known | null, or an empty object or list | absent |

A fax that came from Phaxio keeps its own object, unknown keys included, in the version that is asked
for, whichever version it came in.
"""

from datetime import datetime
from typing import Any, Final

from dispatcher.formats.error_types import PHAXIO_OF_SINCH
from shared.domain import Direction, Event, EventType, Failure, Phase, Provider
from shared.providers.common import read_time

STATUS: Final = {
    EventType.DELIVERED: "success",
    EventType.RECEIVED: "success",
    EventType.PARTIALLY_DELIVERED: "partialsuccess",
    EventType.FAILED: "failure",
    EventType.RECEIVE_FAILED: "failure",
}
"""Of endings; what is inflight is `inprogress`."""

_OWN_ENDINGS: Final = ("success", "partialsuccess", "failure")  # what is compared with them may be anything
_FROM_V1: Final = {"requested_at": "created_at", "error_code": "error_message", "number": "phone_number"}
_TO_V1: Final = {new: old for old, new in _FROM_V1.items()}
_TIMES: Final = ("created_at", "completed_at")
_NOT_IN_V1: Final = ("barcodes", "caller_name")
_MOST_DIGITS: Final = 15  # what a reader with doubles for numbers keeps


def fax_object(event: Event) -> dict[str, Any]:
    """Return the object of versions 2 and 2.1, in the key order of the real service."""
    is_sent = event.direction is Direction.SENT
    completed_at = _time_text(event.occurred_at) if event.phase is Phase.POSTFLIGHT and event.occurred_at else None
    status = STATUS.get(event.type, "inprogress")
    error = error_of(event.failure)
    fax: dict[str, Any] = {
        "id": _integer(event.fax_id),
        "direction": event.direction.value,
        "num_pages": event.pages,
        "status": status,
        "is_test": event.is_test,
        "created_at": None,
        "caller_id": event.from_number if is_sent else None,
        "from_number": event.from_number,
        "completed_at": completed_at,
        "caller_name": None,
        "cost": None,
        "tags": {},
        "recipients": [],
        "to_number": event.to_number,
        **error,
        "barcodes": [],
    }
    own = event.fields.get("fax") if event.provider is Provider.PHAXIO else None
    if isinstance(own, dict):
        # What type and direction were read from may have stood elsewhere, or been another word (Faxbot's `cancelled`).
        fax |= _as_v2(own) | {"direction": event.direction.value}
        if event.phase is Phase.POSTFLIGHT and fax["status"] not in _OWN_ENDINGS:
            fax["status"] = status
    if is_sent and event.to_number is not None and not (isinstance(own, dict) and "recipients" in own):
        fax["recipients"] = [_recipient(event.to_number, status, completed_at, error)]
    return fax


def fax_object_v1(event: Event) -> dict[str, Any]:
    """Return the object of version 1: what is not known is absent."""
    return _as_v1(fax_object(event))


def error_of(failure: Failure | None) -> dict[str, int | str | None]:
    """Return the three keys of an error; nulls without one.

    >>> error_of(Failure(type="CALL_ERROR", code="17", message="Busy"))
    {'error_id': 17, 'error_type': 'lineError', 'error_message': 'Busy'}
    >>> error_of(Failure(code="user_busy"))
    {'error_id': None, 'error_type': 'user_busy', 'error_message': 'user_busy'}
    """
    if failure is None:
        return {"error_id": None, "error_type": None, "error_message": None}
    number = _integer(failure.code)
    word = failure.code if isinstance(number, str) else None  # `error_id` is a number: clients with types want no text
    error_type = failure.type and PHAXIO_OF_SINCH.get(failure.type, failure.type)
    return {
        "error_id": number if isinstance(number, int) else None,
        "error_type": error_type or word,
        "error_message": failure.message or word,
    }


def _recipient(number: str, status: str, completed_at: str | None, error: dict[str, Any]) -> dict[str, Any]:
    return {
        "phone_number": number,
        "status": status,
        "retry_count": None,
        "completed_at": completed_at,
        "bitrate": None,
        "resolution": None,
        **error,
    }


def _as_v2(own: dict[str, Any]) -> dict[str, Any]:
    """Return *own* under the names of version 2; it may have come in version 1."""
    renamed = _renamed(own, _FROM_V1)
    for name in _TIMES:
        value = renamed.get(name)
        is_unix = isinstance(value, int) or (isinstance(value, str) and value.isdigit())
        if is_unix and (moment := read_time(value)):
            renamed[name] = _time_text(moment)
    if isinstance(recipients := own.get("recipients"), list):
        renamed["recipients"] = [_as_v2(item) if isinstance(item, dict) else item for item in recipients]
    return renamed


def _as_v1(fax: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in fax.items() if value not in (None, "", {}, []) and name not in _NOT_IN_V1}
    renamed = _renamed(kept, _TO_V1)
    for name in ("requested_at", "completed_at"):
        if moment := read_time(renamed.get(name)):
            renamed[name] = int(moment.timestamp())
    if isinstance(recipients := renamed.get("recipients"), list):
        renamed["recipients"] = [_as_v1(item) if isinstance(item, dict) else item for item in recipients]
    return renamed


def _renamed(source: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return *source* with the left names made the right ones; where it has both, the right one's value stays."""
    return {
        names.get(name, name): value for name, value in source.items() if name not in names or names[name] not in source
    }


def _time_text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _integer(text: str | None) -> int | str | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else text
