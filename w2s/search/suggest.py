"""Optuna as a source of trials: it learns from those before, over spaces whose size depends on what is drawn."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from w2s.search.domains import Choice, Domain
from w2s.search.drive import Book
from w2s.search.searched import Searched
from w2s.search.trials import Trial, trial_recipe

REDRAWN = 100  # draws that were there before, in a row: the space is used up


class OptunaSuggester:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), seeded; what the table knows is told to it first."""

    def __init__(self, searched: Searched, book: Book, *, first: Iterable[str] = ()) -> None:
        """`first`: trials of the book that come before any new one."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._searched, self._book = optuna, searched, book
        # the number of what is known makes a search that goes on draw anew, and still alike each time
        sampler = optuna.samplers.TPESampler(seed=searched.search.seed + len(book.rows), constant_liar=True)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._open: dict[str, Any] = {}
        self._first = list(first)
        self._learned: set[str] = set()
        for row in book.rows.values():
            objective = row.metrics.get("objective")
            if row.status in ("done", "stopped") and isinstance(objective, int | float) and math.isfinite(objective):
                self._learn(book.trials[row.trial], float(objective))

    def suggest(self) -> str | None:
        """A trial's key, entered into the book. None where nothing new is left to draw."""
        if self._first:
            return self._first.pop(0)
        for _ in range(REDRAWN):
            asked = self._study.ask()
            trial = Trial(self._searched.assign(lambda path, domain, asked=asked: _drawn(asked, path, domain)))  # type: ignore[misc]
            if trial.key in self._book.trials:
                self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
                continue
            trial_recipe(self._searched, trial)  # raises before anything is begun
            self._book.add(trial)
            self._open[trial.key] = asked
            return trial.key
        return None

    def tell(self, trial: str, objective: float | None) -> None:
        asked = self._open.pop(trial, None)
        if asked is None:  # not drawn here: of the past, where it may not have come to its end
            if trial not in self._learned and objective is not None and math.isfinite(objective):
                self._learn(self._book.trials[trial], objective)
        elif objective is None or not math.isfinite(objective):
            self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(asked, objective)

    def _learn(self, trial: Trial, objective: float) -> None:
        """Tell the study of a trial that it did not draw itself."""
        self._learned.add(trial.key)
        params, distributions = {}, {}

        def draw(path: str, domain: Domain) -> Any:
            value = trial.overrides[path]
            params[path] = _shown(value) if isinstance(domain, Choice) else value
            distributions[path] = _distribution(self._optuna, domain)
            return value

        try:
            self._searched.assign(draw)
            made = self._optuna.trial.create_trial(params=params, distributions=distributions, value=objective)
        except (KeyError, ValueError):  # of a space that was another then
            return
        self._study.add_trial(made)


def _drawn(asked: Any, path: str, domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return json.loads(asked.suggest_categorical(path, [_shown(value) for value in domain.choice]))
    if domain.kind == "int":
        return asked.suggest_int(path, int(domain.low), int(domain.high), step=int(domain.spacing or 1))
    return asked.suggest_float(path, domain.low, domain.high, step=domain.spacing, log=domain.log)


def _distribution(optuna: Any, domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return optuna.distributions.CategoricalDistribution([_shown(value) for value in domain.choice])
    if domain.kind == "int":
        step = int(domain.spacing or 1)
        return optuna.distributions.IntDistribution(int(domain.low), int(domain.high), step=step)
    return optuna.distributions.FloatDistribution(domain.low, domain.high, step=domain.spacing, log=domain.log)


def _shown(value: Any) -> str:
    """A choice may be anything that JSON has; Optuna's may not."""
    return json.dumps(value, sort_keys=True)
