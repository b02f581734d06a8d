"""What ended lately is left to its callback, by the provider's clock; a time in the future withholds nothing."""

from datetime import timedelta

import pytest

from dispatcher.lists.apis.base import is_early
from shared.domain import utc_now

GRACE = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("ended_ago", "early"),
    [(0, True), (599, True), (600, False), (7_200, False), (-30, True), (-90, False), (-86_400 * 400, False)],
)
def test_an_ending_is_early_within_the_grace_only(ended_ago: float, *, early: bool) -> None:
    now = utc_now()
    assert is_early(now - timedelta(seconds=ended_ago), now, GRACE) is early
    assert not is_early(None, now, GRACE)
