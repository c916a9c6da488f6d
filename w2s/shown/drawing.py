"""An SVG drawing for a page, written element by element: in the page's own colours, its texts escaped, nothing from elsewhere.

Reports are drawn at the end of every run, so this is light: matplotlib, which draws the page of a search, takes a second to
load and some tenths of a second a figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from xml.etree import ElementTree

Shape = Literal["circle", "square", "diamond", "triangle", "ring"]
Anchor = Literal["start", "middle", "end"]
FONT = 12.0
LETTER = 0.56  # of the font's size: the mean width of a letter of a sans-serif


@dataclass(frozen=True)
class Look:
    """How one series is told from another: by colour, and without it by shape, dashes or hatching.

    `colour` is a variable of the page's style sheet (honest, oracle, third, fourth, ink, muted); `dash` is empty for a solid line.
    """

    colour: str
    shape: Shape = "circle"
    dash: str = ""
    hatch: Literal["", "stripes", "dots"] = ""

    @property
    def paint(self) -> str:
        return f"var(--{self.colour})"


class Drawing:
    """An <svg> of so many pixels. `name` begins every id in it; `alt` says in words what it shows."""

    def __init__(self, name: str, width: float, height: float, alt: str) -> None:
        self._name = name
        self.width, self.height = width, height
        self._root = ElementTree.Element(
            "svg",
            {
                "viewBox": f"0 0 {_n(width)} {_n(height)}", "role": "img", "aria-label": alt,
                "style": f"width:{_n(width)}px", "font-size": _n(FONT),
            },
        )  # fmt: skip
        self._patterns: dict[tuple[str, str], str] = {}

    def text_out(self) -> str:
        """The element as HTML."""
        return ElementTree.tostring(self._root, encoding="unicode", short_empty_elements=False)

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: str,
        *,
        width: float = 1.0,
        dash: str = "",
        fade: float = 1.0,
    ) -> None:
        """Straight from point to point."""
        style = f"fill:none;stroke:var(--{colour});stroke-width:{_n(width)}"
        style += f";stroke-dasharray:{dash}" if dash else ""
        style += f";opacity:{_n(fade)}" if fade < 1 else ""
        way = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self._add("path", {"d": way, "style": style})

    def text(
        self, x: float, y: float, words: str, *, colour: str = "ink", anchor: Anchor = "start", size: float = FONT,
        bold: bool = False, told: str = "",
    ) -> None:  # fmt: skip
        """Words whose base line is at y; `told` is shown where the mouse rests."""
        style = f"fill:var(--{colour})" + (";font-weight:600" if bold else "")
        values = {"x": _n(x), "y": _n(y), "style": style}
        values |= {"text-anchor": anchor} if anchor != "start" else {}
        values |= {"font-size": _n(size)} if size != FONT else {}
        made = self._add("text", values)
        made.text = words
        self._tell(made, told)

    def mark(self, x: float, y: float, look: Look, *, size: float = 4.5, told: str = "", fade: float = 1.0) -> None:
        """A point of a series in its shape."""
        style = f"fill:{look.paint};stroke:var(--paper);stroke-width:1"
        if look.shape == "ring":
            style = f"fill:var(--paper);stroke:{look.paint};stroke-width:1.6"
        style += f";opacity:{_n(fade)}" if fade < 1 else ""
        if look.shape in ("circle", "ring"):
            made = self._add("circle", {"cx": _n(x), "cy": _n(y), "r": _n(size), "style": style})
        else:
            made = self._add("path", {"d": _outline(look.shape, x, y, size), "style": style})
        self._tell(made, told)

    def bar(self, x: float, y: float, width: float, height: float, look: Look, told: str = "") -> None:
        """A bar in its series' colour, and in its hatching."""
        left, wide = (x + width, -width) if width < 0 else (x, width)
        paint = f"url(#{self._pattern(look)})" if look.hatch else look.paint
        style = f"fill:{paint};stroke:{look.paint};stroke-width:1"
        box = {"x": _n(left), "y": _n(y), "width": _n(max(wide, 0.5)), "height": _n(height), "style": style}
        self._tell(self._add("rect", box), told)

    def box(
        self, x: float, y: float, width: float, height: float, *, edge: str, dash: str = "", told: str = ""
    ) -> None:
        """A frame with round corners on the page's card colour."""
        style = f"fill:var(--card);stroke:var(--{edge})" + (f";stroke-dasharray:{dash}" if dash else "")
        box = {"x": _n(x), "y": _n(y), "width": _n(width), "height": _n(height), "rx": "4", "style": style}
        self._tell(self._add("rect", box), told)

    def curve(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """From left to right, level at both ends."""
        middle = (x0 + x1) / 2
        way = f"M{_n(x0)} {_n(y0)}C{_n(middle)} {_n(y0)} {_n(middle)} {_n(y1)} {_n(x1)} {_n(y1)}"
        self._add("path", {"d": way, "style": "fill:none;stroke:var(--muted);opacity:.55"})

    def _add(self, tag: str, values: dict[str, str]) -> ElementTree.Element:
        return ElementTree.SubElement(self._root, tag, values)

    def _tell(self, made: ElementTree.Element, told: str) -> None:
        if told:
            ElementTree.SubElement(made, "title").text = told

    def _pattern(self, look: Look) -> str:
        key = (look.colour, look.hatch)
        if key in self._patterns:
            return self._patterns[key]
        name = self._patterns[key] = f"{self._name}-{look.colour}-{look.hatch}"
        pattern = self._add("pattern", {"id": name, "width": "6", "height": "6", "patternUnits": "userSpaceOnUse"})
        style = f"fill:none;stroke:{look.paint};stroke-width:1.6"
        if look.hatch == "stripes":
            ElementTree.SubElement(pattern, "path", {"d": "M-1 1L1 -1M0 6L6 0M5 7L7 5", "style": style})
        else:
            ElementTree.SubElement(pattern, "circle", {"cx": "3", "cy": "3", "r": "1.2", "style": f"fill:{look.paint}"})
        return name


def _outline(shape: Shape, x: float, y: float, size: float) -> str:
    corners = {
        "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        "triangle": [(0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
    }[shape]
    return "M" + "L".join(f"{_n(x + size * across)} {_n(y + size * down)}" for across, down in corners) + "Z"


def _n(value: float) -> str:
    """A number as short as the eye allows."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else "0"


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self, most: int = 7) -> list[float]:
        """Round numbers, at most so many."""
        step = _step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [count * step for count in range(first, last + 1)]


def span(values: Sequence[float], *, around: float = 0.06) -> tuple[float, float]:
    """The ends of an axis that holds these numbers, with a little room."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    room = (high - low or abs(high) or 1.0) * around
    return low - room, high + room


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """As many digits as the ticks need to differ."""
    step = min((abs(b - a) for a, b in pairwise(ticks)), default=1.0)
    digits = next((count for count in range(9) if math.isclose(round(step, count), step, rel_tol=1e-6)), 9)
    return f"{value:z.{digits}f}"


def _step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next((size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough - 1e-12), size * 10)


def shortened(text: str, most: int) -> str:
    """A text cut to a length that a picture has room for."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def folded(text: str, width: int, lines: int) -> list[str]:
    """A text in at most so many lines of so many letters; what is left over is cut off with an ellipsis."""
    import textwrap

    found = textwrap.wrap(" ".join(text.split()), width) or [""]
    if len(found) > lines:
        found = [*found[: lines - 1], shortened(" ".join(found[lines - 1 :]), width)]
    return found
