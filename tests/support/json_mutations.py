"""JSON changed as broken or hostile senders would: as a tree whose objects are pairs, so that names may be there twice."""

import json
from typing import Any

from hypothesis import strategies as st


class Pairs(list[tuple[str, Any]]):
    """A JSON object."""


class Raw(str):
    """Text that stands in the JSON as it is: a number that no type holds, an escape that makes no character."""

    __slots__ = ()


def tree_of(text: str | bytes) -> Any:
    """Return JSON with each object as `Pairs`."""
    return json.loads(text, object_pairs_hook=Pairs)


def render(tree: Any) -> str:
    """Return the JSON of what `tree_of` returns, with `Raw` as it is."""
    if isinstance(tree, Raw):
        return tree
    if isinstance(tree, Pairs):
        return "{" + ",".join(f"{_name(name)}:{render(value)}" for name, value in tree) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(render, tree)) + "]"
    return json.dumps(tree)


def _name(name: str) -> str:
    return name if isinstance(name, Raw) else json.dumps(name)


def _holders(tree: Any) -> list[list[Any]]:
    """Return every object and array that holds anything."""
    found: list[list[Any]] = []
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list) and value:
            found.append(value)
            waiting += [item[1] for item in value] if isinstance(value, Pairs) else value
    return found


def _nested(depth: int) -> Raw:
    return Raw("[" * depth + "1" + "]" * depth)


RAW = st.sampled_from(
    [
        *(Raw(text) for text in ("1e999", "-1e999", "9" * 400, "-0", "1.5", "1E400", "0.1e-400", '"\\ud800"', "NaN")),
        *(Raw(text) for text in ('"\\udc00\\ud800"', '"\\u0000"', '"\\/"', "tru", "Infinity", "", "01", '"\n"', "'x'")),
        *map(_nested, (5, 60, 63, 64, 65, 500)),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *(
                "",
                " ",
                "\0",
                "null",
                "true",
                "0",
                "-1",
                "1e5",
                "9" * 30,
                "x" * 250,
                "\u2028",
                "é",
                "\U0001f4e0",
                "[]",
                "{}",
            ),
            *('{"id":1}', "${FAXSTATUS}", "2024-13-01", "2024-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"),
            *("9999-12-31T23:59:59-23:59", "+15551234567", " 15551234567", "+", "sip:x@y", "/faxdata/../etc/passwd"),
            *("/faxdata/a\0b", "https://10.0.0.1/", "javascript:1", "JVBERi0=", "A" * 1100, "=" * 1100, "data:,x"),
            *("success", "failure", "partialsuccess", "received", "queued", "FAX_COMPLETED", "INCOMING_FAX", "FAILED"),
            *("fax.received", "fax.failed", "inbound", "outbound", "transmitting_page", "fax_completed", "SUCCESS"),
        ]
    ),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS, RAW
)
NAMES = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["id", "fax", "fax_id", "status", "event_type", "event", "data", "payload", "file", "files", "url"]
    ),
    st.sampled_from(["fax[id]", "fax[", "fax]", "fax[id][x]", "recipients", "error_type", "completed_at", "", "\0"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(st.tuples(NAMES, inner), max_size=3).map(Pairs), st.builds(render, inner)
    ),
    max_leaves=6,
)


@st.composite
def changed_json(draw: st.DrawFn, text: str | bytes) -> str:
    """Draw *text* with one to three places changed: dropped, given twice, of another type, renamed, nested, moved."""
    tree = tree_of(text)
    for _ in range(draw(st.integers(1, 3))):
        holders = _holders(tree)
        if not holders:
            break
        holder = draw(st.sampled_from(holders))
        at = draw(st.integers(0, len(holder) - 1))
        is_object = isinstance(holder, Pairs)
        match draw(st.sampled_from(["drop", "twice", "other", "other", "other", "rename", "nest", "move"])):
            case "drop":
                del holder[at]
            case "twice":
                holder.insert(
                    draw(st.integers(0, len(holder))), (holder[at][0], draw(VALUES)) if is_object else holder[at]
                )
            case "rename" if is_object:
                holder[at] = (draw(NAMES), holder[at][1])
            case "nest" if is_object:
                holder[at] = (holder[at][0], Pairs([(holder[at][0], holder[at][1])]))
            case "move" if is_object:
                other = draw(st.sampled_from(holders))
                value = tree_of(render(other)) if draw(st.booleans()) and is_json(render(other)) else draw(VALUES)
                holder[at] = (holder[at][0], value)
            case _:
                value = draw(VALUES)
                holder[at] = (holder[at][0], value) if is_object else value
    return render(tree)


def is_json(text: str | bytes) -> bool:
    """Can it be read?"""
    try:
        tree_of(text)
    except (ValueError, RecursionError):
        return False
    return True
