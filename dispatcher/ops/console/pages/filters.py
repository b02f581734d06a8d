"""Filters of lists: a query becomes a struct, and the form's fields keep what was given. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from dispatcher.ops.api.bad_fields import wrong_field
from dispatcher.ops.console.errors import PageError

Filter = TypeVar("Filter", bound=msgspec.Struct)


def chosen_of(given: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the fields of a filter form that narrow a list: those that are not empty."""
    return {name: value.strip() for name in names if (value := given.get(name, "")).strip()}


def check_names(given: Mapping[str, str], known: Sequence[str]) -> None:
    """Check that the page knows every name of a query: one that it ignored would show more than was asked for.

    Raises:
        PageError: Names the one that is unknown.
    """
    for name in given:
        if name not in known:
            raise PageError(422, "Invalid filter", f"There is no filter {name[:60]}; there are {', '.join(known)}.")


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
