"""Plots by searched field: each against objective and truth, all of them side by side, and which mattered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from w2s.search.shown import svg
from w2s.search.shown.fields import Field, short
from w2s.search.shown.importance import Importance
from w2s.search.shown.picture import FEW, Picture, Plot, crosses, field_axis, legend, points, ring, thinned
from w2s.search.shown.truth import number
from w2s.search.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_FIELDS = 24
AXES = 10  # side by side: more cannot be read
LINES = 200
MANY, BESIDE, GOLDEN = 20, 0.2, 0.618034  # so many trials stand beside a value, in that share of the way to the next
NEAR = 0.03  # of an axis: where words stand beside it


def by_field(picture: Picture) -> list[Plot]:
    """One plot a field that varies: on the left the objective, on the right, apart, ground truth."""
    varied = [field for field in picture.fields if field.varies][:MOST_FIELDS]
    if picture.breeds:  # round by round, schedules tell more
        varied = varied[-1:]
    return [_one_field(picture, field, f"field{place}") for place, field in enumerate(varied)]


def _one_field(picture: Picture, field: Field, name: str) -> Plot:
    judged = [row for row in picture.judged if row.trial in field.values]
    graded = [row for row in picture.graded if row.trial in field.values]
    with svg.style():
        drawn = svg.figure(3.5)
        left, right = drawn.subplots(1, 2, sharex=True)
        _against_objective(left, picture, field, judged)
        if graded:
            _against_truth(right, picture, field, graded)
        else:
            right.set_axis_off()
            right.text(0.5, 0.5, "no trial has been graded on test rows", ha="center", transform=right.transAxes)
        alt = (
            f"Scatter of {picture.objective} (left) and of test accuracy, known by ground truth (right), over {field.path}, "
            f"for {len(judged)} finished trials."
        )
        return Plot(svg.to_svg(drawn, name, alt), title=field.path)


def _against_objective(axes: Axes, picture: Picture, field: Field, judged: Sequence[Row]) -> None:
    field_axis(axes, field)
    axes.set_ylabel(picture.objective)
    points(axes, judged, _beside(field, judged), _up(judged, "objective"), picture.objective_spread, picture.colour)
    stopped = [row for row in picture.stopped if row.trial in field.values]
    crosses(axes, _beside(field, stopped), _up(stopped, "objective"))
    best = picture.ending.best
    if best is not None and best.trial in field.values:
        ring(axes, _beside(field, [*judged, best])[-1], number(best, "objective") or 0.0, "chosen")
        legend(axes)


def _against_truth(axes: Axes, picture: Picture, field: Field, graded: Sequence[Row]) -> None:
    field_axis(axes, field)
    axes.set_ylabel("test accuracy (oracle)")
    points(axes, graded, _beside(field, graded), _up(graded, "test_accuracy"), picture.truth_spread, svg.ORACLE)
    gap = picture.truth.gap
    if gap is not None:
        axes.axhline(gap.floor, color=svg.MUTED, linewidth=1, linestyle=":", label="floor")
        axes.axhline(gap.ceiling, color=svg.MUTED, linewidth=1, linestyle="--", label="ceiling")
        both: Any = (gap.pgr, gap.accuracy)  # arrays come in, which these take as well
        other = axes.secondary_yaxis("right", functions=both)
        other.set_ylabel("PGR (oracle)")
    best = picture.ending.best
    if best is not None and best.trial in field.values and number(best, "test_accuracy") is not None:
        ring(axes, _beside(field, [*graded, best])[-1], number(best, "test_accuracy") or 0.0, "chosen")
    legend(axes)


def _across(field: Field, rows: Sequence[Row]) -> list[float]:
    return [field.place(field.values[row.trial]) for row in rows]


def _beside(field: Field, rows: Sequence[Row]) -> list[float]:
    """Where trials stand across: of many with the same value each has a place of its own beside it."""
    places = sorted({field.place(value) for value in field.values.values()})
    if len(rows) < MANY or len(places) > FEW or (field.log and field.kind == "number"):
        return _across(field, rows)
    width = BESIDE * min((after - before for before, after in pairwise(places)), default=1.0)
    return [
        place + width * (row.number * GOLDEN % 1 - 0.5) for row, place in zip(rows, _across(field, rows), strict=True)
    ]


def _up(rows: Sequence[Row], name: str) -> list[float]:
    return [number(row, name) or 0.0 for row in rows]


# ---- all fields side by side


def parallel(picture: Picture) -> Plot | None:
    """A line a trial through all fields to the objective, the best on top."""
    fields = [field for field in picture.fields if field.varies][:AXES]
    whole = [row for row in picture.judged if all(row.trial in field.values for field in fields)]
    rows = thinned(whole, LINES)
    if not fields or len(rows) < 2 or picture.breeds:
        return None
    with svg.style():
        drawn = svg.figure(4.0)
        axes = drawn.subplots()
        axes.set_axis_off()
        heights = [_heights(field, rows) for field in fields] + [_scaled(_up(rows, "objective"))]
        for rank, row_heights in reversed(list(enumerate(zip(*heights, strict=True)))):
            step = _step(rank, len(rows))
            best = rank == 0
            if best:  # a rim keeps it apart from the lines around it
                axes.plot(range(len(heights)), row_heights, color=svg.PAPER, linewidth=6.0, zorder=10)
            axes.plot(
                range(len(heights)), row_heights, color=picture.colour if best else svg.RAMP[step],
                linewidth=3.0 if best else 0.9, alpha=1.0 if best else 0.7, zorder=11 if best else 2 + step,
            )  # fmt: skip
        for place, field in enumerate(fields):
            _stand(axes, place, field.path, _marks(field, rows))
        _stand(axes, len(fields), picture.objective, _ends(_up(rows, "objective")))
        axes.set_xlim(-0.3, len(fields) + 0.45)
        alt = f"Parallel coordinates of {len(rows)} finished trials over {len(fields)} fields and {picture.objective}."
        told = "One line a finished trial; the stronger its colour, the higher its rank by the objective; the thick one is chosen."
        if len(rows) < len(whole):
            told += f" The best {LINES // 2} trials, and {LINES // 2} of the others, evenly by rank."
        if sum(field.varies for field in picture.fields) > AXES:
            told += f" The first {AXES} fields that vary."
        return Plot(svg.to_svg(drawn, "parallel", alt), told)


def _step(rank: int, count: int) -> int:
    """The colour of a rank: 0 is the best."""
    return len(svg.RAMP) - 1 - min(len(svg.RAMP) - 1, rank * len(svg.RAMP) // max(1, count))


def _heights(field: Field, rows: Sequence[Row]) -> list[float]:
    values = _across(field, rows)
    if field.kind != "number":
        top = max(1, len(field.listed) - 1)
        return [value / top for value in values]
    return _scaled(values, log=field.log and field.low > 0)


def _scaled(values: Sequence[float], *, log: bool = False) -> list[float]:
    plain = [math.log(value) for value in values] if log else list(values)
    low, high = min(plain), max(plain)
    return [(value - low) / (high - low) if high > low else 0.5 for value in plain]


def _marks(field: Field, rows: Sequence[Row]) -> list[tuple[float, str]]:
    if field.kind == "number":
        return _ends(_across(field, rows))
    top = max(1, len(field.listed) - 1)
    shown = {field.values[row.trial] for row in rows}
    return [(i / top, short(str(value), 16)) for i, value in enumerate(field.listed) if value in shown]


def _ends(values: Sequence[float]) -> list[tuple[float, str]]:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return [(0.5, low)] if min(values) == max(values) else [(0.0, low), (1.0, high)]


def _stand(axes: Axes, place: int, title: str, marks: Sequence[tuple[float, str]]) -> None:
    axes.vlines([place], 0, 1, colors=svg.MUTED, linewidth=1, zorder=12)
    axes.text(place, 1.09, short(title, 28), ha="center", va="bottom", fontweight="bold", zorder=12)
    behind: Any = {"facecolor": svg.PAPER, "edgecolor": "none", "pad": 1.0, "alpha": 0.85}
    for height, label in marks:
        axes.text(place + NEAR, height, label, ha="left", va="center", fontsize=8.5, zorder=13, bbox=behind)


def importances(picture: Picture, found: Importance) -> Plot | None:
    """Bars, the most important field on top."""
    if not found.shares:
        return None
    names = list(reversed(found.shares))
    with svg.style():
        drawn = svg.figure(0.9 + 0.32 * len(names))
        axes = drawn.subplots()
        axes.barh([short(name, 40) for name in names], [found.shares[name] for name in names], color=picture.colour)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"share of the variance of {picture.objective}")
        axes.grid(visible=False, axis="y")
        alt = "Importance of fields: " + ", ".join(f"{name} {share:.2f}" for name, share in found.shares.items())
        left = f" Not in every trial, so left out: {', '.join(found.left_out)}." if found.left_out else ""
        told = f"Functional ANOVA with a random forest over {found.trials} finished trials (Optuna).{left}"
        return Plot(svg.to_svg(drawn, "importance", alt), told)
