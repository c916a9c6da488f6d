"""Is a search legal? Every path is a field, every value it will draw makes a legal recipe, and something is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.errors import BadInput
from w2s.recipe import Recipe
from w2s.schema import MISSING, Steps, join, look, split, unknown_step
from w2s.search.measure import supervisors
from w2s.search.searched import Searched
from w2s.search.space import begins, pattern_of
from w2s.search.trials import Trial, corner_trials, grid_trials, random_trials, students, trial_recipe
from w2s.search.verdict import learns_from_a_student
from w2s.stages import Probe

Told = Callable[[int, int], None]
EARLY = ("asha", "hyperband", "median", "pbt")
AT_ONCE = 64  # a trial that Tune holds is a process of its own


@dataclass(frozen=True)
class Checked:
    """What was looked at: `trials` is how many the search has, of which grid and random ones were all made."""

    trials: int
    recipes: int


def check_search(searched: Searched, told: Told = lambda done, total: None) -> Checked:
    """Raises BadInput for the first thing that is wrong. Reads no data; about a millisecond a trial.

    The outermost values of every domain are made recipes of and planned, and for random and grid every trial of the
    search. `told` hears how many of how many are done.
    """
    search, method = searched.search, searched.recipe.method.kind
    if search.algorithm == "pbt" and method != "confidence":
        what = f"pbt changes the alpha of method confidence while it trains, and the method is {method}"
        raise BadInput(searched.where("algorithm"), what, "set method.kind: confidence, or search.algorithm: random")
    for pattern in search.space:
        for path in (pattern, *search.space[pattern].when):
            _check_path(searched, pattern, split(path))
    corners = corner_trials(searched)
    _check_all_drawn(searched, corners)
    many = search.trials if search.algorithm == "random" else 0
    for done, trial in enumerate(corners, 1):
        _check_measured(searched, trial_recipe(searched, trial))
        told(done, len(corners) + many)
    own: list[Trial] = []
    if search.algorithm == "random":
        own = random_trials(searched, 0, search.trials)
    elif search.algorithm == "grid":
        own = grid_trials(searched)
    for done, trial in enumerate(own, len(corners) + 1):
        _check_measured(searched, trial_recipe(searched, trial))  # the recipe's own check plans it
        told(done, len(corners) + len(own))
    return Checked(len(own) if own else search.trials, len(corners) + len(own))


def summary(searched: Searched, trials: int) -> dict[str, Any]:
    """The search in a few words, for `--json`."""
    search = searched.search
    return {
        "trials": trials,
        "space": list(search.space),
        "algorithm": search.algorithm,
        "scheduler": search.scheduler,
        "objective": search.objective,
        "oracle": search.is_oracle,
        "seeds": list(searched.seeds),
    }


def line(searched: Searched, trials: int) -> str:
    """The same as one line: `search: 32 trials over method.alpha, method.warmup; random, asha; objective agreement`."""
    search = searched.search
    how = search.algorithm if search.algorithm == search.scheduler else f"{search.algorithm}, {search.scheduler}"
    marked = " (ground truth: a bound, no honest choice)" if search.is_oracle else ""
    return f"search: {trials} trials over {search.varied}; {how}; objective {search.objective}{marked}"


def _check_path(searched: Searched, pattern: str, path: Steps) -> None:
    def settled(steps: Steps) -> Any:
        """What lies at a place, if no draw may change what kind it is of."""
        changed = (split(other) for other in searched.search.space)
        if any(begins(other, steps) or other == (*steps, "kind") for other in changed):
            return None
        found = look(Recipe, searched.base, steps)
        return None if found is MISSING else found

    fault = unknown_step(Recipe, path, settled)
    if fault is not None:
        where = searched.where_searched(pattern)
        raise BadInput(where, fault if path == split(pattern) else f"when: {join(path)}: {fault}")


def _check_all_drawn(searched: Searched, trials: list[Trial]) -> None:
    space = searched.search.space
    drawn = {pattern_of(space, path) for trial in trials for path in trial.overrides}
    for pattern in space:
        if pattern not in drawn:
            what = (
                "is in no trial: its `when` never holds"
                if space[pattern].when
                else "is in no trial: no list is so long"
            )
            raise BadInput(searched.where_searched(pattern), what, "drop it, or let the fields it depends on reach it")


def _check_measured(searched: Searched, recipe: Recipe) -> None:
    """Raises BadInput where the objective would never appear, or nothing would be left to stop."""
    search = searched.search
    found = students(recipe)
    if len(found) < len(recipe.seeds):
        what = f"method {recipe.method.kind} trains no student, so no {search.objective} is measured"
        raise BadInput(searched.written.place(("method",)), what, "choose one that trains a student")
    if search.objective == "misfit" and any(each.val is None for own in supervisors(recipe).values() for each in own):
        what = "misfit needs the supervisor's own error on held-out rows, and weak.evaluate is never"
        raise BadInput(searched.where("objective"), what, "set weak.evaluate: epoch")
    for student in found.values():
        learner = student.learner
        if student.val is None:
            what = f"{search.objective} is measured on held-out rows, and strong.evaluate is never"
            raise BadInput(searched.where("objective"), what, "set strong.evaluate: epoch, or every N steps")
        if search.objective != "oracle" and learner.select == "oracle":
            what = f"with strong.select: oracle the held-out labels are ground truth, so {search.objective} is none that is honest"
            raise BadInput(searched.where("objective"), what, "set strong.select: last, or search.objective: oracle")
        if search.scheduler in EARLY and isinstance(student, Probe):
            what = f"{search.scheduler} stops students on their way, and strong is a probe, which is trained in one go"
            raise BadInput(searched.where("scheduler"), what, "set search.scheduler: fifo")
        if search.scheduler in EARLY and learns_from_a_student(student):
            what = f"{search.scheduler} compares trials while they train, and the last student of a chain agrees with the one before it"
            raise BadInput(
                searched.where("scheduler"), what, "set search.scheduler: fifo; the end is judged by the supervisor"
            )
        if search.scheduler == "hyperband" and learner.evaluate != "epoch":
            what = "hyperband must know how many evaluations a training has, and strong.evaluate counts steps"
            raise BadInput(searched.where("scheduler"), what, "set strong.evaluate: epoch, or search.scheduler: asha")
        if search.scheduler == "hyperband" and search.trials > AT_ONCE:
            what = f"hyperband begins all its trials before it judges any, and {search.trials} are more than {AT_ONCE}"
            raise BadInput(
                searched.where("scheduler"), what, "set search.scheduler: asha, which needs no such patience"
            )
        if search.algorithm == "pbt" and learner.select != "last":
            what = f"pbt changes alpha between shares of training, and strong.select: {learner.select} would go back to an earlier one"
            raise BadInput(searched.where("algorithm"), what, "set strong.select: last")
        if search.algorithm == "pbt" and learner.patience is not None:
            what = "pbt decides who goes on, and so would strong.patience"
            raise BadInput(searched.where("algorithm"), what, "set strong.patience: null")
