"""The details of a line of the audit in words, for command line and console. Pure."""

import re
from datetime import datetime
from typing import Any, Final

import msgspec

from dispatcher.ops.audit.entries import AuditEntry
from dispatcher.ops.words import clock

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def details_of(entry: AuditEntry) -> str:
    """Return old and new values and all else of a line, for people.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 11, 29, tzinfo=UTC)
    >>> details_of(AuditEntry(id=1, at=at, who="a", what="b", subject="c", origin=None, old={"enabled": True},
    ...                       new={"enabled": False}, details={"fields": ["enabled"], "reason": "moved"}))
    'enabled: true → false · reason: moved'
    >>> details_of(AuditEntry(id=1, at=at, who="a", what="b", subject="c", origin=None, old={}, new={},
    ...                       details={"fields": ["tokens"]}))
    'fields: tokens'
    """
    both = {**entry.old, **entry.new}
    changed = [
        f"{name}: {shown(entry.old[name])} → {shown(value)}"
        for name, value in both.items()
        if name in entry.old and name in entry.new
    ]
    # What was added or removed as a whole has many fields that say nothing.
    changed += [
        f"{name}: {shown(value)}"
        for name, value in both.items()
        if (name not in entry.old or name not in entry.new) and name != "id" and value not in (None, "", [])
    ]
    rest = {
        name: value
        for name, value in entry.details.items()
        if value not in (None, "", []) and name != "fields" and (name, value) != ("count", 1)
    }
    fields = entry.details.get("fields")
    if fields and not both and not rest:  # a line from before values were kept; else most of them stayed as they were
        rest["fields"] = fields
    return " · ".join([*changed, *(f"{name.replace('_', ' ')}: {shown(value)}" for name, value in rest.items())])


def shown(value: Any) -> str:
    """Return a value of the details for people; a moment as it is shown everywhere.

    >>> [shown(each) for each in ("a", None, True, 15.0, ["x", "y"], {"a": 1})]
    ['a', 'none', 'true', '15.0', 'x, y', '{"a":1}']
    >>> shown("2027-02-27T22:04:27.108776Z"), shown("until 2027-02-27T22:04:27Z")
    ('2027-02-27 22:04:27 UTC', 'until 2027-02-27T22:04:27Z')
    """
    if value is None:
        return "none"
    if isinstance(value, str):
        return clock(datetime.fromisoformat(value)) if _INSTANT.fullmatch(value) else value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value) or "none"
    return msgspec.json.encode(value).decode()
