"""Reliability diagrams: how often each labeller is right, by how sure it is."""

# N rows, C classes

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from w2s.metrics import ECE_BINS, Floats, Ints
from w2s.report.page.chapter import Line
from w2s.report.page.figure import MOST_PANELS, SIDES, Figure, drawn_of, listed
from w2s.shown.panels import Axes, Panel, Way, panels

FEWEST = 10  # rows of a bin that is drawn

Bin = tuple[float, float, int]


def reliability(lines: Sequence[Line]) -> Figure | None:
    """Accuracy by confidence for floor, transfer and ceiling, the rows of all seeds together."""
    known = [(line, found) for line in lines if (found := _of(line))]
    if not known:
        return None
    drawn = [
        Panel(line.name, tuple(
            Way(side, tuple((sure, right) for sure, right, count in found if count >= FEWEST),
                told=tuple(f"{side}: {count} rows" for _, _, count in found if count >= FEWEST))
            for side, found in by_side.items()
        ))
        for line, by_side in known[:MOST_PANELS]
    ]  # fmt: skip
    rows = tuple(
        (line.name, side, f"{sure:.3f}", f"{right:.3f}", str(count))
        for line, by_side in known for side, found in by_side.items() for sure, right, count in found
    )  # fmt: skip
    told = (
        f"Rows of all seeds by the probability of the class they are given, in {ECE_BINS} bins; on the dashed line confidence is "
        f"accuracy, below it a labeller is too sure. Bins of fewer than {FEWEST} rows are in the table alone."
        f"{drawn_of(len(known), MOST_PANELS, 'methods')}"
    )
    alt = "Accuracy by confidence: " + listed(
        [f"{line.name}, {side} from {found[0][1]:.2f} at {found[0][0]:.2f} to {found[-1][1]:.2f} at {found[-1][0]:.2f}"
         for line, by_side in known for side, found in by_side.items()]
    )  # fmt: skip
    svg = panels("reliability", drawn, SIDES, Axes("confidence", "accuracy", diagonal=True), alt)
    return Figure(
        "reliability", "Reliability", svg, told, ("method", "labeller", "confidence", "accuracy", "rows"), rows
    )


def _of(line: Line) -> dict[str, list[Bin]]:
    if line.evidence is None:
        return {}
    truth_N = line.evidence.truth_N
    sides = {side: line.evidence.labellers.get(side) for side in SIDES}
    return {side: bins(list(by_seed.values()), truth_N) for side, by_seed in sides.items() if by_seed}


def bins(probs: Sequence[Floats], truth_N: Ints) -> list[Bin]:
    """Mean confidence, accuracy and number of rows of each bin that has any: the bins of the ECE (Guo et al. 2017)."""
    sure = np.concatenate([one_NC.max(axis=-1) for one_NC in probs])
    right = np.concatenate([one_NC.argmax(axis=-1) == truth_N for one_NC in probs])
    place = np.minimum((sure * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    return [
        (float(sure[place == b].mean()), float(right[place == b].mean()), int((place == b).sum()))
        for b in np.unique(place)
    ]
