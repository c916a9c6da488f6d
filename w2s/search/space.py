"""A space: which fields of a recipe are searched, each with its domain, and the walk that decides them one after the other.

Fields go by dotted path. `*` stands for every index of the list that lies there once the fields before it are decided, so a
space may grow with what it draws:

    method.chain: [[strong], [weak, strong]]
    method.chain.*.epochs: {uniform: [1, 4]}

`assign` serves random draws, grids, and an algorithm that is asked value by value alike: it calls `draw` with the concrete path
(`method.chain.0.epochs`) and the domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any, TypeAlias

from cluster.errors import BadInput
from w2s.schema import ANY, MISSING, Schema, Step, Steps, join, look, set_at, split
from w2s.search.domains import Domain, same

Space: TypeAlias = Mapping[str, Domain]
Draw: TypeAlias = Callable[[str, Domain], Any]


def assign(base: Mapping[str, Any], space: Space, draw: Draw, schema: Schema = None) -> dict[str, Any]:
    """Decide every field of the space that there is; returns concrete path -> plain value, in the order decided.

    `base` is a recipe as plain data, and stays as it is. `schema` (Recipe) tells what stands where nothing is written. A
    field whose `when` does not hold, or whose list is too short, is left out. Raises BadInput where `*` meets no list, or
    where two draws decide the same field.
    """
    data = deepcopy(dict(base))
    decided: dict[str, Any] = {}
    for pattern in ordered(space):
        domain = space[pattern]
        for steps in _places(schema, data, decided, pattern, domain):
            path = join(steps)
            _check_free(schema, data, decided, steps, pattern)
            value = deepcopy(draw(path, domain))
            set_at(schema, data, steps, deepcopy(value), named(pattern))
            decided[path] = value
    return decided


def named(pattern: str) -> str:
    """A searched field in an error."""
    return f"search.space.{pattern}"


def pattern_of(space: Space, path: str) -> str:
    """The path of the space that a concrete path comes from."""
    steps = split(path)
    return next(pattern for pattern in space if _fits(split(pattern), steps))


def ordered(space: Space) -> list[str]:
    """The space's paths as written, but each after those it depends on. Raises BadInput where they wait for each other."""
    waiting = list(space)
    found: list[str] = []
    while waiting:
        ready = next((path for path in waiting if not any(needs(space, path, other) for other in waiting)), None)
        if ready is None:
            what = f"{' and '.join(waiting)} wait for each other"
            raise BadInput("search.space", what, "drop one of their `when`")
        waiting.remove(ready)
        found.append(ready)
    return found


def needs(space: Space, path: str, other: str) -> bool:
    """Whether a field can only be decided after another: it lies below it, or its `when` asks for it."""
    asked = [split(condition) for condition in space[path].when]
    if path == other:
        return any(begins(split(path), condition) for condition in asked)
    own, before = split(path), split(other)
    below = before[:-1] if before[-1] == "kind" else before  # another kind clears what lies beside it
    return any(begins(below, path) for path in (own, *asked))


def _places(
    schema: Schema, data: dict[str, Any], decided: Mapping[str, Any], pattern: str, domain: Domain
) -> Iterator[Steps]:
    """The concrete paths a path stands for now."""
    free = [condition for condition in domain.when if ANY not in split(condition)]
    if not all(_is_so(schema, data, decided, split(condition), domain.when[condition]) for condition in free):
        return
    for steps in _indexed(schema, data, (), split(pattern), pattern):
        bound = {_bind(split(condition), split(pattern), steps): values for condition, values in domain.when.items()}
        if all(_is_so(schema, data, decided, condition, values) for condition, values in bound.items()):
            yield steps


def _indexed(schema: Schema, data: Any, done: Steps, ahead: Steps, pattern: str) -> Iterator[Steps]:
    """Every path that `ahead` stands for below `done`; none where a list is shorter than a number says."""
    if not ahead:
        yield done
        return
    step, *rest = ahead
    indices: list[Step] = [step]
    if step == ANY or isinstance(step, int):
        lies = look(schema, data, done)
        if step == ANY and not isinstance(lies, list):
            raise BadInput(named(pattern), f"there is no list at '{join(done)}', so '*' stands for nothing")
        if isinstance(lies, list):
            indices = [index for index in range(len(lies)) if step in (ANY, index)]
    for index in indices:
        yield from _indexed(schema, data, (*done, index), tuple(rest), pattern)


def _is_so(
    schema: Schema, data: dict[str, Any], decided: Mapping[str, Any], condition: Steps, values: tuple[Any, ...]
) -> bool:
    path = join(condition)
    found = decided[path] if path in decided else look(schema, data, condition)
    return any(same(found, value) for value in values)


def _bind(condition: Steps, pattern: Steps, steps: Steps) -> Steps:
    """A condition whose `*` are the indices that the same `*` of the path stand for."""
    found = list(condition)
    for place, step in enumerate(condition):
        if step == ANY and condition[: place + 1] == pattern[: place + 1]:
            found[place] = steps[place]
    return tuple(found)


def _check_free(schema: Schema, data: dict[str, Any], decided: Mapping[str, Any], steps: Steps, pattern: str) -> None:
    """Raises BadInput where a value drawn before says already what lies here."""
    for path in decided:
        above = split(path)
        if above == steps or (
            begins(above, steps) and look(schema, data, steps, defaults=False) not in (MISSING, None)
        ):
            what = f"{join(steps)} is decided by {path} as well"
            raise BadInput(named(pattern), what, "name a field once: drop it from one of them")


def begins(above: Steps, path: Steps) -> bool:
    """Whether a path is another, or lies below it; `*` is any index."""
    return len(above) <= len(path) and _fits(above, path[: len(above)])


def _fits(pattern: Steps, path: Steps) -> bool:
    return len(pattern) == len(path) and all(
        one == other or (one == ANY and isinstance(other, int)) or (other == ANY and isinstance(one, int))
        for one, other in zip(pattern, path, strict=True)
    )


def check_space(space: Space) -> None:
    """Raises BadInput for what no recipe could have: no field, one that is not science, two paths to the same one."""
    if not space:
        raise BadInput("search.space", "is empty", "name at least one field, as in method.alpha: {uniform: [0, 0.9]}")
    for path, domain in space.items():
        for each in (path, *domain.when):
            if any(step == "" for step in split(each)):
                raise BadInput(named(path), f"'{each}' is not of the form key.path, or key.*.path in a list")
        for condition in domain.when:
            steps = _bind(split(condition), split(path), tuple(0 if s == ANY else s for s in split(path)))
            if ANY in steps:
                raise BadInput(named(path), f"when: '*' in {condition} is no '*' of {path}, so it means no one index")
        first = str(split(path)[0])
        if first in NOT_SEARCHED:
            raise BadInput(named(path), NOT_SEARCHED[first])
    _check_apart(space)
    ordered(space)


def _check_apart(space: Space) -> None:
    paths = list(space)
    for i, one in enumerate(paths):
        for other in paths[i + 1 :]:
            above, below = sorted((split(one), split(other)), key=len)
            inside = below[len(above) :]
            if not begins(above, below) or any(step == ANY or isinstance(step, int) for step in inside):
                continue
            what = f"{one} and {other} decide the same field"
            remedy = "drop one"
            if inside:
                remedy += f", or search {join(above)}.kind and {join(below)} with when: {{{join(above)}.kind: ...}}"
            raise BadInput("search.space", what, remedy)


NOT_SEARCHED = {
    "machines": "where work runs never changes a result; search what is science",
    "name": "a name changes no result; a trial is named by its values",
    "description": "a description changes no result; search what is science",
    "search": "a search cannot search itself",
    "seeds": "every trial has the same seeds: set search.seeds",
    "baselines": "a trial has no baselines; search method",
}
