"""What belongs to a recipe's searches: the results of all their trials, and all that is left to make."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import BadInput, StageFailed
from cluster.store import Store
from w2s.search.course import Course
from w2s.search.searched import Searched, search_folder
from w2s.search.table import Row, Table
from w2s.search.trials import Trial, grid_trials, random_trials, trial_recipe
from w2s.stages import Stage, walk

MARK = r"-[0-9a-f]{8}"  # after a recipe's name, in the name of a search's folder


@dataclass(frozen=True)
class Left:
    """Of a search whose trials are known before it begins: how much there is, and how much of it the store lacks.

    `apart` counts the stages of as many separate runs, each from an empty store.
    """

    trials: int
    stages: int
    to_run: int
    apart: int


def kept(searched: Searched, store: Store) -> set[str]:
    """The keys of every trial in the tables of this recipe's searches (whatever the objective and seeds), and of all they need."""
    keys = set(searched.base_recipe.graph())
    own = search_folder(store, searched)
    for folder in _folders(searched.recipe.name, store):
        for row in Table.open(folder).rows().values():
            keys |= {key for role in row.keys.values() for key in role}
            if folder == own:
                keys |= _planned(searched, row)
    return _with_inputs(keys, store)


def left(searched: Searched, store: Store) -> Left | None:
    """What is left to do of a random or grid search. None for others, whose trials are found on the way."""
    search = searched.search
    if search.algorithm not in ("random", "grid"):
        return None
    trials = grid_trials(searched) if search.algorithm == "grid" else random_trials(searched, 0, search.trials)
    goals: dict[str, Stage] = {stage.key: stage for stage in searched.base_recipe.goals()}
    apart = 0
    for number, trial in enumerate(trials):
        recipe = trial_recipe(searched, trial)
        goals |= Course.of(trial, number, recipe).goals
        apart += len(recipe.graph())
    return Left(len(trials), len(walk(*goals.values())), _to_run(goals.values(), store), apart)


def _folders(name: str, store: Store) -> list[Path]:
    if not store.searches.is_dir():
        return []
    return [folder for folder in sorted(store.searches.iterdir()) if re.fullmatch(re.escape(name) + MARK, folder.name)]


def _planned(searched: Searched, row: Row) -> set[str]:
    """What a trial's stages are by its recipe: one that was stopped has inputs that no receipt of its own names."""
    try:
        trial = Trial(row.overrides)
        if trial.key != row.trial:  # a member of a population, whose legs are there with all before them
            return set()
        return set(walk(*Course.of(trial, row.number, trial_recipe(searched, trial)).goals.values()))
    except BadInput:  # an earlier version of this program allowed it
        return set()


def _with_inputs(keys: set[str], store: Store) -> set[str]:
    """The keys, and those of all that their results were made from."""
    found: set[str] = set()
    ahead = list(keys)
    while ahead:
        key = ahead.pop()
        if key in found:
            continue
        found.add(key)
        if store.has(key):
            try:
                ahead.extend(store.receipt(key).inputs)
            except StageFailed:  # damaged: `w2s verify` tells
                continue
    return found


def _to_run(goals: Iterable[Stage], store: Store) -> int:
    seen: set[str] = set()
    count = 0
    ahead = list(goals)
    while ahead:
        stage = ahead.pop()
        if stage.key in seen:
            continue
        seen.add(stage.key)
        if not store.has(stage.key):
            count += 1
            ahead.extend(stage.inputs())
    return count
