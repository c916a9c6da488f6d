"""Figures of one method and seed as PNG: how labellers confuse classes, and how often they are right when they are sure."""

# N rows, C classes

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cluster import event_values
from w2s.metrics import Floats, Ints
from w2s.report.page.calibrated import bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NUMBERS = 10  # classes of a matrix that has its counts written in it
LOOKS = {"floor": ("#00805c", "s", ":"), "transfer": ("#0072b2", "o", "-"), "ceiling": ("#c2510a", "D", "--")}
"""Colour, mark and line of each side, told apart without colours too (Okabe and Ito's palette, darker)."""
DPI = 100


def pictures(tag: str, probs: Mapping[str, Floats], truth_N: Ints, who: str) -> list[Any]:
    """Summary values, below a tag, for the labellers there are: side -> class probabilities on the test rows.

    A picture a labeller: TensorBoard shows them small. `who` goes into the descriptions.
    """
    rows = f"{who}; {len(truth_N)} test rows"
    found = [
        _png(f"{tag}/confusion_{side}", confusion(side, probs_NC, truth_N), f"Rows by true and predicted class: {rows}")
        for side, probs_NC in probs.items()
    ]
    told = f"Accuracy by confidence in bins of equal width, larger marks for more rows: {rows}"
    return [*found, _png(f"{tag}/reliability", reliability(probs, truth_N), told)]


def counts(probs_NC: Floats, truth_N: Ints) -> NDArray[np.int64]:
    """[C, C]: rows of each true class (first) that were given each class (second)."""
    classes = probs_NC.shape[1]
    found = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(found, (truth_N, probs_NC.argmax(axis=-1)), 1)
    return found


def confusion(side: str, probs_NC: Floats, truth_N: Ints) -> Figure:
    """A labeller's matrix; shades are shares of a true class, numbers are rows."""
    figure = _figure(3.4, 3.4)
    axes = figure.add_subplot()
    found = counts(probs_NC, truth_N)
    shares = found / np.maximum(found.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    right = float((probs_NC.argmax(axis=-1) == truth_N).mean())
    axes.set_title(f"{side}: accuracy {right:.3f}, n = {len(truth_N)}", fontsize=11)
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(found) <= MOST_NUMBERS:
        axes.set_xticks(range(len(found)))
        axes.set_yticks(range(len(found)))
        size = 14 if len(found) < 4 else 8
        for (row, column), count in np.ndenumerate(found):
            ink = "white" if shares[row, column] > 0.5 else "black"
            words = f"{count}\n{shares[row, column]:.0%}"
            axes.text(column, row, words, ha="center", va="center", color=ink, fontsize=size)
    return figure


def reliability(probs: Mapping[str, Floats], truth_N: Ints) -> Figure:
    """Accuracy by confidence of each labeller; a mark's size says how many rows its bin has."""
    figure = _figure(4.2, 3.6)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#777777", linewidth=1, label="as sure as right")
    for side, probs_NC in probs.items():
        colour, mark, line = LOOKS[side]
        sure, right, rows = zip(*bins([probs_NC], truth_N), strict=True)
        axes.plot(sure, right, color=colour, linestyle=line, linewidth=1.6, marker=mark, markersize=4, label=side)
        axes.scatter(
            sure, right, s=[8 + 200 * count / len(truth_N) for count in rows], color=colour, marker=mark, alpha=0.35
        )
    axes.set_title(f"n = {len(truth_N)}", fontsize=11)
    axes.set(xlabel="confidence (probability of the predicted class)", ylabel="accuracy", ylim=(-0.02, 1.02))
    axes.set_xlim(1 / max(one.shape[1] for one in probs.values()) - 0.02, 1.02)
    axes.legend(frameon=False, loc="lower right")
    return figure


def _figure(width: float, height: float) -> Figure:
    """Empty, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _png(tag: str, figure: Figure, told: str) -> Any:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    width, height = (round(side * DPI) for side in figure.get_size_inches())
    return event_values.image(tag, out.getvalue(), width, height, told)
