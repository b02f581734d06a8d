"""The shapes in which Sinch's callbacks come, read into one: Sinch's own, as JSON or a form, and Faxbot's flat one."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shared.errors import Unreadable
from shared.providers.common import only, read_inner, read_json, text_of

INCOMING: Final = "INCOMING_FAX"
COMPLETED: Final = "FAX_COMPLETED"
_NO_LETTERS: Final = re.compile(r"[^A-Z]+")
_NAMES: Final = (INCOMING, COMPLETED)
_BRACKETED: Final = re.compile(r"(?:event|fax)(?:\[[^\[\]]*\]){1,8}")
_DECIDING: Final = frozenset({"id", "status", "direction"})
_NO_WORDS: Final = frozenset({"NULL", "NONE", "UNDEFINED"})
"""What is written into a form where there is nothing."""

_EVENT_NAMES: Final = ("event", "type", "name", "eventType", "event_type")
"""Where an object in `event` may hold Sinch's word; the first counts."""

_EVENTS: Final = {_NO_LETTERS.sub("", name): name for name in _NAMES}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A callback in either shape.

    Attributes:
        sent: All names and values of the callback; what becomes the event's `fields`.
        fax: The fax object; in the flat shapes the same mapping as `sent`.
        event: Sinch's word, upper case; empty without one.
        is_named: The callback itself names the event.
        default_status: What an absent status means.
    """

    sent: dict[str, Any]
    fax: Mapping[str, Any]
    event: str
    is_named: bool = True
    default_status: str = ""

    @property
    def status(self) -> str:
        """Upper case, as the tables and the event id want it."""
        word = _unquoted(self.fax.get("status")).upper()
        return self.default_status if word in _NO_WORDS else word or self.default_status

    @property
    def has_error(self) -> bool:
        """True if any field of an error is filled."""
        return any(text_of(self.fax.get(name)) for name in ("errorType", "errorCode", "errorId", "errorMessage"))


def unbracketed(sent: dict[str, Any]) -> dict[str, Any]:
    """Return names and values with objects in place of what a form writes as `fax[id]` or `event[fax][id]`.

    An object under the same name gets what it does not say itself; what it says differently stays as it came.

    Raises:
        Unreadable: Both name different faxes, or different outcomes.
    """
    bracketed = {name: value for name, value in sent.items() if name.endswith("]") and _BRACKETED.fullmatch(name)}
    if not bracketed:
        return sent
    made = {name: value for name, value in sent.items() if name not in bracketed}
    for root in {name.partition("[")[0] for name in bracketed}:
        inner = read_inner(made.get(root))
        made[root] = dict(inner) if isinstance(inner, dict) else {} if inner in (None, "") else inner
    for name, value in bracketed.items():
        root, *steps = name.replace("]", "").split("[")
        if steps[-1] == "":  # as PHP writes lists
            steps, value = steps[:-1], value if isinstance(value, list) else [value]  # noqa: PLW2901
        if not _put(made[root], steps, value):
            if steps and steps[-1] in _DECIDING:
                raise Unreadable(f"two shapes in one callback differ in {steps[-1]}")
            made[name] = sent[name]
    return made


def _put(target: Any, steps: list[str], value: Any) -> bool:
    """Put *value* where *steps* lead in *target*, unless another one is there."""
    for step in steps[:-1]:
        target = target.setdefault(step, {}) if isinstance(target, dict) else None
    return bool(steps) and isinstance(target, dict) and text_of(target.setdefault(steps[-1], value)) == text_of(value)


def flattened(sent: dict[str, Any]) -> dict[str, Any]:
    """Return the names and values of a callback without an object in `event`: its members stand beside it instead.

    Raises:
        Unreadable: What looks like JSON in `event` is not.
    """
    event = read_inner(sent.get("event"))  # in a form, objects come as texts
    if not isinstance(event, dict):
        return sent
    beside = {name: value for name, value in sent.items() if name != "event"} | event
    words = [word for name in _EVENT_NAMES if (word := _event_name(event.get(name))) in _NAMES]
    return beside | ({"event": words[0]} if words else {})


def read_report(sent: dict[str, Any]) -> Report:
    """Read the names and values of a callback.

    | `event` | `fax` | shape |
    |---|---|---|
    | a word, or none | an object, or its JSON | Sinch's own |
    | a word | none | flat, with the event's name |
    | none | none | flat, as Faxbot made it of an `INCOMING_FAX` |

    Raises:
        Unreadable: The fax is not a JSON object.
    """
    event, fax = _event_name(sent.get("event")), only(sent.get("fax"))
    if fax is None or fax in ("", {}, []):
        if event:
            return Report(sent=sent, fax=sent, event=event)
        return Report(sent=sent, fax=sent, event=INCOMING, is_named=False, default_status="RECEIVED")
    fax = _fax(fax)
    words = {name: _unquoted(sent[name]) for name in ("event", "eventTime") if isinstance(sent.get(name), str)}
    return Report(sent=sent | words | {"fax": fax}, fax=fax, event=event, is_named=bool(event))


def _event_name(value: Any) -> str:
    """Return Sinch's word, upper case, however it is cased and joined; empty without one."""
    if value in _NAMES:
        return str(value)
    word = _unquoted(only(value)).upper()
    if word in _NO_WORDS:
        return ""
    return _EVENTS.get(_NO_LETTERS.sub("", word), word)


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
