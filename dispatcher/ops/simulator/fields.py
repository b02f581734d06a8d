"""Changes of single fields of a sample, made before it is signed. Pure.

A field is named by its path: `fax.num_pages`, `data.payload.page_count`, `fax.recipients.0.status`, `faxpages`. Where
a provider writes JSON into a form field (`fax`), the path leads into it.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from dispatcher.ops.simulator.bodies import SampleDraft
from shared.errors import FaxhookError

MOST_SHOWN: Final = 60
MOST_DIGITS: Final = 6


class BadChange(FaxhookError):
    """A field cannot be changed like this; the sentence says why and which fields there are."""

    code = "bad_change"


class Change(msgspec.Struct, frozen=True):
    """One field: its path, and its new value as text; None removes it."""

    path: str
    value: str | None


def parse_change(assignment: str) -> Change:
    """Read `PATH=VALUE`.

    >>> parse_change("fax.num_pages=3")
    Change(path='fax.num_pages', value='3')

    Raises:
        BadChange: It is not a field and a value.
    """
    path, equals, value = assignment.partition("=")
    if not equals or not all(path.split(".")) or assignment.encode(errors="replace").decode() != assignment:
        raise BadChange(f"--set wants FIELD=VALUE, such as fax.num_pages=3; not {assignment!a}")
    return Change(path, value)


def apply_fields(
    draft: SampleDraft, changes: Sequence[Change], document: bytes | None = None
) -> tuple[SampleDraft, tuple[str, ...]]:
    """Return *draft* with *changes* and *document*, and the paths of the fields that were added.

    Raises:
        BadChange: A path leads through a value without fields, a field to be removed is not there, or a document is
            given and this provider sends none.
    """
    if document is not None:
        if draft.shape != "form":
            raise BadChange("this provider sends no document with its callbacks, it only names one")
        draft = msgspec.structs.replace(draft, document=document)
    if not changes:
        return draft, ()
    fields = copy.deepcopy(draft.fields)
    added = []
    for change in changes:
        holder, name = _holder(fields, change.path)
        is_there = name in holder if isinstance(holder, dict) else 0 <= name < len(holder)
        if not is_there and (change.value is None or isinstance(holder, list)):
            raise _unknown(fields, change.path)
        if change.value is None:
            del holder[name]
            continue
        if not is_there:
            added.append(change.path)
        before = holder[name] if is_there else None
        # A form's own fields are text, whatever the text looks like.
        is_text_only = holder is fields and draft.shape != "json" and isinstance(before, str | None)
        holder[name] = change.value if is_text_only else _value(change.value, before)
    return msgspec.structs.replace(draft, fields=fields), tuple(added)


def paths_of(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and value of every field; nested ones have the paths of what holds them in front."""
    pairs: Any = enumerate(value) if isinstance(value, list) else value.items()
    for name, inner in pairs:
        path = f"{prefix}{name}"
        if isinstance(inner, dict | list) and inner:
            yield from paths_of(inner, f"{path}.")
        else:
            yield path, inner


def _holder(fields: dict[str, Any], path: str) -> tuple[Any, Any]:
    """Return the object or list that holds the field, and its key there; -1 for what is not an index."""
    holder: Any = fields
    *outer, last = path.split(".")
    for name in outer:
        key = _key(holder, name)
        inner = holder.get(key) if isinstance(holder, dict) else holder[key] if 0 <= key < len(holder) else None
        if not isinstance(inner, dict | list):
            raise _unknown(fields, path)
        holder = inner
    return holder, _key(holder, last)


def _key(holder: Any, name: str) -> Any:
    if isinstance(holder, dict):
        return name
    return int(name) if name.isascii() and name.isdigit() and len(name) < MOST_DIGITS else -1


def _value(typed: str, before: Any) -> Any:
    """Return JSON as its value, anything else as text; a bare number stays text where the sample has text."""
    try:
        value = msgspec.json.decode(typed)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return typed
    return typed if isinstance(before, str) and isinstance(value, int | float) else value


def _unknown(fields: dict[str, Any], path: str) -> BadChange:
    paths = [known for known, _ in paths_of(fields)]
    return BadChange(f"the sample has no field `{path}`; it has {', '.join(paths[:MOST_SHOWN])}")
