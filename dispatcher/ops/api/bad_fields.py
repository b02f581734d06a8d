"""Which field is wrong, and why: of the wrong kind, as msgspec says, or against another. Pure."""

import msgspec

from shared.errors import FaxhookError
from shared.sentences.bad_values import bad_value


class BadFilter(FaxhookError):
    """Filters of a list that contradict each other: nothing could match."""

    code = "bad_query"
    status = 422

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field}: {sentence}")
        self.field = field


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
