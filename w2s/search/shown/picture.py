"""What a page's plots are made from: one search, its columns, and how far its seeds lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.store import Store
from w2s.search.ending import Ending
from w2s.search.shown import svg
from w2s.search.shown.fields import Field, fields_of, short
from w2s.search.shown.truth import Truth, by_seed, number, truth_of
from w2s.search.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = 1_500  # trials in a plot at most: the best, and every so many of the others
SPREAD = 300  # trials whose seeds are looked up
TICK_LENGTH = 18
FEW = 8  # choices that have a tick each
# the mark of a student's receipt that one seed's objective is; a predicted gain is none of them
OWN_MARK = {"agreement": "val_agreement", "confidence": "val_confidence", "oracle": "val_accuracy"}

Spreads = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Plot:
    """A drawn figure; `told` is shown below it."""

    svg: str
    told: str = ""
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """A search as its plots see it. Spreads: trial -> the lowest and the highest of its seeds."""

    ending: Ending
    fields: tuple[Field, ...]
    truth: Truth
    judged: tuple[Row, ...]
    stopped: tuple[Row, ...]
    objective_spread: Spreads
    truth_spread: Spreads

    @classmethod
    def of(cls, ending: Ending, store: Store) -> Picture:
        """Reads the table's rows and the store's receipts. Reads only."""
        judged = thinned(ending.judged)
        stopped = [row for row in ending.rows if row.status == "stopped" and number(row, "objective") is not None]
        own = OWN_MARK.get(ending.searched.search.objective)
        return cls(
            ending, tuple(fields_of(ending.searched, ending.rows)), truth_of(ending.searched, store), tuple(judged),
            tuple(thinned(stopped)), _spreads(judged, "student", own, store) if own else {},
            _spreads(judged, "transfer", "accuracy", store),
        )  # fmt: skip

    @property
    def is_oracle(self) -> bool:
        return self.ending.searched.search.is_oracle

    @property
    def breeds(self) -> bool:
        """Whether trials are members of a population, and alpha changes while they train."""
        return self.ending.searched.search.algorithm == "pbt"

    @property
    def objective(self) -> str:
        """The objective on an axis; marked where it is ground truth."""
        if self.is_oracle:
            return "held-out accuracy (oracle)"
        return {"misfit": "predicted gain (misfit)"}.get(
            self.ending.searched.search.objective, self.ending.searched.search.objective
        )

    @property
    def colour(self) -> str:
        """Of the objective."""
        return svg.ORACLE if self.is_oracle else svg.HONEST

    @property
    def graded(self) -> list[Row]:
        """Finished trials whose test accuracy is known."""
        return [row for row in self.judged if number(row, "test_accuracy") is not None]


def thinned(rows: Sequence[Row], most: int = DRAWN) -> list[Row]:
    """At most so many rows: the first half of that, and the rest evenly from what comes after."""
    if len(rows) <= most:
        return list(rows)
    first, others = list(rows[: most // 2]), rows[most // 2 :]
    step = len(others) / (most - len(first))
    return first + [others[int(place * step)] for place in range(most - len(first))]


def _spreads(rows: Sequence[Row], role: str, name: str, store: Store) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for row in rows[:SPREAD]:
        values = by_seed(row, role, name, store)
        if len(values) > 1:
            found[row.trial] = (min(values), max(values))
    return found


def points(
    axes: Axes, rows: Sequence[Row], across: Sequence[float], up: Sequence[float], spread: Spreads, colour: str
) -> None:
    """Trials as dots, with a bar from the lowest to the highest seed where it is known."""
    axes.scatter(across, up, s=22, color=colour, alpha=0.75, linewidths=0, zorder=3)
    barred = [(x, spread[row.trial]) for row, x in zip(rows, across, strict=True) if row.trial in spread]
    if barred:
        axes.vlines([x for x, _ in barred], [low for _, (low, _) in barred], [high for _, (_, high) in barred],
                    colors=colour, alpha=0.35, linewidth=1.2, zorder=2)  # fmt: skip


def crosses(axes: Axes, across: Sequence[float], up: Sequence[float]) -> None:
    """Trials that were stopped early, at what they told last."""
    if across:
        axes.scatter(across, up, s=22, color=svg.MUTED, marker="x", linewidths=1.2, zorder=3, label="stopped early")


def ring(axes: Axes, x: float, y: float, label: str, colour: str = svg.INK) -> None:
    """A ring around a point that is spoken of."""
    axes.scatter([x], [y], s=110, facecolors="none", edgecolors=colour, linewidths=1.6, zorder=5, label=label)


def legend(axes: Axes) -> None:
    """A legend above the axes, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:  # without any, a legend is a warning
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1, handletextpad=0.3)


def whole(axes: Axes) -> None:
    """Whole numbers alone along the x axis."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def field_axis(axes: Axes, field: Field) -> None:
    """The x axis of a searched field."""
    axes.set_xlabel(field.path)
    if field.kind == "number":
        if field.listed and len(field.listed) <= FEW:
            axes.set_xticks([field.place(value) for value in field.listed])
        elif field.whole:
            whole(axes)
        if field.log and field.low > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # the usual one writes formulas
            axes.xaxis.set_minor_formatter(lambda value, _: "")
        return
    axes.set_xticks(range(len(field.listed)), [short(_tick(value), TICK_LENGTH) for value in field.listed])
    axes.set_xlim(-0.5, len(field.listed) - 0.5)
    if len(field.listed) > 4:
        axes.tick_params(axis="x", rotation=30)


def _tick(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
