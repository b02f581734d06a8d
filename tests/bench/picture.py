"""The picture of a run, as SVG: cost by load and latency by load, a line for each that was measured.

Written by hand: two panels of lines are not worth a plotting library in the development environment.
"""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rows import Figure, Point

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 40, 44
GAP = 24
LEGEND = 26
COLOURS = ("#1f6feb", "#bc4c00", "#1a7f37", "#8250df")
STEPS = 5
APART = 3
"""Pixels between the strokes of two columns at the same load."""


@dataclass(frozen=True)
class Panel:
    """One diagram: *figure* of each point, in *unit* after *scale*."""

    title: str
    unit: str
    scale: float
    figure: Callable[[Point], Figure]
    is_logarithmic: bool


PANELS = (
    Panel("CPU of one event, all processes, by load", "µs", 1e6, lambda point: point.cost_seconds, False),
    Panel("Callback in → told, p99, by load", "ms", 1e3, lambda point: point.p99_seconds, True),
)


def picture(points: Sequence[Point], caption: str) -> str:
    """Return the SVG of *points*; a stroke through each shows its least and its most."""
    columns = list(dict.fromkeys(point.column for point in points))
    width = len(PANELS) * WIDTH + (len(PANELS) - 1) * GAP
    height = HEIGHT + LEGEND + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<style>text { font: 12px system-ui, sans-serif; fill: #24292f } .small { font-size: 10px }</style>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for position, panel in enumerate(PANELS):
        parts += _panel(panel, points, columns, position * (WIDTH + GAP))
    for position, column in enumerate(columns):
        x, y = LEFT + position * 180, HEIGHT + LEGEND - 10
        parts.append(f'<rect x="{x}" y="{y - 9}" width="18" height="4" fill="{COLOURS[position % len(COLOURS)]}"/>')
        parts.append(f'<text x="{x + 24}" y="{y - 3}">{html.escape(column)}</text>')
    parts.append(
        f'<text x="{LEFT}" y="{height - 6}" class="small">{html.escape(caption)}; strokes: least to most</text>'
    )
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, points: Sequence[Point], columns: Sequence[str], offset: int) -> list[str]:
    figures = [panel.figure(point) for point in points]
    ticks = _ticks(
        min(each.low for each in figures) * panel.scale, max(each.high for each in figures) * panel.scale, panel
    )
    most_rate = max(point.rate for point in points)

    def at_x(rate: float) -> float:
        return offset + LEFT + rate / most_rate * (WIDTH - LEFT - RIGHT)

    def at_y(value: float) -> float:
        if panel.is_logarithmic:
            share = math.log(max(value, ticks[0]) / ticks[0]) / math.log(ticks[-1] / ticks[0])
        else:
            share = value / ticks[-1]
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{offset + LEFT}" y="20" font-weight="600">{html.escape(panel.title)}</text>']
    for tick in ticks:
        y = at_y(tick)
        parts.append(
            f'<line x1="{offset + LEFT}" x2="{offset + WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d7de"/>'
        )
        parts.append(f'<text x="{offset + LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,g} {panel.unit}</text>')
    parts += [
        f'<text x="{at_x(rate):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" class="small">{rate:,.0f}</text>'
        for rate in sorted({point.rate for point in points})
    ]
    middle = offset + (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 10}" text-anchor="middle">callbacks a second</text>')
    for position, column in enumerate(columns):
        colour = COLOURS[position % len(COLOURS)]
        own = sorted((point for point in points if point.column == column), key=lambda point: point.rate)
        line = " ".join(
            f"{at_x(each.rate) + position * APART:.1f},{at_y(panel.figure(each).median * panel.scale):.1f}"
            for each in own
        )
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for each in own:
            figure, x = panel.figure(each), at_x(each.rate) + position * APART
            low, high = at_y(figure.low * panel.scale), at_y(figure.high * panel.scale)
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}" stroke-opacity="0.5"/>'
            )
            parts.append(f'<circle cx="{x:.1f}" cy="{at_y(figure.median * panel.scale):.1f}" r="3" fill="{colour}"/>')
    return parts


def _ticks(low: float, high: float, panel: Panel) -> list[float]:
    """Return the values of the horizontal lines: powers of ten around a logarithmic panel's values, else from 0."""
    if panel.is_logarithmic:
        first = math.floor(math.log10(max(low, 1e-6)))
        return [10.0**power for power in range(first, max(math.ceil(math.log10(high)), first + 1) + 1)]
    step = 10.0 ** math.floor(math.log10(high / STEPS))
    step *= next(factor for factor in (1, 2, 5, 10) if step * factor * STEPS >= high)
    return [step * number for number in range(math.ceil(high / step) + 1)]
