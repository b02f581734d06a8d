"""Sinch's error codes: is a failure permanent?

Keyed on type and code together, because 133 means two things. Other codes and types occur (texts such as `NO_ANSWER`);
they are not judged: None.
"""

from typing import Final

_PASSING_CALL: Final = (11, 15, 16, 17, 19, 30, 43)
_PERMANENT_CALL: Final = (32, 34, 49)  # incompatible, not in service, not active
_PASSING_DOCUMENT: Final = (57, 69)  # their storage, not our document
_PERMANENT_DOCUMENT: Final = (4, 55, 122, 128, 129, 130, 133)  # 54 (URL unreachable) may be either
_PASSING_FAX: Final = (
    *(6, 7, 8, 10, 12, 13, 14, 18, 20, 21, 22, 25, 26, 28, 29, 31, 38, 40, 41, 44, 48, 53),
    *(60, 63, 68, 76, 77, 79, 80, 82, 84, 113, 117, 119, 131, 132),
)
_PERMANENT_FAX: Final = (46, 75, 133)  # not paid, cancelled by the user, number not permitted

PERMANENT: Final[dict[tuple[str, str], bool]] = {
    (error_type, str(code)): permanent
    for error_type, permanent, codes in (
        ("CALL_ERROR", False, _PASSING_CALL),
        ("CALL_ERROR", True, _PERMANENT_CALL),
        # The node SDK writes LINE_ERROR, Phaxio's word for the same numbers.
        ("LINE_ERROR", False, _PASSING_CALL),
        ("LINE_ERROR", True, _PERMANENT_CALL),
        ("DOCUMENT_CONVERSION_ERROR", False, _PASSING_DOCUMENT),
        ("DOCUMENT_CONVERSION_ERROR", True, _PERMANENT_DOCUMENT),
        ("FAX_ERROR", False, _PASSING_FAX),
        ("FAX_ERROR", True, _PERMANENT_FAX),
    )
    for code in codes
}


def is_permanent(error_type: str | None, code: str | None) -> bool | None:
    """Return True if the same fax fails again, False if another try may help, None if that is not known.

    >>> [is_permanent(*pair) for pair in (("FAX_ERROR", "133"), ("CALL_ERROR", "17"), ("CALL_ERROR", "133"))]
    [True, False, None]
    """
    return None if error_type is None or code is None else PERMANENT.get((error_type.upper(), code))
