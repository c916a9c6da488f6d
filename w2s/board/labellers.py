"""What floor, transfer and ceiling say of rows, in TensorBoard: precision and recall, calibration, histograms of probabilities."""

# N rows, C classes

from __future__ import annotations

from typing import Any

import numpy as np

from cluster import event_values
from w2s.board.scores import Line
from w2s.metrics import Floats, Ints
from w2s.recipe import Recipe
from w2s.report.page.calibrated import bins
from w2s.report.reading import Reader

Values = list[tuple[int, Any]]
EDGES = tuple(float(edge) for edge in np.linspace(0.0, 1.0, 41))
MOST_CLASSES = 8  # that have a precision-recall curve each


def labellers(line: Line, seed: int, recipe: Recipe, reader: Reader) -> Values:
    """What each side of one method and seed says, as far as it is known."""
    outcome, half = line.outcomes[seed], recipe.world(seed).part("strong")
    values: Values = []
    for side, grade in outcome.sides().items():
        if line.evidence is None:
            continue
        own = line.evidence.labellers.get(side, {}).get(seed)
        if own is not None:
            values += on_test(line, side, own, line.evidence.truth_N)
        known = reader.held_out(grade.labels.on(half), half)
        if known is not None:
            told = f"The probability that {side} gives, on {len(known[1])} rows of the strong half"
            values.append((0, _histogram(line.tag(f"strong_half/{side}"), known[0], told)))
    return values


def on_test(line: Line, side: str, probs_NC: Floats, truth_N: Ints) -> Values:
    """A labeller's test rows: against ground truth, as all that is measured on test rows."""
    rows = f"{side}; {len(truth_N)} test rows"
    values: Values = [(0, _histogram(line.tag(f"test/{side}"), probs_NC, f"The probability that is given: {rows}"))]
    binary = probs_NC.shape[1] == 2
    for one in [1] if binary else range(min(MOST_CLASSES, probs_NC.shape[1])):
        told = f"Precision and recall of class {one} by its probability: {rows}"
        tag = line.tag(f"test/{side}" if binary else f"test/{side}/class_{one}")
        score_N = np.clip(probs_NC[:, one], 0.0, 1.0)
        values.append((0, event_values.pr_curve(f"{tag}/precision_recall", truth_N == one, score_N, told)))
    told = (
        f"The share of right answers by how sure they are: {rows}. The step is a bin's mean confidence in percent; on the "
        "diagonal, value = step / 100."
    )
    for sure, right, _ in bins([probs_NC], truth_N):
        values.append((round(100 * sure), event_values.scalar(line.tag(f"calibration/{side}"), right, told)))
    return values


def _histogram(tag: str, probs_NC: Floats, told: str) -> Any:
    """Of class 1 where there are two; else of whichever class is most probable."""
    binary = probs_NC.shape[1] == 2
    what, shown_N = ("class_1", probs_NC[:, 1]) if binary else ("chosen_class", probs_NC.max(axis=-1))
    return event_values.histogram(
        f"{tag}/probability_of_{what}", np.clip(shown_N, 0.0, 1.0), EDGES, f"{told}; of {what}"
    )
