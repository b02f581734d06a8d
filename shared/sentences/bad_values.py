"""Why a value is wrong, in a sentence with the values that are known, from the error of msgspec. Pure.

msgspec's own words (`Expected `int`, got `str` - at `$.limit``) are for programmers and do not say what is known.
"""

import re
from ast import literal_eval
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

MOST_CHARACTERS: Final = 60
"""Of a value from outside, as a sentence shows it."""

_ITEM: Final = re.compile(r"\[(\d+|\.\.\.)\]")


class BadValue(msgspec.Struct, frozen=True):
    """What is wrong with a value.

    Attributes:
        path: Where it is, the outermost field first; empty: it is the whole. `[0]` is the first item of a list.
        reason: The rest of a sentence that begins with its name.
    """

    path: tuple[str, ...]
    reason: str

    @property
    def field(self) -> str | None:
        """The outermost field; None: the whole."""
        return self.path[0] if self.path else None

    @property
    def sentence(self) -> str:
        """The rest of a sentence that begins with the name of `field`."""
        inner = " ".join(f"item {int(part[1:-1]) + 1}" if part[1:-1].isdigit() else part for part in self.path[1:])
        return f"{inner} {self.reason}" if inner else self.reason


def bad_value(error: msgspec.ValidationError, kind: Any) -> BadValue:
    """Return what is wrong with a value that was to become a *kind*.

    >>> from typing import Literal
    >>> class Page(msgspec.Struct, forbid_unknown_fields=True):
    ...     limit: int = 1
    ...     state: Literal["dead", "told"] | None = None
    >>> for given in ({"limit": "x"}, {"state": "failed"}, {"state": ""}, {"a b": 1}, []):
    ...     try:
    ...         msgspec.convert(given, Page)
    ...     except msgspec.ValidationError as error:
    ...         print(bad_value(error, Page))
    BadValue(path=('limit',), reason='must be a whole number')
    BadValue(path=('state',), reason='`failed` is unknown; known are dead, told')
    BadValue(path=('state',), reason='is empty; known are dead, told')
    BadValue(path=('a b',), reason='is unknown; known are limit, state')
    BadValue(path=(), reason='must be an object')
    """
    said, _, where = str(error).rpartition(" - at `$")
    path = tuple(_parts(where.removesuffix("`"))) if said else ()
    said = said or str(error)
    types = _types_at(kind, path)
    for pattern, write in _SENTENCES.items():
        if (match := re.fullmatch(pattern, said, re.DOTALL)) is not None:
            reason = write(match, types)
            break
    else:  # a sentence of our own code, from a hook
        return BadValue(path, said)
    named = re.fullmatch(r"Object (?:contains unknown|missing required) field `(.*)`", said, re.DOTALL)
    return BadValue((*path, shown(named[1])) if named else path, reason)


def shown(value: str) -> str:
    """Return a value from outside so that a sentence can show it: cut, without control characters."""
    return "".join(each if each.isprintable() else "\ufffd" for each in value[:MOST_CHARACTERS])


def unknown(value: str, known: Iterable[object]) -> str:
    """Return the sentence for a *value* that is not one of the *known*.

    >>> unknown("fax-v9", ["sinch-v3", "telnyx-v2"])
    '`fax-v9` is unknown; known are sinch-v3, telnyx-v2'
    """
    return (
        f"`{shown(value)}` is unknown" if value.strip() else "is empty"
    ) + f"; known are {', '.join(map(str, known))}"


def _parts(path: str) -> Iterator[str]:
    r"""Yield the parts of msgspec's path: `.filter.kind`, `.ids[0]`."""
    for part in path.split("."):
        name, bracket, _ = part.partition("[")
        if name:
            yield name
        if bracket:
            yield from (f"[{each}]" for each in _ITEM.findall(part))


def _types_at(kind: Any, path: tuple[str, ...]) -> list[inspect.Type]:
    types = _alternatives(inspect.type_info(kind))
    for part in path:
        inner: list[inspect.Type] = []
        for each in types:
            if isinstance(each, inspect.StructType):
                inner += [field.type for field in each.fields if field.encode_name == part]
            elif isinstance(each, inspect.ListType | inspect.VarTupleType):
                inner.append(each.item_type)
        types = [alternative for each in inner for alternative in _alternatives(each)]
    return types


def _alternatives(kind: inspect.Type) -> list[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        return [kind, *_alternatives(kind.type)]
    if isinstance(kind, inspect.UnionType):
        return [alternative for each in kind.types for alternative in _alternatives(each)]
    return [kind]


def _known(types: list[inspect.Type]) -> list[str]:
    known: list[str] = []
    for each in types:
        if isinstance(each, inspect.EnumType):
            known += [str(member.value) for member in each.cls]
        elif isinstance(each, inspect.LiteralType):
            known += [str(value) for value in each.values]
    return known


def _fields(types: list[inspect.Type]) -> list[str]:
    return [field.encode_name for each in types if isinstance(each, inspect.StructType) for field in each.fields]


def _of_pattern(_match: re.Match[str], types: list[inspect.Type]) -> str:
    said = [each.extra["wrong"] for each in types if isinstance(each, inspect.Metadata) and each.extra]
    return said[0] if said else "has a character that cannot stand here, such as a NUL"


def _of_length(match: re.Match[str], _types: list[inspect.Type]) -> str:
    what, sign, length = match.groups()
    if (sign, length) == (">=", "1"):
        return "must not be empty"
    unit = "characters" if what == "str" else "items"
    return f"must have at {'least' if sign == '>=' else 'most'} {int(length):,} {unit}"


_SIGNS: Final[Mapping[str, str]] = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}
_TYPES: Final[Mapping[str, str]] = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "uuid": "an id",
    "datetime": "a time with its zone, like 2026-11-29T08:00:00Z",
}


def _of_type(match: re.Match[str], types: list[inspect.Type]) -> str:
    if known := _known(types):
        return f"must be one of {', '.join(known)}"
    expected = [_TYPES.get(each, each) for each in match[1].split(" | ") if each != "null"]
    return f"must be {' or '.join(expected)}" if expected else "must be left out"


_SENTENCES: Final[Mapping[str, Callable[[re.Match[str], list[inspect.Type]], str]]] = {
    r"Invalid enum value (.*)": lambda match, types: unknown(str(literal_eval(match[1])), _known(types)),
    r"Object contains unknown field `(.*)`": lambda _, types: f"is unknown; known are {', '.join(_fields(types))}",
    r"Object missing required field `(.*)`": lambda _, __: "is missing",
    r"Invalid UUID": lambda _, __: "must be an id, like 01a202c2-ec88-7d71-b7ab-9004d99a8e15",
    r"Invalid RFC3339 encoded datetime": lambda _, __: f"must be {_TYPES['datetime']}",
    r"Expected `datetime` with(?:out)? a timezone component": lambda _, __: f"must be {_TYPES['datetime']}",
    r"Expected `str` matching regex .*": _of_pattern,
    r"Expected `(\w+)` of length ([<>]=?) (\d+)": _of_length,
    r"Expected `\w+` ([<>]=?) (-?[\d.]+)": lambda match, _: f"must be {_SIGNS[match[1]]} {match[2].removesuffix('.0')}",
    r"Expected `([^`]*)`(?:, got `[^`]*`)?": _of_type,
}
"""What msgspec says, and the rest of a sentence in place of it. Any other text is one of our own."""
