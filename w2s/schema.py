"""Plain data by dotted path, in the light of the pydantic model it is written for.

The model says what a bare word stands for (`method: naive` is {kind: naive}), what is there where nothing was written, and
which names a path may take. Without a model (None) only what is written counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Annotated, Any, Final, TypeAlias, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cluster.errors import BadInput
from w2s.nested import kinds_of
from w2s.registry import unknown

Step: TypeAlias = str | int
Steps: TypeAlias = tuple[Step, ...]
Schema: TypeAlias = type[BaseModel] | None
ANY: Final = "*"  # as a step: every index of the list that lies there


class Missing:
    """What `look` finds where nothing is, which is not None."""


MISSING: Final = Missing()


class FieldFault(ValueError):
    """What a validator of a whole has against one field of it: told at that field."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(what)
        self.field = field


def split(path: str) -> Steps:
    """`a.0.b` as ("a", 0, "b")."""
    return tuple(int(step) if step.isdecimal() else step for step in path.strip().split("."))


def join(steps: Iterable[Step]) -> str:
    return ".".join(map(str, steps))


def look(schema: Schema, data: Any, steps: Steps, *, defaults: bool = True) -> Any:
    """The plain value at a path: what is written, else (with `defaults`) the field's default, else MISSING."""
    kinds: list[Any] = [schema]
    for step in steps:
        if isinstance(data, str):
            data = in_full(kinds, data)
        kinds = narrowed(kinds, data)
        if isinstance(data, dict) and str(step) in data:
            data = data[str(step)]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            data = _default(kinds, step) if isinstance(data, dict) and defaults else MISSING
        if data is MISSING:
            return MISSING
        kinds = below(kinds, step)
    return data


def set_at(schema: Schema, data: dict[str, Any], steps: Steps, value: Any, where: str) -> None:
    """Set what lies at a path, in place; mappings on the way are made. Raises BadInput, at `where`, if it leads nowhere.

    Another `kind` has other fields, so it clears those beside it. A list that is a default is written out to be changed.
    """
    place: Any = data
    kinds: list[Any] = [schema]
    for step, follows in pairwise(steps):
        kinds = narrowed(kinds, place)
        place = _enter(kinds, place, step, isinstance(follows, int), where)
        kinds = below(kinds, step)
    last = steps[-1]
    if isinstance(place, list) and isinstance(last, int) and last < len(place):
        place[last] = value
    elif isinstance(place, dict):
        if last == "kind" and place.get("kind") != value:
            place.clear()
        place[str(last)] = value
    else:
        raise BadInput(where, f"there is nothing at '{join(steps)}' to set")


def _enter(kinds: list[Any], place: Any, step: Step, is_list: bool, where: str) -> Any:
    if isinstance(place, list):
        if not isinstance(step, int) or step >= len(place):
            raise BadInput(where, f"'{step}' is not an index into a list of {len(place)}")
        if isinstance(place[step], str):
            place[step] = in_full(below(kinds, step), place[step])
        return place[step]
    if not isinstance(place, dict):
        raise BadInput(where, f"nothing lies below '{step}'")
    inner = place.get(str(step))
    if isinstance(inner, str):
        inner = in_full(below(kinds, step), inner)
    if inner is None:
        given = _default(kinds, step) if is_list else None
        inner = deepcopy(given) if isinstance(given, list) else {}
    place[str(step)] = inner
    return inner


def _default(kinds: list[Any], step: Step) -> Any:
    for model in _models(kinds):
        info = model.model_fields.get(str(step))
        if info is not None and not info.is_required():
            return _plain(info.get_default(call_default_factory=True))
    return MISSING


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def in_full(kinds: list[Any], word: str) -> dict[str, Any]:
    """What a bare word stands for: a method by its kind, a model by its source, a rung by its learner."""
    models = _models(kinds)
    if len(models) == 1 and "kind" not in models[0].model_fields:
        if "source" in models[0].model_fields:
            return {"source": word}
        try:
            return models[0].model_validate(word).model_dump(mode="json", exclude_unset=True)
        except ValidationError:
            pass  # told when the whole is validated
    return {"kind": word}


# ---- annotations: which models a place may hold


def below(kinds: Sequence[Any], step: Step) -> list[Any]:
    """The annotations one step further down."""
    found: list[Any] = []
    for kind in _flat(kinds):
        arguments = get_args(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            info = kind.model_fields.get(str(step))
            found += [] if info is None else kinds_of(info.annotation) or [info.annotation]
        elif get_origin(kind) is dict:
            found.append(arguments[1])
        elif get_origin(kind) in (tuple, list) and (isinstance(step, int) or step == ANY):
            found += [argument for argument in arguments if argument is not Ellipsis]
    return found


def narrowed(kinds: Sequence[Any], value: Any) -> list[Any]:
    """Without the models of another kind than the one that `value` names."""
    named = value.get("kind") if isinstance(value, dict) else value
    flat = list(_flat(kinds))
    if not isinstance(named, str):
        return flat
    fitting = [model for model in _models(flat) if _kind(model) == named]
    return list(fitting) or flat


def unknown_step(
    schema: type[BaseModel], path: Steps, value_at: Callable[[Steps], Any] = lambda steps: None
) -> str | None:
    """Why a path cannot be, with the nearest names; None if it can. `value_at` gives what is written, where that is settled."""
    kinds: list[Any] = [schema]
    for place, step in enumerate(path):
        kinds = narrowed(kinds, value_at(path[:place]))
        inner = below(kinds, step)
        if not inner:
            names = list(dict.fromkeys(name for model in _models(kinds) for name in model.model_fields))
            if names and (step == ANY or isinstance(step, int)):
                return f"there is no list at '{join(path[:place])}'"
            if names:
                return unknown("such field", str(step), names).replace(f"such field '{step}'", "such field", 1)
            return f"nothing lies below '{join(path[:place])}'"
        kinds = inner
    return None


def _models(kinds: Sequence[Any]) -> list[type[BaseModel]]:
    return [kind for kind in _flat(kinds) if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _flat(kinds: Iterable[Any]) -> Iterable[Any]:
    """The members of unions, without their marks."""
    for kind in kinds:
        if get_origin(kind) is Annotated:
            yield from _flat(get_args(kind)[:1])
        elif isinstance(kind, type) or get_origin(kind) in (tuple, list, dict) or not get_args(kind):
            yield kind
        else:
            yield from _flat(get_args(kind))


def _kind(model: type[BaseModel]) -> Any:
    info = model.model_fields.get("kind")
    return None if info is None else info.default
