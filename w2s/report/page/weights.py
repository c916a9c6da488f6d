"""A figure of whom a student believed: the learned weight of each supervisor over training, and beside it how good that one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.store import Store
from w2s.losses.raven import WEIGHT
from w2s.metrics import Floats
from w2s.report.curves import students
from w2s.report.page.chapter import Chapter, Line, distinct
from w2s.report.page.course import LOOKS, thinned
from w2s.report.page.figure import MOST_PANELS, Figure, drawn_of, listed, number
from w2s.report.reading import Reader
from w2s.report.sheets import interval
from w2s.shown.drawing import Look
from w2s.shown.panels import Axes, Panel, Way, panels
from w2s.stages import Calibrated, Crowd, Model

STILL = 0.01  # weights that moved by less have not moved
MARKED = 25  # points of a line that has marks
MOST_SEEDS = 10  # thin lines of a supervisor
SHOWN = (*LOOKS, Look("ink", "ring", "1 3"), Look("muted", "circle", "12 3"))


@dataclass(frozen=True)
class Believed:
    """One method's weights: by seed the steps [T] and weights [T, M], and who the M supervisors are."""

    line: Line
    seeds: tuple[int, ...]
    steps: tuple[tuple[float, ...], ...]
    weights: tuple[Floats, ...]
    who: tuple[str, ...]

    @property
    def moved(self) -> float:
        """The farthest that any weight ever was from where it began."""
        return max(float(np.abs(way_TM - way_TM[0]).max()) for way_TM in self.weights)

    @property
    def even(self) -> bool:
        """Whether all began with the same weight."""
        return all(float(np.ptp(way_TM[0])) < 1e-9 for way_TM in self.weights)


def weights(told: Sequence[Chapter], store: Store) -> Figure | None:
    """The weight of each supervisor against the step: the mean over seeds, and every seed thin. None where nobody learned any."""
    reader = Reader(store)
    found = [one for line in distinct(told) if (one := _believed(line, reader)) is not None]
    if not found:
        return None
    rows = tuple(row for one in found for row in _rows(one))
    most = max(len(one.who) for one in found)
    looks = {f"member {place}": look for place, look in zip(range(most), SHOWN, strict=False)}
    words = (
        "Thick: the mean over seeds; thin: a seed. The dashed line is an even share. Weights are learned without ground truth; "
        "accuracies on the test rows, below, are for the record."
        + drawn_of(len(found), MOST_PANELS, "methods")
        + ("" if most <= len(SHOWN) else f" Drawn are the first {len(SHOWN)} of {most} supervisors; the table has all.")
        + "".join(f" {words}" for one in found if (words := _still(one)))
    )
    alt = "Weights of supervisors: " + listed(
        [f"{name}, {who}: from {first} to {last}" for name, who, first, last, _, _ in rows], most=12
    )
    axes = Axes("step", "weight", x_ends=(0.0, max(steps[-1] for one in found for steps in one.steps) * 1.06 or 1.0),
                y_ends=(0.0, 1.0), whole=True)  # fmt: skip
    svg = panels("weights", [_panel(one) for one in found[:MOST_PANELS]], looks, axes, alt)
    head = ("method", "supervisor", "weight at first", "at last", "at last by seed", "test accuracy (truth)")
    return Figure("weights", "Weight of each supervisor over training", svg, words, head, thinned(rows))


def _still(one: Believed) -> str:
    """A sentence about weights that are where they began; "" where they moved."""
    if one.moved >= STILL:
        return ""
    what = "the mean ensemble" if one.even else "the ensemble it began as"
    return f"{one.line.name} has not moved: it is {what}."


def _believed(line: Line, reader: Reader) -> Believed | None:
    """The weights that a method's students learned, of seeds that are there; of crowds of one there is nothing to tell."""
    seeds, steps, ways, crowd = [], [], [], None
    for seed, outcome in line.outcomes.items():
        model = next((model for name, model in students(outcome) if name == "transfer"), None)
        points = [] if model is None else [point for point in reader.course(model) if WEIGHT in point]
        if not points or len(points[0][WEIGHT]) < 2:
            continue
        crowd = crowd or _names(model)
        seeds.append(seed)
        steps.append(tuple(float(point["step"]) for point in points))
        ways.append(np.array([point[WEIGHT] for point in points], dtype=np.float64))
    if not ways:
        return None
    who = crowd or tuple("" for _ in range(ways[0].shape[1]))
    return Believed(line, tuple(seeds), tuple(steps), tuple(ways), who)


def _names(model: Model | None) -> tuple[str, ...]:
    """Whose labels a crowd's are; nothing where all are called alike."""
    if model is None or not isinstance(model.labels, Crowd):
        return ()
    plain = [one.labels if isinstance(one, Calibrated) else one for one in model.labels.labels]
    names = tuple(one.origin for one in plain)
    return names if len(set(names)) > 1 else tuple("" for _ in names)


def _rows(one: Believed) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for place, who in enumerate(one.who):
        name = f"member {place}"
        first, last = ([float(way_TM[at, place]) for way_TM in one.weights] for at in (0, -1))
        by_seed = ", ".join(number(value) for value in last[:MOST_SEEDS]) + (", ..." if len(last) > MOST_SEEDS else "")
        found.append(
            (one.line.name, f"{name} ({who})" if who else name, number(float(np.mean(first))), number(float(np.mean(last))),
             by_seed, interval(one.line.row.member_means.get(name)))
        )  # fmt: skip
    return found


def _panel(one: Believed) -> Panel:
    ways: list[Way] = []
    together = len(set(one.steps)) == 1  # else there is no mean of them
    many = len(one.weights) > 1
    for place in range(min(len(one.who), len(SHOWN))):
        name = f"member {place}"
        for seed, steps, way_TM in list(zip(one.seeds, one.steps, one.weights, strict=True))[:MOST_SEEDS]:
            if many or not together:
                told = tuple(f"{name}, seed {seed}" for _ in steps)
                points = tuple(zip(steps, way_TM[:, place].tolist(), strict=True))
                ways.append(Way(name, points, marked=False, told=told, fade=0.5, width=0.8))
        if together:
            mean_T = np.mean([way_TM[:, place] for way_TM in one.weights], axis=0)
            points = tuple(zip(one.steps[0], mean_T.tolist(), strict=True))
            told = tuple(f"{name}, step {step:.0f}: {value:.3f}" for step, value in points)
            ways.append(Way(name, points, marked=len(points) <= MARKED, told=told, width=2.0))
    return Panel(one.line.name, tuple(ways), (1 / len(one.who), ""))
