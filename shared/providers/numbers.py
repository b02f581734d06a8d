"""Telephone numbers in what senders write around them. What a number itself looks like is `common.e164`'s."""

from typing import Any, Final

from shared.errors import Unreadable
from shared.providers.common import first_of, only, read_json

_NUMBER_NAMES: Final = ("phone_number", "phoneNumber", "number", "0")
"""Of a number in an object; the last is how a form writes the first of a list: `to[0]`."""


def numbered(value: Any) -> Any:
    """Return a number out of what it is written in: a list of one, an object with one, or the JSON of either in a form.

    >>> [numbered(each) for each in (["+1"], [{"phone_number": "+1"}], '["+1"]', {"0": "+1"}, "+1", ["+1", "+2"])]
    ['+1', '+1', '+1', '+1', '+1', ['+1', '+2']]
    """
    if isinstance(value, str):
        if value[:1] not in {"[", "{", '"'}:  # nearly always
            return value
        try:
            value = read_json(value)
        except Unreadable:
            return value
    value = only(value)
    return first_of(value, _NUMBER_NAMES) if isinstance(value, dict) else value
