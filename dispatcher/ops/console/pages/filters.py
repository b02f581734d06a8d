"""Filters of lists: a query becomes a struct, and the form's fields keep what was given. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from dispatcher.ops.api.bad_fields import wrong_field
from dispatcher.ops.api.cursor import BadCursor
from dispatcher.ops.api.moments import BadMoment
from dispatcher.ops.console.errors import PageError, no_such_page
from dispatcher.ops.faxes.lists.lists import Contradiction
from dispatcher.ops.faxes.lists.numbers import BadNumber

Filter = TypeVar("Filter", bound=msgspec.Struct)


def chosen_of(given: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the fields of a filter form that narrow a list: those that are not empty."""
    return {name: value.strip() for name in names if (value := given.get(name, "")).strip()}


def filter_of(fields: Mapping[str, Any], kind: type[Filter]) -> Filter:
    """Return *fields* as a struct of *kind*.

    Raises:
        PageError: Names the field whose value is not valid.
    """
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        field, reason = wrong_field(error, kind)
        raise PageError(422, "Invalid filter", f"{field or 'filter'}: {reason}.") from None


@contextmanager
def refusing_filters() -> Iterator[None]:
    """Turn a list's refusal of what is asked into a page's.

    Raises:
        PageError: The cursor is not of this list, a time or number cannot be read, or filters contradict each other.
    """
    try:
        yield
    except BadCursor:
        raise no_such_page() from None
    except (BadMoment, BadNumber, Contradiction) as error:
        raise PageError(422, "Invalid filter", f"{error}.") from None
