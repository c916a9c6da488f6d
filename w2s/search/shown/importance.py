"""Which searched field mattered: functional ANOVA over the finished trials (Hutter et al. 2014), by Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from w2s.search.shown.fields import Field
from w2s.search.shown.truth import number
from w2s.search.table import Row

FEWEST = 8  # finished trials: with fewer, a forest tells of noise
MOST = 300  # of them, evenly by number: the forest's time grows faster than they do, to ten seconds at 900


@dataclass(frozen=True)
class Importance:
    """Field -> its share of the objective's variance, the largest first; or why there is none. `left_out`: not in every trial."""

    shares: dict[str, float]
    trials: int = 0
    left_out: tuple[str, ...] = ()
    why: str = ""


def importance(fields: Sequence[Field], judged: Sequence[Row]) -> Importance:
    """Of finished trials, in any order."""
    ordered = sorted(judged, key=lambda row: row.number)
    rows = [ordered[place * len(ordered) // MOST] for place in range(MOST)] if len(ordered) > MOST else ordered
    whole = [field for field in fields if all(row.trial in field.values for row in rows)]
    usable = [field for field in whole if len({field.values[row.trial] for row in rows}) > 1]
    left_out = tuple(field.path for field in fields if field not in whole)
    if len(rows) < FEWEST:
        return Importance({}, len(rows), left_out, f"needs {FEWEST} finished trials, and there are {len(rows)}")
    if not usable:
        return Importance({}, len(rows), left_out, "no field varies over all finished trials")
    if len({number(row, "objective") for row in rows}) < 2:
        return Importance({}, len(rows), left_out, "the objective is the same in all finished trials")
    return Importance(_shares(usable, rows), len(rows), left_out)


def _shares(fields: Sequence[Field], rows: Sequence[Row]) -> dict[str, float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    distributions = {field.path: _distribution(optuna, field) for field in fields}
    for row in rows:
        params = {field.path: field.values[row.trial] for field in fields}
        value = number(row, "objective")
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {path: float(share) for path, share in found.items()}


def _distribution(optuna: Any, field: Field) -> Any:
    if field.kind != "number":
        return optuna.distributions.CategoricalDistribution(list(field.listed))
    return optuna.distributions.FloatDistribution(field.low, field.high, log=field.log and field.low > 0)
