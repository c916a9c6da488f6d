"""A phase diagram: a cell for each pair of values, coloured by a number, its number in it, and a curve across."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from w2s.shown.drawing import LETTER, Drawing, Look

CELL_W, CELL_H, LEFT, HEAD, FOOT = 78.0, 34.0, 70.0, 44.0, 48.0
LEVELS = 7  # colours of the page's ramp
PALE = 4  # from here on a colour is far from the page's, and takes the page's own for text


@dataclass(frozen=True)
class Axis:
    """A name and rising values; places between two of them are told by their logarithms."""

    name: str
    values: tuple[float, ...]

    def place(self, value: float) -> float | None:
        """Where a value lies: 0 in the middle of the first cell, 1 in that of the next; None where it lies outside all cells."""
        logs = [math.log(one) for one in self.values]
        if len(logs) < 2 or value <= 0:
            return None
        wanted = math.log(value)
        for index in range(len(logs) - 1):
            step = logs[index + 1] - logs[index]
            found = index + (wanted - logs[index]) / step
            first, last = index == 0, index == len(logs) - 2
            if (first or found >= index) and (last or found <= index + 1):
                return found if -0.5 <= found <= len(logs) - 0.5 else None
        return None


@dataclass(frozen=True)
class Shade:
    """What the colours mean: a number from `low` (palest) to `high`."""

    name: str
    low: float
    high: float

    def level(self, value: float) -> int:
        inside = (value - self.low) / (self.high - self.low)
        return min(LEVELS - 1, max(0, int(inside * LEVELS)))


def heat(
    name: str, across: Axis, up: Axis, cells: dict[tuple[float, float], float], shade: Shade,
    curve: Sequence[tuple[float, float]], curve_name: str, alt: str,
) -> str:  # fmt: skip
    """The diagram as SVG. `cells`: (across, up) -> number; `curve`: points of the line, in the axes' own numbers."""
    width = LEFT + CELL_W * len(across.values) + 10
    bottom = HEAD + CELL_H * len(up.values)
    drawing = Drawing(name, max(width, LEFT + 38 + LETTER * 11 * len(curve_name)), bottom + FOOT, alt)
    drawing.text(LEFT - 8, HEAD - 6, up.name, anchor="end", colour="muted", size=11)
    drawing.line([(LEFT, 26), (LEFT + 22, 26)], "oracle", width=2.4, dash="6 3")
    drawing.text(LEFT + 28, 30, curve_name, size=11)
    for column, x in enumerate(across.values):
        drawing.text(LEFT + CELL_W * (column + 0.5), bottom + 16, f"{x:g}", anchor="middle", colour="muted", size=11)
    for row, y in enumerate(up.values):
        top = bottom - CELL_H * (row + 1)
        drawing.text(LEFT - 8, top + CELL_H / 2 + 4, f"{y:g}", anchor="end", colour="muted", size=11)
        for column, x in enumerate(across.values):
            if (x, y) in cells:
                _cell(drawing, LEFT + CELL_W * column, top, cells[x, y], shade, f"{across.name} {x:g}, {up.name} {y:g}")
    drawing.text(LEFT + CELL_W * len(across.values) / 2, bottom + 36, across.name, anchor="middle")
    places = [(across.place(x), up.place(y)) for x, y in curve]
    inside = [
        (LEFT + CELL_W * (x + 0.5), bottom - CELL_H * (y + 0.5)) for x, y in places if x is not None and y is not None
    ]
    if len(inside) > 1:
        drawing.line(inside, "oracle", width=2.4, dash="6 3")
    return drawing.text_out()


def _cell(drawing: Drawing, left: float, top: float, value: float, shade: Shade, where: str) -> None:
    level = shade.level(value)
    told = f"{where}: {shade.name} {value:.3f}"
    drawing.bar(left + 1, top + 1, CELL_W - 2, CELL_H - 2, Look(f"ramp{level}"), told)
    colour = "paper" if level >= PALE else "ink"
    drawing.text(left + CELL_W / 2, top + CELL_H / 2 + 4, f"{value:z.3f}", anchor="middle", colour=colour, told=told)
