"""Which field is wrong, and why, read from the error of msgspec. Pure."""

import msgspec

from shared.sentences.bad_values import bad_value


def wrong_field(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> tuple[str | None, str]:
    """Return the outermost field of *kind* that *error* is about (None: the whole), and the rest of a sentence.

    >>> class Page(msgspec.Struct, forbid_unknown_fields=True):
    ...     limit: int = 1
    >>> for given in ({"limit": "x"}, {"a b": 1}, []):
    ...     try:
    ...         msgspec.convert(given, Page)
    ...     except msgspec.ValidationError as error:
    ...         print(wrong_field(error, Page))
    ('limit', 'must be a whole number')
    ('a b', 'is unknown; known are limit')
    (None, 'must be an object')
    """
    bad = bad_value(error, kind)
    return bad.field, bad.sentence
