"""Phaxio's error tables: is a failure permanent?

Keyed on type and id together: id 133 is a PDF that cannot be read under one type and a forbidden number under another.
"""

from typing import Final


def _ids(text: str) -> set[str]:
    return set(text.split())


def _table(error_type: str, ids: set[str], odd: set[str], *, permanent: bool) -> dict[str, bool]:
    """Say *permanent* of *ids*, and the opposite of the *odd* ones among them."""
    return {f"{error_type}/{error_id}": permanent != (error_id in odd) for error_id in ids}


_PERMANENT: Final[dict[str, bool]] = {
    # The same document fails again; 57 and 69 are the provider's storage.
    **_table(
        "documentconversionerror",
        _ids("4 54 55 57 69 122 128 129 130 133"),
        _ids("57 69"),
        permanent=True,
    ),
    # 32 incompatible, 34 and 49 not operational, 50 rejected, 52 no route, 73 number changed.
    **_table(
        "lineerror",
        _ids("11 15 16 17 19 30 32 34 43 49 50 52 73 87 88 100 110 112 115 121"),
        _ids("32 34 49 50 52 73"),
        permanent=False,
    ),
    # 46 funds, 75 cancelled by the user, 133 number not permitted.
    **_table(
        "faxerror",
        _ids("6 7 8 10 12 13 14 18 20 21 22 25 26 28 29 31 38 40 41 44 46 48 53 60 63 68 75 76 77 79 80 82 84 113 117")
        | _ids("119 131 132 133"),
        _ids("46 75 133"),
        permanent=False,
    ),
}


def is_permanent(error_type: str | None, error_id: str | None) -> bool | None:
    """Return True if the same fax fails again, False if another try may help, None for what no table has.

    No table has an id of fatalError or generalError.

    >>> [is_permanent("faxError", "133"), is_permanent("lineError", "17"), is_permanent("fatalError", "1")]
    [True, False, None]
    """
    return _PERMANENT.get(f"{error_type}/{error_id}".lower())
