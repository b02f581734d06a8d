"""A number is found in any notation and by its last digits; what cannot be a number, or ends too many, is refused."""

import asyncpg
import pytest
from dispatchers import an_event
from hypothesis import given
from hypothesis import strategies as st
from ledgers import take

from dispatcher.ops.faxes.lists import numbers
from dispatcher.ops.faxes.lists.numbers import BadNumber, looks_like_number, numbers_meant, read_number
from dispatcher.ops.faxes.lists.queries import FaxQuery
from dispatcher.ops.faxes.reader import FaxReader


@pytest.mark.parametrize(
    "text", ["", "12", "+", "++49301234", "0", "referral-4711", "+1555x", "1" * 21, "\u0661\u0662\u0663\u0664"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    assert not looks_like_number(text)
    with pytest.raises(BadNumber, match="number: "):
        read_number(text)


@given(st.text(max_size=30))
def test_any_text_is_digits_or_refused(text: str) -> None:
    if looks_like_number(text):
        digits = read_number(text).digits
        assert digits.isascii()
        assert digits.isdigit()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("+15550100102", {"1", "2"}),
        ("+1 (555) 010-0102", {"1", "2"}),
        ("001 555 010 0102", {"1", "2"}),
        ("555.010.0102", {"1", "2"}),
        ("0102", {"1", "2", "3"}),
        ("00102", {"1", "2"}),
        ("030 1234567", {"4"}),
        ("+4930 1234567", {"4"}),
        ("+30 1234567", set()),
        ("0049 30 1234567", {"4"}),
        ("0041 44 123 45 67", {"6", "7"}),
        ("+41 44 123 45 67", {"6", "7"}),
        ("41441234567", {"6", "7"}),
        ("9999", set()),
    ],
)
async def test_either_side_s_number_is_found_however_it_is_written(
    pool: asyncpg.Pool, text: str, found: set[str]
) -> None:
    await take(
        pool,
        an_event(1, to_number="+15550100102", from_number="+15550100102"),
        an_event(2, to_number="+15550100999", from_number="+1 555-010-0102"),
        an_event(3, to_number="0102"),
        an_event(4, from_number="+49301234567"),
        an_event(5),
        an_event(6, to_number="0041441234567"),
        an_event(7, from_number="+41441234567"),
    )
    page = await FaxReader(pool).faxes(FaxQuery(number=text))
    assert sorted(fax.fax_id for fax in page.items) == sorted(found)


async def test_the_end_of_too_many_numbers_is_refused_and_of_just_as_many_is_not(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "MOST_NUMBERS", 20)
    await take(pool, *(an_event(n, to_number=f"+1555{n:03}777") for n in range(21)))
    with pytest.raises(BadNumber, match="more than 20 numbers end with `777`"):
        await numbers_meant(pool, "777")
    assert len(await numbers_meant(pool, "0777")) == 3
    monkeypatch.setattr(numbers, "MOST_NUMBERS", 21)
    assert len(await numbers_meant(pool, "777")) == 21
