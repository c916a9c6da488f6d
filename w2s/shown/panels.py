"""Small panels side by side, of lines and points over one pair of axes: a panel a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from w2s.shown.drawing import FONT, LETTER, Drawing, Look, Scale, folded, shortened, span, tick_text

WIDTH, LEFT, GAP, HEAD, FOOT = 1060.0, 46.0, 26.0, 26.0, 44.0
Y_NAME = 18.0  # above the axes
LEGEND = 18.0  # a line of it
MOST_ACROSS = 3
Point = tuple[float, float]


@dataclass(frozen=True)
class Way:
    """One line of a series, or its points alone. `spans` are the ends of a vertical bar at each point, `across` of a horizontal
    one, if any are known; `names` are written beside the points, `told` is shown where the mouse rests."""

    series: str
    points: tuple[Point, ...]
    marked: bool = True
    joined: bool = True
    spans: tuple[Point | None, ...] = ()
    told: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    fade: float = 1.0
    across: tuple[Point | None, ...] = ()
    width: float = 1.7


@dataclass(frozen=True)
class Panel:
    """One pair of axes. `level` is a dashed line across, with its name."""

    title: str
    ways: tuple[Way, ...]
    level: tuple[float, str] | None = None
    names: tuple[tuple[float, str], ...] = field(default=())  # of places on the x axis, instead of numbers


@dataclass(frozen=True)
class Axes:
    """What the axes say, and their ends where these are given."""

    x: str
    y: str
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None
    diagonal: bool = False
    whole: bool = False  # whole numbers alone along x


def panels(
    name: str, drawn: Sequence[Panel], looks: Mapping[str, Look], axes: Axes, alt: str, height: float = 190.0
) -> str:
    """The panels as SVG, all with the same y axis, and the same x axis unless places on it have names."""
    across = min(MOST_ACROSS, len(drawn))
    width = min(520.0, (WIDTH - GAP * (across - 1)) / across)
    down = -(-len(drawn) // across)
    title = 16.0 * max(len(_title(panel, width)) for panel in drawn) + Y_NAME
    each = title + height + FOOT
    wide = WIDTH if across > 1 else width + LEFT
    legend = _legend_places(looks, wide)
    head = HEAD + legend[-1][2] if legend else 4.0
    drawing = Drawing(name, wide, head + each * down, alt)
    y_ends = axes.y_ends or span([value for panel in drawn for value in _heights(panel)])
    _legend(drawing, looks, legend)
    for place, panel in enumerate(drawn):
        left = (place % across) * (width + GAP)
        top = head + (place // across) * each
        for line, words in enumerate(_title(panel, width)):
            drawing.text(left, top + 12 + 16 * line, words, bold=True, told=panel.title)
        x_ends = axes.x_ends or span([x for way in panel.ways for x, _ in way.points] + [x for x, _ in panel.names])
        x = Scale(*x_ends, left + LEFT, left + width)
        y = Scale(*y_ends, top + title + height, top + title + 6)
        _frame(drawing, panel, axes, x, y)
        for way in panel.ways:
            _way(drawing, way, looks[way.series], x, y)
    return drawing.text_out()


def _title(panel: Panel, width: float) -> list[str]:
    return folded(panel.title, int(width / (LETTER * FONT * 1.06)), 3) if panel.title else []


def _heights(panel: Panel) -> list[float]:
    found = [y for way in panel.ways for _, y in way.points]
    found += [end for way in panel.ways for ends in way.spans if ends is not None for end in ends]
    return found + ([] if panel.level is None else [panel.level[0]])


def _frame(drawing: Drawing, panel: Panel, axes: Axes, x: Scale, y: Scale) -> None:
    ticks = y.ticks(6)
    for tick in ticks:
        drawing.line([(x.start, y(tick)), (x.end, y(tick))], "grid")
        drawing.text(x.start - 6, y(tick) + 4, tick_text(tick, ticks), anchor="end", colour="muted", size=11)
    for at, words in panel.names or _numbers(x, axes.whole):
        drawing.line([(x(at), y.start), (x(at), y.start + 4)], "muted")
        drawing.text(x(at), y.start + 16, shortened(words, 16), anchor="middle", colour="muted", size=11, told=words)
    drawing.line([(x.start, y.start), (x.end, y.start)], "muted")
    drawing.text((x.start + x.end) / 2, y.start + 33, axes.x, anchor="middle")
    drawing.text(x.start - LEFT, y.end - 11, axes.y, size=11, colour="muted")
    if axes.diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        if low < high:
            drawing.line([(x(low), y(low)), (x(high), y(high))], "muted", dash="4 3")
    if panel.level is not None:
        at, words = panel.level
        drawing.line([(x.start, y(at)), (x.end, y(at))], "muted", dash="4 3", width=1.3)
        drawing.text(x.end, y(at) - 4, words, anchor="end", colour="muted", size=11)


def _numbers(x: Scale, whole: bool) -> list[tuple[float, str]]:
    ticks = [tick for tick in x.ticks(6) if not whole or abs(tick - round(tick)) < 1e-9]
    return [(tick, tick_text(tick, ticks)) for tick in ticks]


def _way(drawing: Drawing, way: Way, look: Look, x: Scale, y: Scale) -> None:
    if way.joined and len(way.points) > 1:
        places = [(x(across), y(up)) for across, up in way.points]
        drawing.line(places, look.colour, width=way.width, dash=look.dash, fade=way.fade)
    for (across, _), ends in zip(way.points, way.spans, strict=False):
        if ends is not None:
            drawing.line([(x(across), y(ends[0])), (x(across), y(ends[1]))], look.colour, width=1.3, fade=0.7)
    for (_, up), ends in zip(way.points, way.across, strict=False):
        if ends is not None:
            drawing.line([(x(ends[0]), y(up)), (x(ends[1]), y(up))], look.colour, width=1.3, fade=0.7)
    if way.marked:
        for place, (across, up) in enumerate(way.points):
            told = way.told[place] if place < len(way.told) else ""
            drawing.mark(x(across), y(up), look, size=3.6, told=told, fade=way.fade)
            if place < len(way.names):
                beside = place < len(way.across) and way.across[place] is not None  # a bar lies to the right
                drawing.text(x(across) + 7, y(up) - (5 if beside else -4), way.names[place], bold=True)


def _legend_places(looks: Mapping[str, Look], width: float) -> list[tuple[str, float, float]]:
    """Where each series is named: as many lines as it takes."""
    found: list[tuple[str, float, float]] = []
    x = y = 0.0
    for name in looks if len(looks) > 1 else ():
        wide = 30 + LETTER * FONT * len(name) + 18
        if x and x + wide > width:
            x, y = 0.0, y + LEGEND
        found.append((name, x, y))
        x += wide
    return found


def _legend(drawing: Drawing, looks: Mapping[str, Look], places: Sequence[tuple[str, float, float]]) -> None:
    for name, x, y in places:
        look = looks[name]
        drawing.line([(x, y + 9), (x + 24, y + 9)], look.colour, width=1.7, dash=look.dash)
        drawing.mark(x + 12, y + 9, look, size=3.6)
        drawing.text(x + 30, y + 13, name)
