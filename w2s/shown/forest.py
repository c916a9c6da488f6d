"""A forest plot: a line a method, on it a mean of each series with its interval, and the numbers beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from w2s.shown.drawing import FONT, LETTER, Drawing, Look, Scale, folded, span, tick_text

WIDTH, LABEL, NUMBERS = 1060.0, 300.0, 170.0
LANE, GAP, HEAD, FOOT = 17.0, 11.0, 30.0, 42.0
LETTERS = 44  # of a label's line


@dataclass(frozen=True)
class Dot:
    """One mean and its interval: an end that is None is unbounded; without `words` nothing stands beside it."""

    series: str
    mean: float
    low: float | None
    high: float | None
    words: str = ""
    bare: bool = False  # no interval is known


@dataclass(frozen=True)
class Entry:
    """One line: its label, its dots, and what is said instead where there are none."""

    label: str
    dots: tuple[Dot, ...]
    instead: str = ""


@dataclass(frozen=True)
class Rule:
    """A vertical line with a name."""

    at: float
    words: str


def forest(
    name: str,
    entries: Sequence[Entry],
    looks: Mapping[str, Look],
    *,
    axis: str,
    alt: str,
    rules: Sequence[Rule] = (),
    within: tuple[float, float] | None = None,
    bars_from: float | None = None,
) -> str:
    """The plot as SVG. `within` bounds the axis: an interval that leaves it ends in an arrow. `bars_from`: bars from there."""
    lanes = [_lanes(entry) for entry in entries]
    heights = [
        max(LANE * len(series), 15.0 * len(_label(entry))) + GAP for entry, series in zip(entries, lanes, strict=True)
    ]
    bottom = HEAD + sum(heights)
    drawing = Drawing(name, WIDTH, bottom + FOOT, alt)
    scale = Scale(*_ends(entries, rules, within, bars_from), LABEL, WIDTH - NUMBERS)
    _axis(drawing, scale, bottom, axis, rules)
    if len(looks) > 1:
        _legend(drawing, looks, bars_from is not None)
    top = HEAD
    for place, (entry, series, height) in enumerate(zip(entries, lanes, heights, strict=True)):
        if place:
            drawing.line([(0, top), (WIDTH, top)], "grid")
        _entry(drawing, entry, series, looks, scale, top + GAP / 2, bars_from)
        top += height
    return drawing.text_out()


def _lanes(entry: Entry) -> list[str]:
    """The series of an entry, each of which has a lane."""
    return list(dict.fromkeys(dot.series for dot in entry.dots)) or [""]


def _label(entry: Entry) -> list[str]:
    return folded(entry.label, LETTERS, 4)


def _ends(
    entries: Sequence[Entry], rules: Sequence[Rule], within: tuple[float, float] | None, bars_from: float | None
) -> tuple[float, float]:
    dots = [dot for entry in entries for dot in entry.dots]
    found = [end for dot in dots for end in (dot.mean, dot.low, dot.high) if end is not None]
    found += [rule.at for rule in rules] + ([] if bars_from is None else [bars_from])
    low, high = span(found)
    if within is None:
        return low, high
    low, high = max(low, within[0]), min(high, within[1])
    return (low, high) if low < high else within


def _axis(drawing: Drawing, scale: Scale, bottom: float, words: str, rules: Sequence[Rule]) -> None:
    ticks = scale.ticks()
    for tick in ticks:
        drawing.line([(scale(tick), HEAD - 6), (scale(tick), bottom)], "grid")
        drawing.text(scale(tick), bottom + 15, tick_text(tick, ticks), anchor="middle", colour="muted")
    drawing.text((scale.start + scale.end) / 2, bottom + 33, words, anchor="middle")
    for rule in rules:
        if scale.holds(rule.at):
            drawing.line([(scale(rule.at), HEAD - 6), (scale(rule.at), bottom)], "muted", dash="4 3", width=1.3)
            drawing.text(scale(rule.at), HEAD - 11, rule.words, anchor="middle", colour="muted", size=11)


def _legend(drawing: Drawing, looks: Mapping[str, Look], has_bars: bool) -> None:
    """To the left, above the labels: rules have their names above the axis."""
    x = 0.0
    for name, look in looks.items():
        if has_bars:
            drawing.bar(x, 4, 13, 10, look)
        else:
            drawing.mark(x + 6, 9, look)
        drawing.text(x + 18, 13, name)
        x += 18 + LETTER * FONT * len(name) + 16


def _entry(
    drawing: Drawing, entry: Entry, lanes: Sequence[str], looks: Mapping[str, Look], scale: Scale, top: float,
    bars_from: float | None,
) -> None:  # fmt: skip
    for line, words in enumerate(_label(entry)):
        drawing.text(0, top + 12 + 15 * line, words, told=entry.label)
    if not entry.dots:
        drawing.text(LABEL + 4, top + 12, entry.instead, colour="muted")
    for lane, series in enumerate(lanes):
        y = top + LANE * lane + LANE / 2
        dots = [dot for dot in entry.dots if dot.series == series]
        for dot in dots:
            _dot(drawing, dot, looks[series], scale, y, bars_from)
        words = next((dot.words for dot in dots if dot.words), "")
        drawing.text(WIDTH, y + 4, words, anchor="end", size=11.5)


def _dot(drawing: Drawing, dot: Dot, look: Look, scale: Scale, y: float, bars_from: float | None) -> None:
    told = f"{dot.series}: {dot.words}" if dot.words else f"{dot.series}: {dot.mean:.3f}"
    if bars_from is not None:
        drawing.bar(scale(bars_from), y - 5, scale(dot.mean) - scale(bars_from), 10, look, told)
    if not dot.bare:
        _whisker(drawing, dot, scale, y, "ink" if bars_from is not None else look.colour)
    if bars_from is None and scale.holds(dot.mean):
        drawing.mark(scale(dot.mean), y, look, told=told)


def _whisker(drawing: Drawing, dot: Dot, scale: Scale, y: float, colour: str) -> None:
    low = scale.low - 1 if dot.low is None else dot.low
    high = scale.high + 1 if dot.high is None else dot.high
    left, right = scale(low), scale(high)
    drawing.line([(left, y), (right, y)], colour, width=1.6)
    for end, x, way in ((low, left, 1), (high, right, -1)):
        if scale.holds(end):
            drawing.line([(x, y - 3.5), (x, y + 3.5)], colour, width=1.6)
        else:  # it goes on beyond the axis
            drawing.line([(x + 5 * way, y - 4), (x, y), (x + 5 * way, y + 4)], colour, width=1.6)
