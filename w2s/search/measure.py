"""What a trial is judged by: one number from what its students told of held-out rows. Larger is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from cluster.errors import StageFailed
from cluster.store import Store
from w2s.recipe import Recipe
from w2s.search.config import Search
from w2s.stages import Model, knows_truth, reached

MARKS = ("agreement", "accuracy", "loss", "confidence", "misfit")
"""What a student tells at every evaluation; `accuracy` is against ground truth, and `oracle` alone looks at it."""

Point = Mapping[str, float]


@dataclass(frozen=True)
class Measure:
    """The objective of a search: a function of a student's marks, averaged over seeds.

    `misfit` is the gain that theory predicts less the supervisor's own error (Charikar et al. 2024; Mulgund & Pabbaraju
    2025): slope x KL(student || supervisor) - cross-entropy of the supervisor on held-out rows with truth, both in nats.
    """

    search: Search
    supervisor_ce: Mapping[int, float] = field(default_factory=dict)  # seed -> nats

    def score(self, seed: int, point: Point) -> float:
        """One seed's objective. Raises StageFailed where it was not measured."""
        name = "accuracy" if self.search.is_oracle else self.search.objective
        if name not in point:
            what = f"a result of an earlier version did not measure {name} on held-out rows"
            raise StageFailed("search.objective", what, "remove that result from the store, and run again")
        if self.search.objective != "misfit":
            return float(point[name])
        return self.search.misfit_slope * float(point[name]) - self.supervisor_ce.get(seed, 0.0)

    def mean(self, points: Mapping[int, Point]) -> float:
        """The objective over seeds."""
        return fmean(self.score(seed, point) for seed, point in points.items())


def supervisors(recipe: Recipe) -> dict[int, list[Model]]:
    """Seed -> the models trained on ground truth that the student's labels come from."""
    found: dict[int, list[Model]] = {}
    for seed, outcome in recipe.outcomes[recipe.method].items():
        below = [] if outcome.floor is None else reached(outcome.floor)
        found[seed] = [stage for stage in below if isinstance(stage, Model) and knows_truth(stage.labels)]
    return found


def supervisor_ce(recipe: Recipe, store: Store) -> dict[int, float]:
    """Seed -> the supervisors' mean cross-entropy on the held-out rows' truth; seeds whose labels were given have none.

    Raises StageFailed where a supervisor was not measured: one trial's number would not compare with another's.
    """
    found: dict[int, float] = {}
    for seed, models in supervisors(recipe).items():
        told = [store.receipt(model.key).metrics.get("val_loss") if store.has(model.key) else None for model in models]
        losses = [float(loss) for loss in told if loss is not None]
        if len(losses) < len(models):
            what = "misfit needs the supervisor's own error on held-out rows, and the store has none"
            raise StageFailed("search.objective", what, "remove the supervisor's result from the store, and run again")
        if losses:
            found[seed] = fmean(losses)
    return found


def averaged(points: Sequence[Point]) -> dict[str, float]:
    """Each mark's mean over seeds."""
    return {name: fmean(point[name] for point in points) for name in MARKS if all(name in point for point in points)}
