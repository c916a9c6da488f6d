"""The figure of misfits: what each student gained over its supervisor against how far it is from it."""

from __future__ import annotations

from collections.abc import Sequence

from w2s.metrics import Interval
from w2s.report.misfit import Foretold, Truth
from w2s.report.misfit_sheets import SIGNAL
from w2s.report.page.chapter import Line
from w2s.report.page.figure import MOST_DRAWN, Figure, drawn_of, listed, number
from w2s.report.sheets import interval
from w2s.shown.drawing import Look, span
from w2s.shown.panels import Axes, Panel, Way, panels

LOOKS = {"method": Look("honest", "circle"), "candidate": Look("third", "square")}
Known = tuple[str, Foretold, Interval, Truth]


def misfit(lines: Sequence[Line]) -> Figure | None:
    """Each student's gain over its supervisor against its distance from it; candidates that were chosen among as well."""
    choosers = [line for line in lines if any(one.group for one in line.foretold)]
    known = [one for line in lines for one in _known(line, alone=len(choosers) == 1)]
    if not known:
        return None
    drawn = known[:MOST_DRAWN]
    rows = tuple(
        (str(place), name, interval(across, 4), interval(truth.gain, 4), number(pair.temperature, 2))
        for place, (name, pair, across, truth) in enumerate(known, 1)
    )
    told = (
        "Numbered as in the table. Across: KL(student, supervisor) in nats on the test rows, the reverse misfit, which needs no "
        "truth; up: the supervisor's cross-entropy there less the student's. Supervisors are at the temperature fitted on held-out "
        "rows (-: as they are). On the dashed line the gain is the misfit, which theory gives as the least gain where the student "
        "minimises that misfit over a convex class that holds the truth (Charikar et al. 2024; Mulgund and Pabbaraju 2025). "
        f"{SIGNAL} Lines: bootstrap intervals over rows and seeds.{drawn_of(len(known), MOST_DRAWN, 'pairs')}"
    )
    alt = "Misfit and gain by method: " + listed(
        [f"{name}: misfit {across}, gain {up}" for _, name, across, up, _ in rows]
    )
    ways = tuple(way for series in LOOKS if (way := _way(series, drawn)).points)
    looks = {way.series: LOOKS[way.series] for way in ways}
    x_ends = (0.0, span([end for _, _, across, _ in drawn for end in _ends(across)] or [1.0])[1])
    axes = Axes("misfit: KL(student, supervisor)", "gain in cross-entropy", x_ends=x_ends, diagonal=True)
    svg = panels("misfit", [Panel("", ways)], looks, axes, alt, height=260)
    head = ("", "method", "misfit KL(s, w)", "gain in cross-entropy", "temperature")
    return Figure("misfit", "Misfit against gain", svg, told, head, rows)


def _known(line: Line, *, alone: bool) -> list[Known]:
    """A line's pairs; `alone`: no other method has candidates, so that theirs need no method's name."""
    candidate = "candidate" if alone else line.name
    return [
        (f"{candidate} {one.name}" if one.group else line.name, one, one.misfit, one.truth)
        for one in line.foretold
        if one.misfit is not None and one.truth is not None
    ]


def _way(series: str, known: Sequence[Known]) -> Way:
    own = [(place, one) for place, one in enumerate(known, 1) if bool(one[1].group) == (series == "candidate")]
    return Way(
        series,
        tuple((across.mean, truth.gain.mean) for _, (_, _, across, truth) in own),
        joined=False,
        spans=tuple(_ends(truth.gain) for _, (_, _, _, truth) in own),
        across=tuple(_ends(across) for _, (_, _, across, _) in own),
        told=tuple(name for _, (name, *_) in own),
        names=tuple(_number(place, known) for place, _ in own),
    )


def _number(place: int, known: Sequence[Known]) -> str:
    """The numbers of all pairs at this one's point, at the first of them."""
    points = [(across.mean, truth.gain.mean) for _, _, across, truth in known]
    there = [at for at, point in enumerate(points, 1) if point == points[place - 1]]
    return ", ".join(map(str, there)) if there[0] == place else ""


def _ends(value: Interval) -> tuple[float, float]:
    return (
        value.mean if value.low is None else value.low,
        value.mean if value.high is None else value.high,
    )
