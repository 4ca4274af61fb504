"""Curves as a small SVG file: both axes logarithmic, a line a column, readable on light and on dark pages."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from operator import itemgetter

from figures import number

WIDTH, HEIGHT = 640, 320
LINE = 15
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 36, 44
COLOURS = ("#2f6fde", "#d9730d", "#0f8a5f", "#a03bb0")

Points = Sequence[tuple[float, float]]


def draw(title: str, axis: str, lines: Mapping[str, Points]) -> str:
    """The file's text; ``axis`` says what goes to the right. All values are above 0."""
    across = _Scale([x for points in lines.values() for x, _ in points], LEFT, WIDTH - RIGHT)
    up = _Scale([y for points in lines.values() for _, y in points], HEIGHT - BOTTOM, TOP)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f"<title>{escape(title)}</title>",
        "<style>text{fill:#57606a;font-size:12px}.grid{stroke:#8c959f;stroke-opacity:.3}path{fill:none;stroke-width:2}</style>",
        _text(LEFT, 20, title, "start"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, axis),
    ]
    for value in across.ticks():
        x = across.place(value)
        drawn += [_rule(x, TOP, x, HEIGHT - BOTTOM), _text(x, HEIGHT - BOTTOM + 18, number(value))]
    for value in up.ticks():
        y = up.place(value)
        drawn += [_rule(LEFT, y, WIDTH - RIGHT, y), _text(LEFT - 8, y + 4, number(value), "end")]
    for colour, points in zip(COLOURS, lines.values(), strict=False):
        places = [(across.place(x), up.place(y)) for x, y in points]
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        drawn.append(f'<path d="M{way}" stroke="{colour}"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    ends = {name: up.place(points[-1][1]) for name, points in lines.items()}
    drawn += [_text(WIDTH - RIGHT + 10, y + 4, name, "start") for name, y in _apart(ends).items()]
    return "\n".join([*drawn, "</svg>\n"])


def _apart(places: Mapping[str, float]) -> dict[str, float]:
    """The same places from top to bottom, moved down where two names would stand on each other."""
    moved: dict[str, float] = {}
    for name, y in sorted(places.items(), key=itemgetter(1)):
        moved[name] = max(y, *(other + LINE for other in moved.values()), 0)
    return moved


class _Scale:
    """Values to places between two ends, by their logarithms; at least a decade wide."""

    def __init__(self, values: Iterable[float], begin: float, end: float) -> None:
        logs = [math.log10(value) for value in values]
        self._low = math.floor(min(logs))
        self._high = max(math.ceil(max(logs)), self._low + 1)
        self._begin, self._end = begin, end

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]

    def place(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="grid" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'
