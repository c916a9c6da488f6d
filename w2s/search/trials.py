"""Trials: what a search tries, as values of its fields and as recipes. Pure; a trial has the same key wherever it comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from typing import Any

from pydantic import ValidationError

from cluster.errors import BadInput
from cluster.key import canonical_json, content_key
from w2s.faults import faults
from w2s.learner import PIP_SOURCE, ModelRef
from w2s.recipe import Recipe
from w2s.schema import Steps, join, set_at, split
from w2s.search.config import MOST_TRIALS
from w2s.search.domains import Choice, Domain
from w2s.search.searched import Searched
from w2s.search.space import Space, named, needs, pattern_of
from w2s.stages import Labels, Model, Predict

REDRAWN, REDRAWN_EACH = 1_000, 20  # attempts at a trial that was not there before, and more for each that was
SETTINGS = 64  # of the fields that a field depends on, while its own corners are looked at
NAME_LENGTH = 55  # of a trial's name before its own part: names have 64 characters at most
SHARE_BITS = 53
MIDDLE = 0.5


@dataclass(frozen=True)
class Trial:
    """Concrete path -> plain value, in the order decided. The same values are the same trial."""

    overrides: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash(self.key)

    @cached_property
    def key(self) -> str:
        """64 hex digits over the values."""
        return content_key(dict(self.overrides))

    @property
    def label(self) -> str:
        """For people: `alpha=0.31 warmup=0.1`. Numbers have 3 digits, so two trials may share one."""
        return " ".join(f"{short}={_told(self.overrides[path])}" for path, short in self.short_names.items())

    @property
    def short_names(self) -> dict[str, str]:
        """Path -> its shortest end that is no other's."""
        paths = {path: split(path) for path in self.overrides}
        return {path: _shortest(steps, list(paths.values())) for path, steps in paths.items()}


def _shortest(steps: Steps, others: list[Steps]) -> str:
    for count in range(1, len(steps)):
        end = steps[-count:]
        if not isinstance(end[0], int) and sum(other[-count:] == end for other in others) == 1:
            return join(end)
    return join(steps)


def _told(value: Any) -> str:
    """A value in a label: a list step by step, a mapping by what it names."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, str):
        package = PIP_SOURCE.match(value)
        return package["name"] if package else value
    if isinstance(value, list | tuple):
        return ">".join(map(_told, value))
    if not isinstance(value, Mapping):
        return str(value)
    if "source" in value:
        with suppress(ValidationError, BadInput):
            return ModelRef.model_validate(value).short
    name = next((name for name in ("kind", "model", "source", "learner") if name in value), None)
    rest = ",".join(f"{field}={_told(one)}" for field, one in value.items() if field != name)
    head = "" if name is None else _told(value[name])
    return f"{head}({rest})" if rest else head or "{}"


# ---- as recipes


def trial_recipe(searched: Searched, trial: Trial) -> Recipe:
    """The recipe with the trial's values set: no search, no baselines, the search's seeds, a name of its own.

    Raises BadInput naming the searched field and what is wrong with its value.
    """
    data = deepcopy(searched.base)
    for path, value in trial.overrides.items():
        set_at(Recipe, data, split(path), deepcopy(value), _place(searched, path))
    data["name"] = f"{searched.recipe.name[:NAME_LENGTH]}-{trial.key[:8]}"
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise _fault(searched, trial, error) from None
    try:
        recipe.check()
    except BadInput as problem:
        where = f"{searched.written.path}: {problem.where}"
        raise BadInput(where, f"{problem.what} (in the trial {trial.label})", problem.remedy) from None
    return recipe


def _place(searched: Searched, path: str) -> str:
    try:
        return searched.where_searched(pattern_of(searched.search.space, path))
    except StopIteration:  # of a trial that another space drew
        return named(path)


def _fault(searched: Searched, trial: Trial, error: ValidationError) -> BadInput:
    """The first fault, at the searched field it comes from if there is one."""
    loc, what = faults(error)[0]
    within = f"{what} (in the trial {trial.label})"
    paths = {path: split(path) for path in trial.overrides}
    inside = [path for path, steps in paths.items() if loc[: len(steps)] == steps]
    around = [path for path, steps in paths.items() if loc and steps[: len(loc)] == loc]
    where = _place(searched, (inside + around)[0]) if inside + around else searched.written.place(loc)
    remedy = "say where it is drawn, by when: {path: value}, or drop it" if what.startswith("no such field") else ""
    return BadInput(where, within, remedy)


def students(recipe: Recipe) -> dict[int, Model]:
    """Seed -> the stage that trains what the method is judged by; seeds whose method trains no such model are left out."""
    found: dict[int, Model] = {}
    for seed, outcome in recipe.outcomes[recipe.method].items():
        labels: Labels | None = None if outcome.transfer is None else outcome.transfer.labels
        if isinstance(labels, Predict) and isinstance(labels.model, Model):
            found[seed] = labels.model
    return found


# ---- which ones


def random_trials(searched: Searched, start: int, count: int) -> list[Trial]:
    """Trials number `start` to `start + count` of the random search.

    A value depends on search.seed, the trial's number, the path and its domain alone; so more trials never change the ones
    before, and a wider domain is another draw. A trial that was there before is drawn again. Raises BadInput where the
    space has fewer.
    """
    seen: set[str] = set()
    trials: list[Trial] = []
    for number in range(start + count):
        for attempt in range(REDRAWN + REDRAWN_EACH * len(seen)):
            trial = _drawn(searched, number, attempt)
            if trial.key not in seen:
                break
        else:
            what = f"{start + count} are asked for, and no more than {len(seen)} different ones were found in the space"
            raise BadInput(searched.where("trials"), what, "ask for fewer, widen the space, or set algorithm: grid")
        seen.add(trial.key)
        trials.append(trial)
    return trials[start:]


def _drawn(searched: Searched, number: int, attempt: int) -> Trial:
    def draw(path: str, domain: Domain) -> Any:
        bounds = domain.model_dump(mode="json", exclude={"when"})
        told = canonical_json([searched.search.seed, number, attempt, path, bounds])
        bits = int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big") >> (64 - SHARE_BITS)
        return domain.at(bits / 2**SHARE_BITS)

    return Trial(searched.assign(draw))


def grid_trials(searched: Searched) -> list[Trial]:
    """Every point of the grid, the last field varying fastest. Raises BadInput for more than 100,000."""
    found: dict[str, Trial] = {}
    for trial in _walked(searched):
        found.setdefault(trial.key, trial)
        if len(found) > MOST_TRIALS:
            what = f"the grid has more than {MOST_TRIALS:,} points"
            raise BadInput(searched.where("space"), what, "take wider steps, or algorithm: random")
    return list(found.values())


def _walked(searched: Searched) -> Iterator[Trial]:
    """Every way through the walk: the last draw that has a next value takes it, and those after it begin again."""
    places: list[int] = []
    while True:
        counts: list[int] = []

        def draw(path: str, domain: Domain, counts: list[int] = counts, places: list[int] = places) -> Any:
            values = domain.every()
            assert values is not None, "the schema refuses a grid over endless values"
            if len(counts) == len(places):
                places.append(0)
            counts.append(len(values))
            return values[places[len(counts) - 1]]

        yield Trial(searched.assign(draw))
        while counts and places[len(counts) - 1] + 1 == counts[-1]:
            counts.pop()
        if not counts:
            return
        del places[len(counts) :]
        places[-1] += 1


def corner_trials(searched: Searched) -> list[Trial]:
    """For checking: the lowest and highest of every number and every choice, one field at a time, the others between.

    Where a field depends on others (by `when`, or lying in a list that is drawn), they take the values that let it be.
    """
    space = searched.search.space
    found: dict[str, Trial] = {}
    for pattern, domain in space.items():
        for fixed in islice(_settings(space, pattern), SETTINGS):
            for value in domain.corners():
                trial = _cornered(searched, {**fixed, pattern: value})
                found.setdefault(trial.key, trial)
    return list(found.values())


def _cornered(searched: Searched, fixed: Mapping[str, Any]) -> Trial:
    space = searched.search.space

    def draw(path: str, domain: Domain) -> Any:
        pattern = pattern_of(space, path)
        return fixed[pattern] if pattern in fixed else domain.at(MIDDLE)

    return Trial(searched.assign(draw))


def _settings(space: Space, pattern: str) -> Iterator[dict[str, Any]]:
    """Values of the fields a field depends on: those its conditions ask for, else every choice."""
    above: list[str] = []
    ahead = [pattern]
    while ahead:
        path = ahead.pop()
        new = [other for other in space if other != pattern and other not in above and needs(space, path, other)]
        above += new
        ahead += new
    ranges = [_wanted(space, (pattern, *above), other) for other in above]
    for values in product(*ranges):
        yield dict(zip(above, values, strict=True))


def _wanted(space: Space, askers: tuple[str, ...], path: str) -> tuple[Any, ...]:
    domain = space[path]
    asked = [value for asker in askers for value in space[asker].when.get(path, ()) if domain.holds(value)]
    if asked:
        return tuple(asked)
    return domain.choice if isinstance(domain, Choice) else (domain.at(MIDDLE),)
