"""Adapters share readers in which an odd value costs only itself and everything that comes out can be stored."""

import re
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain import Provider
from shared.errors import Unreadable
from shared.providers.common import (
    clean,
    digest_id,
    e164,
    read_count,
    read_flag,
    read_id,
    read_json,
    read_time,
    text_of,
)

any_text = st.text(st.characters())
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
    max_leaves=10,
)


@given(anything)
@example({"\\u0000": None})  # six characters, none of them NUL
def test_what_is_cleaned_can_be_stored_and_cleaning_twice_changes_nothing(value):
    cleaned = clean(value)
    octets = msgspec.json.encode(cleaned)
    assert not re.search(rb"(?<!\\)(?:\\\\)*\\u0000", octets), "PostgreSQL stores no NUL"
    assert msgspec.json.encode(clean(cleaned)) == octets


@given(anything)
def test_no_reader_raises_for_any_value(value):
    for read in (text_of, e164, read_time, read_count, read_flag):
        read(value)
    try:
        assert "\0" not in read_id(value)
    except Unreadable:
        assert len(text_of(value)) > 200


@given(st.text() | st.binary())
def test_json_is_read_or_unreadable_and_comes_out_storable(source):
    try:
        msgspec.json.encode(read_json(source))
    except Unreadable:
        return


def test_milliseconds_are_told_from_seconds():
    moment = datetime(2025, 10, 21, 11, 59, 0, 123000, tzinfo=UTC)
    assert read_time(1761047940123) == read_time("1761047940123") == moment
    assert read_time(1761047940) == moment.replace(microsecond=0)


def test_json_is_not_quoted_when_it_cannot_be_read():
    with pytest.raises(Unreadable) as caught:
        read_json('{"to": "+16504888494", }')
    assert "6504888494" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "read"), [(" a\0b ", "a\ufffdb"), (7, "7"), (True, ""), (7.0, ""), (None, ""), ([], "")]
)
def test_an_id_is_text_or_an_integer_and_storable(value, read):
    assert read_id(value) == read


@given(st.integers(0, 4_000_000_000), st.integers(-1439, 1439))
def test_an_instant_is_the_same_in_unix_seconds_and_in_rfc_3339_with_any_offset(seconds, minutes):
    moment = datetime.fromtimestamp(seconds, UTC)
    assert read_time(seconds) == read_time(f" {seconds} ") == read_time(float(seconds)) == moment
    assert read_time(moment.astimezone(timezone(timedelta(minutes=minutes))).isoformat()) == moment
    assert read_time(moment.isoformat().replace("+00:00", "Z")) == moment


@given(st.lists(any_text), st.lists(any_text))
def test_different_parts_never_make_the_same_id(parts, others):
    assert (digest_id(Provider.SINCH, parts) == digest_id(Provider.SINCH, others)) is (parts == others)
    assert digest_id(Provider.SINCH, parts) != digest_id(Provider.PHAXIO, parts)


def test_ten_digits_get_a_prefix_only_where_a_provider_documents_them():
    assert e164("6504888494") == "6504888494"
    assert e164("6504888494", ten_digits="+1") == "+16504888494"
    assert e164(" 6504888494", ten_digits="+1") == "+6504888494", "its plus was lost on the way"
