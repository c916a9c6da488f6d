"""Pydantic's complaints in a recipe's own words: which field, on which line, what is wrong and what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cluster.errors import BadInput
from w2s.nested import kinds_of
from w2s.recipe import Recipe
from w2s.registry import ROOMS, names, unknown
from w2s.schema import FieldFault, join
from w2s.search.domains import DOMAINS
from w2s.yaml_source import Source

Loc: TypeAlias = tuple[str | int, ...]
TYPE_NAMES = ("function-before", "int", "constrained-int", "literal")
SELF_EVIDENT = ("extra_forbidden", "missing", "union_tag_invalid", "union_tag_not_found", "value_error")
_ROOM_OF = {
    "task": "tasks", "of": "tasks", "source": "tasks", "shift": "tasks", "method": "methods", "baselines": "methods", "loss": "losses",
}  # fmt: skip
SPACE = ("search", "space")  # below it: a dotted path as one step, then (in pydantic's places) the domain's kind


def told(error: ValidationError, placed: Callable[[Loc], str]) -> BadInput:
    """All faults as one BadInput, a line for each place that has any; `placed` says where a field was written."""
    first, *rest = [(placed(loc), what) for loc, what in faults(error)]
    return BadInput(first[0], first[1] + "".join(f"\n{where}: {what}" for where, what in rest))


def faults(error: ValidationError) -> list[tuple[Loc, str]]:
    """What is wrong, field by field, in the words of the recipe."""
    by_place: dict[Loc, list[Any]] = {}
    for fault in error.errors(include_url=False):
        by_place.setdefault(_written(fault), []).append(fault)
    # a bad element makes its list bad as well: the element says it better
    inner = {loc: found for loc, found in by_place.items() if not any(_below(loc, other) for other in by_place)}
    return [(loc, _why(found, loc)) for loc, found in inner.items()]


def _below(loc: Loc, other: Loc) -> bool:
    return len(other) > len(loc) and other[: len(loc)] == loc


def place(loc: Loc, where: str, source: Source, overridden: Sequence[Loc]) -> str:
    """Where a field was written: on the command line, or in file `where`, on which line."""
    by_override = bool(loc) and any(loc[: len(path)] == path or path[: len(loc)] == loc for path in overridden)
    line = None if by_override else source.line(loc)
    found = "command line" if by_override else f"{where}:{line}" if line else where
    return f"{found}: {join(loc)}" if loc else found


def _why(faults: list[Any], loc: Loc) -> str:
    """What is wrong at one place; a choice among several types fails once for each."""
    reasons = list(dict.fromkeys(_what(fault, loc) for fault in faults))
    found = _found(faults[0])
    return " or ".join([reasons[0], *(reason.removeprefix("input should be ") for reason in reasons[1:])]) + found


def _written(fault: Any) -> Loc:
    """A pydantic location as the user wrote it: without the tags that choose among kinds, and without type names."""
    result: list[str | int] = []
    room: str | None = None
    loc: Loc = fault["loc"]
    named = len(loc) - 1 if fault["type"] in ("extra_forbidden", "missing") else len(loc)  # there the last is a field
    for i, step in enumerate(loc):
        if loc[: len(SPACE)] == SPACE and i == len(SPACE) + 1 and step in DOMAINS:
            continue
        if room is not None and i < named and step in names(room):
            room = None
            continue
        if i < named and isinstance(step, str) and ("[" in step or step in TYPE_NAMES):
            continue
        result.append(step)
        room = _ROOM_OF.get(str(step), room if isinstance(step, int) else None)
    blamed = fault.get("ctx", {}).get("error")
    return (*result, blamed.field) if isinstance(blamed, FieldFault) else tuple(result)


def _what(fault: Any, loc: Loc) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        fields = _fields_at(fault["loc"][:-1])
        return unknown("such field", str(loc[-1]), fields).replace("such field '" + str(loc[-1]) + "'", "such field")
    if kind == "missing":
        return "is missing"
    if kind == "union_tag_invalid":
        room = next((_ROOM_OF[str(step)] for step in reversed(loc) if str(step) in _ROOM_OF), None)
        return unknown(room.rstrip("s").replace("losse", "loss"), context["tag"], names(room)) if room else fault["msg"]
    if kind == "union_tag_not_found":
        return "needs `kind`"
    if kind == "value_error":
        return str(context.get("error", fault["msg"]))
    words: str = fault["msg"][0].lower() + fault["msg"][1:]
    return (
        words.partition(", unable to parse")[0]
        .replace(" or object to extract fields from", "")
        .replace("dictionary", "mapping")
        .replace("tuple should", "list should")
        .replace(" after validation", "")
    )


def _found(fault: Any) -> str:
    """What stands there now, where a message does not say so itself."""
    found = fault.get("input")
    if fault["type"] in SELF_EVIDENT or isinstance(found, dict | list | BaseModel):
        return ""
    shown = repr(found)
    return f", found {shown if len(shown) <= 80 else shown[:77] + '...'}"


def _fields_at(loc: Loc) -> list[str]:
    """The field names of the model a pydantic location leads to."""
    model: type[BaseModel] | None = Recipe
    choices: list[type[BaseModel]] = []
    if loc[: len(SPACE)] == SPACE and str(loc[-1]) in DOMAINS:
        return list(DOMAINS[str(loc[-1])].model_fields)
    for step in loc:
        if choices and isinstance(step, str):
            model = next(
                (c for c in choices if c.model_fields.get("kind") and c.model_fields["kind"].default == step), None
            )
            choices = []
            if model is not None:
                continue
        if isinstance(step, int):
            continue
        info: FieldInfo | None = model.model_fields.get(step) if model else None
        found = (kinds_of(info.annotation) or _models_in(info.annotation)) if info else []
        model, choices = (found[0], []) if len(found) == 1 else (model, found)
    return list(model.model_fields) if model else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for arg in get_args(annotation) for model in _models_in(arg)]


assert set(_ROOM_OF.values()) == set(ROOMS)
