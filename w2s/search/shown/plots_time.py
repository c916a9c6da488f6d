"""Plots over the course of a search: the best so far, learning curves by evaluation, a population's schedules; and the choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from w2s.search.population import ALPHA
from w2s.search.shown import svg
from w2s.search.shown.choice import Choice
from w2s.search.shown.descent import Takeover
from w2s.search.shown.picture import Picture, Plot, legend, points, ring, thinned, whole
from w2s.search.shown.truth import number
from w2s.search.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = 120


def best_so_far(picture: Picture) -> Plot | None:
    """The objective of every finished trial by its number, the best so far; below, apart, what the choice was worth then."""
    rows = sorted(picture.judged, key=lambda row: row.number)
    if not rows:
        return None
    graded = len(picture.graded) == len(rows)
    with svg.style():
        drawn = svg.figure(3.2 if not graded else 5.0)
        upper, *lower = drawn.subplots(1 + graded, 1, sharex=True, squeeze=False)[:, 0]
        numbers = [row.number for row in rows]
        leaders = _leaders(rows)
        points(upper, rows, numbers, [number(row, "objective") or 0.0 for row in rows], {}, picture.colour)
        upper.step(numbers, [number(row, "objective") or 0.0 for row in leaders], where="post", color=picture.colour,
                   label="best so far")  # fmt: skip
        upper.set_ylabel(picture.objective)
        legend(upper)
        for axes in lower:
            points(axes, rows, numbers, [number(row, "test_accuracy") or 0.0 for row in rows], {}, svg.ORACLE)
            axes.step(numbers, [number(row, "test_accuracy") or 0.0 for row in leaders], where="post", color=svg.ORACLE,
                      label="of the best so far by the objective")  # fmt: skip
            axes.set_ylabel("test accuracy (oracle)")
            legend(axes)
        last = lower[-1] if lower else upper
        last.set_xlabel("trial number")
        whole(last)
        alt = f"{picture.objective} of {len(rows)} finished trials by number, and the best so far; it ends at {_best(rows):.4f}."
        return Plot(svg.to_svg(drawn, "best", alt))


def _best(rows: Sequence[Row]) -> float:
    return max(number(row, "objective") or 0.0 for row in rows)


def _leaders(rows: Sequence[Row]) -> list[Row]:
    """At each trial, the best there was."""
    found: list[Row] = []
    for row in rows:
        better = not found or (number(row, "objective") or 0.0) > (number(found[-1], "objective") or 0.0)
        found.append(row if better else found[-1])
    return found


def learning_curves(picture: Picture) -> Plot | None:
    """The objective by evaluation: a line a trial, those that were stopped early ending in a cross."""
    others = [row for row in picture.ending.rows if row.status == "running"]
    rows = [
        row for row in (*picture.judged, *picture.stopped, *others) if len(_told(row)) > 1 or row.status == "stopped"
    ]
    told = [row for row in rows if _told(row)]
    rows = thinned(told, CURVES)
    if not rows:
        return None
    best = picture.ending.best
    with svg.style():
        drawn = svg.figure(3.8)
        axes = drawn.subplots()
        ends = []
        for row in rows:
            rungs, values = zip(*_told(row), strict=True)
            chosen = best is not None and row.trial == best.trial
            colour = picture.colour if row.status == "done" else svg.MUTED
            axes.plot(rungs, values, color=colour, alpha=1.0 if chosen else 0.4, linewidth=2.8 if chosen else 1.0,
                      zorder=4 if chosen else 2, label="chosen" if chosen else None)  # fmt: skip
            if row.status == "stopped":
                ends.append((rungs[-1], values[-1]))
        if ends:
            axes.scatter(
                [x for x, _ in ends],
                [y for _, y in ends],
                marker="x",
                s=34,
                color=svg.INK,
                zorder=5,
                label="stopped early",
            )
        axes.set_xlabel("evaluation")
        whole(axes)
        axes.set_ylabel(picture.objective)
        if axes.get_legend_handles_labels()[0]:
            legend(axes)
        alt = f"{picture.objective} by evaluation for {len(rows)} trials, of which {len(ends)} were stopped early."
        some = (
            f"{CURVES // 2} trials, the best first, and {CURVES // 2} of the others." if len(rows) < len(told) else ""
        )
        return Plot(svg.to_svg(drawn, "curves", alt), some)


def _told(row: Row) -> list[tuple[int, float]]:
    return [
        (rung, float(value))
        for rung, report in enumerate(row.reports, 1)
        if (value := report.get("objective")) is not None
    ]


def schedules(picture: Picture, taken: Sequence[Takeover]) -> Plot | None:
    """Of a population: alpha round by round, a line a member, the chosen one thick; rings where one took over."""
    rows = [row for row in picture.ending.rows if isinstance(row.overrides.get(ALPHA), list | tuple)]
    if not rows:
        return None
    ranked = [row.trial for row in picture.ending.judged]
    best = ranked[0] if ranked else None
    with svg.style():
        drawn = svg.figure(3.8)
        axes = drawn.subplots()
        for row in rows:
            alphas = [float(alpha) for alpha in row.overrides[ALPHA]]
            rank = ranked.index(row.trial) if row.trial in ranked else len(ranked)
            step = round((len(svg.RAMP) - 1) * (1 - rank / max(1, len(ranked) - 1))) if row.trial in ranked else 0
            chosen = row.trial == best
            axes.stairs(alphas, [place + 0.5 for place in range(len(alphas) + 1)], baseline=None, color=svg.RAMP[step],
                        linewidth=3.0 if chosen else 1.5, zorder=5 if chosen else 3, label="chosen" if chosen else None)  # fmt: skip
            axes.text(len(alphas) + 0.54, alphas[-1], str(row.number), fontsize=8.5, va="center")
        _rings(axes, rows, taken)
        axes.set_xlabel("round")
        whole(axes)
        axes.set_ylabel("alpha")
        if axes.get_legend_handles_labels()[0]:
            legend(axes)
        alt = f"Alpha by round for {len(rows)} members. " + "; ".join(take.told for take in taken)
        told = (
            "One line a member, its number at the end; the stronger the colour, the higher its rank by the objective."
        )
        return Plot(svg.to_svg(drawn, "schedules", alt), told)


def _rings(axes: Axes, rows: Sequence[Row], taken: Sequence[Takeover]) -> None:
    alphas = {row.number: row.overrides[ALPHA] for row in rows}
    told = "took over from another member"
    for take in taken:
        if take.round < len(alphas.get(take.member, ())):
            ring(axes, take.round + 0.5, float(alphas[take.member][take.round]), told, svg.MUTED)
            told = "_"  # one line in the legend


def against_truth(picture: Picture, choice: Choice) -> Plot:
    """Objective against test accuracy, a dot a trial; the chosen and the truly best one marked."""
    rows = picture.graded
    with svg.style():
        drawn = svg.figure(4.0, 6.0)
        axes = drawn.subplots()
        across = [number(row, "objective") or 0.0 for row in rows]
        points(
            axes, rows, across, [number(row, "test_accuracy") or 0.0 for row in rows], picture.truth_spread, svg.ORACLE
        )
        for row, label, colour in (
            (choice.chosen, "chosen", svg.INK),
            (choice.truly_best, "best by the truth", svg.THIRD),
        ):
            ring(axes, number(row, "objective") or 0.0, number(row, "test_accuracy") or 0.0, label, colour)
        axes.set_xlabel(picture.objective)
        axes.set_ylabel("test accuracy (oracle)")
        legend(axes)
        alt = f"Test accuracy against {picture.objective} for {len(rows)} finished trials; regret {choice.regret:.4f}."
        return Plot(svg.to_svg(drawn, "choice", alt))
