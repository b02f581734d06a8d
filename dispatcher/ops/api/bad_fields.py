"""Which field is wrong, and why, read from the error of msgspec. Pure."""

import re

import msgspec


def wrong_field(error: msgspec.ValidationError) -> tuple[str | None, str]:
    """Return the outermost field that *error* is about (None: the whole) and the reason, as the rest of a sentence.

    >>> class Page(msgspec.Struct, forbid_unknown_fields=True):
    ...     limit: int = 1
    >>> for given in ({"limit": "x"}, {"a b": 1}, []):
    ...     try:
    ...         msgspec.convert(given, Page)
    ...     except msgspec.ValidationError as error:
    ...         print(wrong_field(error))
    ('limit', 'expected `int`, got `str`')
    ('a b', 'there is no such field')
    (None, 'expected `object`, got `array`')
    """
    reason, _, path = str(error).partition(" - at `$.")
    field = path.partition("`")[0].partition("[")[0].partition(".")[0]
    if not field and (unknown := re.search(r"unknown field `(.*)`", reason, re.DOTALL)):
        return unknown[1][:60], "there is no such field"
    return field or None, reason[:1].lower() + reason[1:]
