"""What a search has cost, and what it saved: by sharing stages between trials, and by stopping poor ones early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from cluster.errors import Problem
from cluster.store import Store
from w2s.search.ending import Ending
from w2s.search.shown.truth import number
from w2s.search.table import Row
from w2s.search.trials import Trial, students, trial_recipe
from w2s.shown.ledger import Ledger
from w2s.stages import walk

PLANNED = 200  # trials without a finished student whose stages are worked out anew: some milliseconds each


@dataclass(frozen=True)
class Cost:
    """Seconds of work, as receipts tell them. `apart_s`: if every trial had run all it needs by itself."""

    stages: int
    spent_s: float
    apart_s: float
    trials: int
    stopped: int
    share_left: float
    stopping_saved_s: float | None

    @property
    def sharing_saved_s(self) -> float:
        return self.apart_s - self.spent_s


def cost_of(ending: Ending, store: Store) -> Cost:
    """From the receipts of what trials need. Reads only."""
    ledger = Ledger(store)
    owners = [ledger.below(stage.key for stage in ending.searched.base_recipe.goals())]
    owners += [ledger.below(keys) for keys in _needs(ending, store)]
    every = {key for owner in owners for key in owner}
    stopped = [row for row in ending.rows if row.status == "stopped"]
    left = [1.0 - min(1.0, number(row, "share") or 0.0) for row in stopped]
    whole = [row.seconds for row in ending.rows if row.status == "done" and row.seconds > 0]
    return Cost(
        len(every), sum(map(ledger.seconds, every)), sum(ledger.seconds(key) for owner in owners for key in owner),
        len(owners) - 1, len(stopped), sum(left), sum(left) * fmean(whole) if whole else None,
    )  # fmt: skip


def _needs(ending: Ending, store: Store) -> list[Sequence[str]]:
    """Of every trial, the finished stages it needs that others hang on."""
    found: list[Sequence[str]] = []
    planned = 0
    for row in ending.rows:
        keys = [key for role in ("transfer", "student") for key in row.keys.get(role, ())]
        there = [key for key in keys if store.has(key)]
        if len(there) < len(keys) and planned < PLANNED and ending.searched.search.algorithm != "pbt":
            planned += 1
            there += _upstream(ending, row)
        found.append(there)
    return found


def _upstream(ending: Ending, row: Row) -> list[str]:
    """What the students of a trial that has not finished are made from."""
    try:
        recipe = trial_recipe(ending.searched, Trial(row.overrides))
        own = students(recipe).values()
        return [stage.key for student in own for stage in walk(student).values() if stage is not student]
    except Problem:  # of a space that was another then
        return []
