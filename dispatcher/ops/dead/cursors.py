"""Where a list of dead letters was left: letters in the order of their death, ledger and queues alike. Pure."""

import base64
from datetime import UTC, datetime
from typing import Final

import msgspec

from dispatcher.ops.dead.letters import DeadLetter
from dispatcher.ops.dead.refusals import BadSelection

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a death whose time nobody said: those come last."""

Place = tuple[datetime, str]


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    died_at: datetime
    letter_id: str


def place(letter: DeadLetter) -> Place:
    """Return where a letter stands; later deaths are greater."""
    return (letter.died_at or NEVER, letter.id)


def write(letter: DeadLetter) -> str:
    """Return the cursor after *letter*."""
    return base64.urlsafe_b64encode(msgspec.json.encode(_Cursor(*place(letter)))).decode().rstrip("=")


def read(text: str) -> Place:
    """Return the place that a cursor names.

    Raises:
        BadSelection: It is none.

    >>> letter = DeadLetter(id="event-1", kind="event", cause="unreadable", group="unreadable", reason="")
    >>> read(write(letter)) == place(letter)
    True
    """
    try:
        cursor = msgspec.json.decode(
            base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True), type=_Cursor
        )
    except (ValueError, UnicodeError, RecursionError):
        raise BadSelection("`after` is no cursor: take it from `next` of the page before") from None
    if cursor.died_at.tzinfo is None or "\0" in cursor.letter_id:
        raise BadSelection("`after` is no cursor: take it from `next` of the page before")
    return cursor.died_at, cursor.letter_id
