"""The shapes in which Sinch's callbacks come, read into one: Sinch's own, as JSON or a form, and Faxbot's flat one."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shared.errors import Unreadable
from shared.providers.common import read_json, text_of

INCOMING: Final = "INCOMING_FAX"
COMPLETED: Final = "FAX_COMPLETED"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A callback in either shape.

    Attributes:
        sent: All names and values of the callback; what becomes the event's `fields`.
        fax: The fax object; in the flat shape the same mapping as `sent`.
        event: Sinch's word, upper case; empty if there is none.
        default_status: What an absent status means.
    """

    sent: dict[str, Any]
    fax: Mapping[str, Any]
    event: str
    default_status: str = ""

    @property
    def status(self) -> str:
        """Upper case, as the tables and the event id want it."""
        return text_of(self.fax.get("status")).upper() or self.default_status

    @property
    def has_error(self) -> bool:
        """True if any field of an error is filled."""
        return any(text_of(self.fax.get(name)) for name in ("errorType", "errorCode", "errorId", "errorMessage"))


def read_report(sent: dict[str, Any]) -> Report:
    """Read the names and values of a callback.

    Raises:
        Unreadable: The fax is not a JSON object.
    """
    fax = sent.get("fax")
    if "event" in sent or isinstance(fax, dict | str):
        event, fax = _unquoted(sent.get("event")), _fax(fax)
        words = {name: _unquoted(sent[name]) for name in ("event", "eventTime") if isinstance(sent.get(name), str)}
        return Report(sent=sent | words | {"fax": fax}, fax=fax, event=event.upper())
    return Report(sent=sent, fax=sent, event=INCOMING, default_status="RECEIVED")


def _fax(value: Any) -> dict[str, Any]:
    for _ in range(2):  # a JSON text, or one that was quoted once more like the texts beside it
        if isinstance(value, str):
            value = read_json(value)
    if not isinstance(value, dict):
        raise Unreadable("fax is not a JSON object")
    return value


def _unquoted(value: Any) -> str:
    """Return a text without the quotes that make JSON of it: parts of a form come with and without."""
    text = text_of(value)
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text
