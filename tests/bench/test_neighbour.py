"""A ratio beside a bad neighbour is judged only where chance could not have made it."""

import neighbour
import pytest
from rows import Figure


@pytest.mark.parametrize("median", [0.7, 1.4])
def test_where_other_work_has_the_machine_the_goal_is_neither_reached_nor_missed(median: float) -> None:
    figures = {"now": Figure(median, 0.2, 2.5)}
    noisy, quiet = neighbour.row("hangs", figures, 3.1), neighbour.row("hangs", figures, 1.2)
    assert (noisy.is_reached("now"), "by chance up to 3.10: not judged" in noisy.note) == (None, True)
    assert (quiet.is_reached("now"), "not judged" in quiet.note) == (median < neighbour.GOAL, False)
