"""The picture has a line for each that was measured, inside its frame, whatever the loads and figures are."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from picture import HEIGHT, PANELS, WIDTH, picture
from rows import Figure, Point

SVG = "{http://www.w3.org/2000/svg}"
SECONDS = st.floats(1e-6, 100.0).map(lambda each: Figure(each, each / 2, each * 2))


@given(st.lists(st.tuples(st.sampled_from(["now", "a <b> & c"]), st.floats(1.0, 1e5), SECONDS, SECONDS), min_size=1))
def test_every_line_stays_in_the_frame(drawn: list[tuple[str, float, Figure, Figure]]) -> None:
    points = [Point(column, rate, cost, p99, p99) for column, rate, cost, p99 in drawn]
    root = ET.fromstring(picture(points, "two <cores> & more"))  # noqa: S314 - we wrote it
    lines = root.findall(f"{SVG}polyline")
    assert len(lines) == len(PANELS) * len({point.column for point in points})
    for line in lines:
        for pair in line.attrib["points"].split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 2 * WIDTH + 24
            assert -0.1 <= y <= HEIGHT
