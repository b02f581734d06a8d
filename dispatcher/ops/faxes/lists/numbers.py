"""Numbers of faxes as people give them: in any notation, or by their last digits; and how they are found.

The ledger keeps numbers as the provider gave them, mostly in E.164. An index of each column has their digits from the
last to the first: so a number and its last digits are found alike.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec

from dispatcher.ledger.pool import Pool
from shared.errors import FaxhookError

Number = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=60,
        pattern="^[^\\u0000]*$",
        description="of either side, in any notation or by its last digits",
    ),
]

LEAST_DIGITS: Final = 3
MOST_DIGITS: Final = 20
LEAST_DIALLED: Final = 10
DIALLED: Final = "00"
"""Dialled for + in many countries; some numbers are kept like that: `+41…` and `0041…` find each other."""

MOST_NUMBERS: Final = 1_000
"""That may end with the digits given: four digits are the end of fifty among half a million numbers."""

_NOTATION: Final = re.compile(r"[0-9()\[\]./\s\u00a0\u2010-\u2015-]+")
_DIGITS: Final = re.compile(r"[0-9]")


def reversed_digits(column: str) -> str:
    """Return the SQL of the digits of *column*, the last one first: what its index holds."""
    return f"reverse(regexp_replace({column}, '[^0-9]', '', 'g'))"


_ENDING_WITH: Final = """
WITH RECURSIVE found (number, place) AS (
    (SELECT {digits}, 1 FROM faxes WHERE {digits} >= $1 AND {digits} < $2 ORDER BY {digits} LIMIT 1)
    UNION ALL
    SELECT (SELECT {digits} FROM faxes WHERE {digits} > found.number AND {digits} < $2 ORDER BY {digits} LIMIT 1),
           place + 1
    FROM found WHERE found.number IS NOT NULL AND place <= $3
)
SELECT number FROM found WHERE number IS NOT NULL
"""
"""From one number to the next through the index, however many faxes each has."""


class BadNumber(FaxhookError):
    """What is no number, or the end of too many."""

    code = "bad_number"
    status = 422
    field = "number"


class NumberSearch(msgspec.Struct, frozen=True):
    """*digits*: from the last to the first. *is_whole*: they are the whole number; else its end."""

    digits: str
    is_whole: bool


def read_number(text: str) -> NumberSearch:
    """Return what a person looks for who gives *text* as a number.

    Raises:
        BadNumber: It is no number.

    >>> [read_number(text).digits for text in ("+1 (555) 010-0102", "0049 30 1234", "0102")]
    ['20100105551', '43210394', '2010']
    """
    stripped = text.strip()
    digits = "".join(_DIGITS.findall(stripped))
    # 00 is dialled for +; what is too short for a number in E.164 with its country is the end of one, like 0001.
    is_dialled = digits.startswith("00") and len(digits) >= LEAST_DIALLED
    is_whole = stripped.startswith("+") or is_dialled
    digits = digits[2:] if is_dialled else digits
    if not _NOTATION.fullmatch(stripped.removeprefix("+")) or not LEAST_DIGITS <= len(digits) <= MOST_DIGITS:
        raise BadNumber(
            f"number: `{text[:40]}` is not a number like +1 555 010 0102, or its last {LEAST_DIGITS} or more digits"
        )
    return NumberSearch(digits[::-1], is_whole)


def has_number(numbers: Iterable[str | None], text: str) -> bool:
    """Is one of *numbers*, as the provider gave them, what a person means by *text*?

    For what the ledger does not hold. A leading 0 may be the one that is dialled before a national number.

    Raises:
        BadNumber: It is no number.

    >>> [has_number(["+1 555 010-0102", None], text) for text in ("+15550100102", "0102", "0103", "01 02")]
    [True, True, False, True]
    >>> [has_number(["0041441234567"], text) for text in ("+41 44 123 45 67", "0041441234567", "044 1234567")]
    [True, True, True]
    """
    search = read_number(text)
    digits = ["".join(_DIGITS.findall(number))[::-1] for number in numbers if number is not None]
    if search.is_whole:
        return any(each in {search.digits, search.digits + DIALLED} for each in digits)
    ends = (search.digits, search.digits.removesuffix("0"))
    return any(each.startswith(ends) for each in digits)


def looks_like_number(text: str) -> bool:
    """Would a person who gives *text* mean a number?"""
    try:
        read_number(text)
    except BadNumber:
        return False
    return True


async def numbers_meant(pool: Pool, text: str) -> Sequence[str]:
    """Return the reversed digits of the numbers that *text* means; none: no fax has one.

    Raises:
        BadNumber: It is no number, or the end of more than `MOST_NUMBERS`.
    """
    search = read_number(text)
    if search.is_whole:
        return [search.digits, search.digits + DIALLED]
    found = await _ending_with(pool, search.digits)
    if not found and search.digits.endswith("0"):
        # The digit that some countries dial before a national number is no part of it.
        found = await _ending_with(pool, search.digits[:-1])
    if len(found) > MOST_NUMBERS:
        raise BadNumber(f"number: more than {MOST_NUMBERS} numbers end with `{text[:40]}`: give more digits")
    return sorted(found)


async def _ending_with(pool: Pool, digits: str) -> set[str]:
    found: set[str] = set()
    for column in ("to_number", "from_number"):
        statement = _ENDING_WITH.format(digits=reversed_digits(column))
        rows: list[Any] = await pool.fetch(statement, digits, digits + ":", MOST_NUMBERS)
        found.update(row["number"] for row in rows)
    return found
