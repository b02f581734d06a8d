"""A wrong value is refused in a sentence that says what is known, never in the parser's own words."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.ops.dead.jobs.bodies import DiscardRequest, RecoverRequest, ReplayRequest
from dispatcher.ops.dead.letters import DeadQuery
from dispatcher.ops.endpoints.bodies import EndpointQuery, RemovalQuery, Rotation, SampleRequest
from dispatcher.ops.endpoints.model import EndpointFields
from dispatcher.ops.faxes.lists.queries import DeliveryQuery, EventQuery, FaxQuery
from shared.sentences.bad_values import bad_value

PARSERS_WORDS = ("Expected", "Invalid", "Object ", "regex", "$", " null")


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    word: Literal["dead", "told"] | None = None


class Body(msgspec.Struct, forbid_unknown_fields=True):
    needed: str
    word: Literal["dead", "told"] | None = None
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=3, pattern="^[^\\u0000]*$")] | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    seconds: Annotated[float, msgspec.Meta(gt=0.5, lt=2.5)] = 1.0
    is_open: bool | None = None
    id: UUID | None = None
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    inner: Inner | None = None
    either: str | Inner | None = None
    texts: Annotated[list[str], msgspec.Meta(min_length=1, max_length=2)] = []
    inners: list[Inner] = []


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("word", "failed", "`failed` is unknown; known are dead, told"),
        ("word", "", "is empty; known are dead, told"),
        ("word", "it's\n" + "x" * 99, "`it's\ufffd" + "x" * 55 + "` is unknown; known are dead, told"),
        ("word", 3, "must be one of dead, told"),
        ("text", "", "must not be empty"),
        ("text", "abcd", "must have at most 3 characters"),
        ("text", "a\0", "has a character that cannot stand here, such as a NUL"),
        ("count", 0, "must be at least 1"),
        ("count", 2_000, "must be at most 1000"),
        ("count", 1.5, "must be a whole number"),
        ("seconds", 0.5, "must be above 0.5"),
        ("seconds", "x", "must be a number"),
        ("is_open", "maybe", "must be true or false"),
        ("id", "7", "must be an id, like 01a202c2-ec88-7d71-b7ab-9004d99a8e15"),
        ("at", "today", "must be a time with its zone, like 2026-11-29T08:00:00Z"),
        ("at", "2026-11-29T08:00:00", "must be a time with its zone, like 2026-11-29T08:00:00Z"),
        ("inner", 3, "must be an object"),
        ("inner", {"x": 1}, "x is unknown; known are word"),
        ("inner", {"word": "x"}, "word `x` is unknown; known are dead, told"),
        ("either", 3, "must be a text or an object"),
        ("texts", [], "must not be empty"),
        ("texts", ["a", "b", "c"], "must have at most 2 items"),
        ("texts", ["a", 3], "item 2 must be a text"),
        ("inners", [{}, {"word": "x"}], "item 2 word `x` is unknown; known are dead, told"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_what_is_known(field: str, value: Any, sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"needed": "x", field: value}, Body)
    bad = bad_value(caught.value, Body)
    assert (bad.field, bad.sentence) == (field, sentence)


def test_an_unknown_field_is_answered_with_the_known_ones() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"a b": 3}, Inner)
    bad = bad_value(caught.value, Inner)
    assert (bad.field, bad.sentence) == ("a b", "is unknown; known are word")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({}, Body)
    bad = bad_value(caught.value, Body)
    assert (bad.field, bad.sentence) == ("needed", "is missing")


BODIES = (
    *(DeadQuery, DeliveryQuery, DiscardRequest, EndpointFields, EndpointQuery, EventQuery, FaxQuery, RecoverRequest),
    *(RemovalQuery, ReplayRequest, Rotation, SampleRequest, Body),
)
SCALARS = st.sampled_from(
    [None, True, 0, -1, 2**40, 1.5, "", "x", "a\0", "null", "`", "2026-11-29T08:00:00", "x" * 999]
)


@given(st.data())
def test_no_refusal_of_the_api_is_in_the_parsers_words(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(BODIES))
    names = st.sampled_from([field.encode_name for field in msgspec.structs.fields(kind)]) | st.just("other")
    inner = st.dictionaries(st.sampled_from(["kind", "provider", "word", "other"]), SCALARS, max_size=2)
    given = data.draw(st.dictionaries(names, SCALARS | inner | st.lists(SCALARS, max_size=3), max_size=4))
    try:
        msgspec.convert(given, kind, strict=data.draw(st.booleans()))
    except msgspec.ValidationError as error:
        bad, parsers = bad_value(error, kind), str(error)
    else:
        return
    said = bad.reason.partition("`")[0] + bad.reason.rpartition("`")[2]  # between: a value from outside
    assert not any(word in said for word in PARSERS_WORDS), (bad, parsers)
    assert bad.path, given
