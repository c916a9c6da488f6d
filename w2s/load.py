"""From a file (and overrides on the command line) to a Recipe, with errors that say where, what and what next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cluster.errors import BadInput
from w2s.recipe import Recipe, package_recipes
from w2s.registry import ROOMS, names, unknown
from w2s.yaml_source import Source, parse

Loc = tuple[str | int, ...]
SUFFIXES = (".yaml", ".yml")
TYPE_NAMES = ("function-before", "int", "constrained-int", "literal")
SELF_EVIDENT = ("extra_forbidden", "missing", "union_tag_invalid", "union_tag_not_found", "value_error")
_ROOM_OF = {"task": "tasks", "method": "methods", "baselines": "methods", "loss": "losses"}


def find(reference: str) -> Path:
    """A recipe by path, or by the name of one that comes with w2s (`quickstart`, `openai/sciq`)."""
    given = Path(reference).expanduser()
    if given.is_file():
        return given
    if given.suffix not in SUFFIXES:
        for suffix in SUFFIXES:
            packaged = package_recipes() / f"{reference}{suffix}"
            if packaged.is_file() and packaged.resolve().is_relative_to(package_recipes().resolve()):
                return packaged
    if given.is_dir():
        raise BadInput(reference, "is a folder", "name a recipe file in it, or a packaged recipe (`w2s list recipes`)")
    known = packaged_names()
    raise BadInput(
        reference, "no such recipe file", unknown("packaged recipe", given.stem, known) + " (`w2s list recipes`)"
    )


def packaged_names() -> list[str]:
    """The names of the recipes that come with w2s."""
    root = package_recipes()
    return sorted(file.relative_to(root).with_suffix("").as_posix() for file in root.rglob("*.yaml"))


def load(reference: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check one recipe. Raises BadInput; several faults come as one message, a line each."""
    path = find(reference)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(path), f"cannot be read: {error}") from None
    source = parse(text, str(path))
    if not isinstance(source.data, dict):
        raise BadInput(str(path), "is not a recipe: a recipe is a mapping with task, weak, strong and method")
    data = {"name": path.stem, **source.data}
    written_on_command_line = [_override(data, text) for text in sorted(overrides, key=_kinds_first)]
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise _told(error, str(path), source, written_on_command_line) from None
    try:
        recipe.check()
    except BadInput as problem:
        raise BadInput(f"{path}: {problem.where}", problem.what, problem.remedy) from None
    return recipe


def _kinds_first(text: str) -> bool:
    """Choosing a kind clears the other fields, so it comes before they are set, in whatever order they were written."""
    return not text.partition("=")[0].strip().endswith("kind")


def _override(data: dict[str, Any], text: str) -> Loc:
    """Set `a.b.c=value` in place; returns the path. Values are YAML, so 0.5, true, [1, 2] and words mean what they look like."""
    path, sign, raw = text.partition("=")
    steps: list[str | int] = [int(step) if step.isdigit() else step for step in path.strip().split(".")]
    if not sign or not all(step != "" for step in steps):
        raise BadInput(f"override '{text}'", "is not of the form key.path=value", "for example method.alpha=0.5")
    try:
        value = parse(raw, text).data
    except BadInput:
        raise BadInput(f"override '{text}'", f"'{raw}' is not readable as YAML") from None
    place: Any = data
    for step in steps[:-1]:
        place = _step_into(place, step, text)
    last = steps[-1]
    if isinstance(place, list) and isinstance(last, int) and last < len(place):
        place[last] = value
    elif isinstance(place, dict):
        if last == "kind" and place.get("kind") != value:
            place.clear()  # another kind has other fields
        place[str(last)] = value
    else:
        raise BadInput(f"override '{text}'", f"there is nothing at '{path}' to set")
    return tuple(steps)


def _step_into(place: Any, step: str | int, text: str) -> Any:
    if isinstance(place, list):
        if not isinstance(step, int) or step >= len(place):
            raise BadInput(f"override '{text}'", f"'{step}' is not an index into a list of {len(place)}")
        if isinstance(place[step], str):
            place[step] = {"kind": place[step]}
        return place[step]
    if not isinstance(place, dict):
        raise BadInput(f"override '{text}'", f"nothing lies below '{step}'")
    inner = place.get(str(step))
    if isinstance(inner, str):  # `method: naive` and `model: gpt2` are short for a mapping
        inner = {"source": inner} if step == "model" else {"kind": inner}
    place[str(step)] = {} if inner is None else inner
    return place[str(step)]


def _told(error: ValidationError, where: str, source: Source, overridden: list[Loc]) -> BadInput:
    """All faults as one BadInput, a line for each place that has any."""
    by_place: dict[Loc, list[Any]] = {}
    for fault in error.errors(include_url=False):
        by_place.setdefault(_written(fault), []).append(fault)
    # a bad element makes its list bad as well: the element says it better
    inner = {loc: faults for loc, faults in by_place.items() if not any(_below(loc, other) for other in by_place)}
    first, *rest = [(_place(loc, where, source, overridden), _why(faults, loc)) for loc, faults in inner.items()]
    return BadInput(first[0], first[1] + "".join(f"\n{place}: {what}" for place, what in rest))


def _below(loc: Loc, other: Loc) -> bool:
    return len(other) > len(loc) and other[: len(loc)] == loc


def _place(loc: Loc, where: str, source: Source, overridden: list[Loc]) -> str:
    by_override = bool(loc) and any(loc[: len(path)] == path or path[: len(loc)] == loc for path in overridden)
    line = None if by_override else source.line(loc)
    place = "command line" if by_override else f"{where}:{line}" if line else where
    return f"{place}: {'.'.join(map(str, loc))}" if loc else place


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
        if room is not None and i < named and step in names(room):
            room = None
            continue
        if i < named and isinstance(step, str) and ("[" in step or step in TYPE_NAMES):
            continue
        result.append(step)
        room = _ROOM_OF.get(str(step), room if isinstance(step, int) else None)
    return tuple(result)


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
        found = _models_in(info.annotation) if info else []
        model, choices = (found[0], []) if len(found) == 1 else (model, found)
    return list(model.model_fields) if model else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for arg in get_args(annotation) for model in _models_in(arg)]


assert set(_ROOM_OF.values()) == set(ROOMS)
