"""What Tune calls in the driver. Tune pickles these, so they hold no more than their adviser's name."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.search import Searcher

from cluster.tune_adviser import by_name


class Tells(tune.Callback):
    """Tells the adviser when Tune stops or pauses a trial."""

    def __init__(self, name: str) -> None:
        self._name = name

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._tell(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._tell(trial)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        for trial in trials:
            if trial.status == "PAUSED":
                self._tell(trial)

    def _tell(self, trial: Any) -> None:
        adviser = by_name(self._name)
        if adviser is not None:
            adviser.stopped(trial)


class Ends(tune.Stopper):
    """Ends Tune's run when the search does."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        adviser = by_name(self._name)
        return adviser is None or adviser.closing


class Suggests(Searcher):
    """Tune's door to a suggester."""

    def __init__(self, name: str) -> None:
        super().__init__(metric="objective", mode="max")
        self._name = name
        self._trials: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        adviser = by_name(self._name)
        found = None if adviser is None or adviser.suggester is None else adviser.suggester.suggest()
        if found is None:
            return Searcher.FINISHED
        self._trials[trial_id] = found
        return {"trial": found}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        adviser, trial = by_name(self._name), self._trials.pop(trial_id, None)
        if trial is not None and adviser is not None and adviser.suggester is not None:
            adviser.suggester.tell(trial, None if error or not result else result.get("objective"))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the table has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Never: a search is told its past anew."""
