"""A chart lies within its frame, leaves gaps open, and says the same in words."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.ops.console.pages.chart import HEIGHT, SPAN_SECONDS, WIDTH, Point, chart, points
from shared.domain import utc_now

NOW = utc_now()


def at(seconds_ago: float, value: int) -> Point:
    return Point(NOW - timedelta(seconds=seconds_ago), value)


def test_nothing_known_is_said_and_not_drawn_as_nothing_waiting() -> None:
    drawn = chart("Events", [], NOW)
    assert (drawn.lines, drawn.now) == ("", None)
    assert "no samples yet" in drawn.words


def test_what_is_older_than_the_hour_is_left_out() -> None:
    drawn = chart("Events", [at(SPAN_SECONDS + 1, 900), at(10, 3), at(0, 2)], NOW)
    assert (drawn.most, drawn.now) == (3, 2)
    assert "2 now" in drawn.words
    assert "at most 3" in drawn.words


def test_where_nothing_was_read_the_line_has_a_gap() -> None:
    drawn = chart("Events", [at(300, 1), at(290, 1), at(100, 5), at(90, 5), at(80, 5)], NOW)
    assert drawn.lines.count("M") == 2
    assert drawn.area.count("Z") == 2


def test_a_lone_sample_is_seen() -> None:
    assert "L" in chart("Events", [at(0, 7)], NOW).lines


def test_queues_that_belong_together_are_summed_and_others_left_out() -> None:
    samples = [(NOW, {"retry.5m": 2, "retry.6h": 3, "dead.events": 9}), (NOW, {"dead.events": 1})]
    assert [point.value for point in points(samples, lambda name: name.startswith("retry."))] == [5]


@given(st.lists(st.tuples(st.floats(0, SPAN_SECONDS), st.integers(0, 10**9)), max_size=50))
def test_every_point_lies_in_the_frame(values: list[tuple[float, int]]) -> None:
    drawn = chart("Events", [at(seconds, value) for seconds, value in sorted(values, reverse=True)], NOW)
    for pair in drawn.lines.replace("M", "").replace("L", ",").split(","):
        if pair.strip():
            for x, y in [pair.split()[:2]]:
                assert -1 <= float(x) <= WIDTH
                assert 0 <= float(y) <= HEIGHT
