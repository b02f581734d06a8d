"""Bounds of deliveries' ids by time: they are version 7, the time comes first. Pure."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from shared.ids import first_uuid7

CLOCKS_APART: Final = timedelta(minutes=5)
"""Between the ledger, which names times, and the dispatcher that made an id."""


def least_id(since: datetime) -> UUID:
    """Return what no id of a delivery that was owed at *since* or later is less than."""
    return _first_id(since, -CLOCKS_APART)


def id_beyond(until: datetime) -> UUID:
    """Return what each id of a delivery that was owed before *until* is less than."""
    return _first_id(until, CLOCKS_APART)


def _first_id(at: datetime, shift: timedelta) -> UUID:
    try:
        return first_uuid7(at + shift)
    except OverflowError:  # at the ends of the calendar
        return first_uuid7(at)
