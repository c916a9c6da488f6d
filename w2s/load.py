"""From a file (and overrides on the command line) to a Recipe, with errors that say where, what and what next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cluster.errors import BadInput
from w2s.faults import SPACE, Loc, place, told
from w2s.recipe import Recipe, package_recipes
from w2s.registry import unknown
from w2s.schema import join, look, set_at, split
from w2s.search.domains import CHOICES
from w2s.yaml_source import Source, parse

SUFFIXES = (".yaml", ".yml")


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


@dataclass(frozen=True)
class Written:
    """A recipe and the mapping it was made from: the file's text with the overrides in it."""

    recipe: Recipe
    data: dict[str, Any]
    path: Path
    source: Source
    overridden: tuple[Loc, ...]

    def place(self, loc: Loc) -> str:
        """Where a field was written, for an error: `toy.yaml:7: method.alpha`, or `command line: method.alpha`."""
        return place(loc, str(self.path), self.source, self.overridden)


def load(reference: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check one recipe. Raises BadInput; several faults come as one message, a line each."""
    return read(reference, overrides).recipe


def read(reference: str, overrides: Sequence[str] = ()) -> Written:
    """As `load`, with the text it came from."""
    path = find(reference)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(path), f"cannot be read: {error}") from None
    source = parse(text, str(path))
    if not isinstance(source.data, dict):
        raise BadInput(str(path), "is not a recipe: a recipe is a mapping with task, weak, strong and method")
    data = {"name": path.stem, **source.data}
    overridden = tuple([_override(data, text) for text in sorted(overrides, key=_kinds_first)])
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise told(error, lambda loc: place(loc, str(path), source, overridden)) from None
    try:
        recipe.check()
    except BadInput as problem:
        raise BadInput(f"{path}: {problem.where}", problem.what, problem.remedy) from None
    return Written(recipe, data, path, source, overridden)


def _kinds_first(text: str) -> bool:
    """Choosing a kind clears the other fields, so it comes before they are set, in whatever order they were written."""
    return not text.partition("=")[0].strip().endswith("kind")


def _override(data: dict[str, Any], text: str) -> Loc:
    """Set `a.b.c=value` in place; returns the path. Values are YAML, so 0.5, true, [1, 2] and words mean what they look like."""
    path, sign, raw = text.partition("=")
    steps = _steps(data, path)
    if not sign or not all(step != "" for step in steps):
        raise BadInput(f"override '{text}'", "is not of the form key.path=value", "for example method.alpha=0.5")
    try:
        value = parse(raw, text).data
    except BadInput:
        raise BadInput(f"override '{text}'", f"'{raw}' is not readable as YAML") from None
    set_at(Recipe, data, steps, value, f"override '{text}'")
    return steps


def _steps(data: dict[str, Any], path: str) -> Loc:
    """A path's steps. What is searched goes by its own dotted path, which is one step: `search.space.method.alpha.step=0.1`."""
    steps = split(path)
    inner = join(steps[len(SPACE) :])
    if steps[: len(SPACE)] != SPACE or not inner:
        return steps
    field, _, choice = inner.rpartition(".")
    if choice not in CHOICES or inner in (look(Recipe, data, SPACE) or {}):
        return (*SPACE, inner)
    return (*SPACE, field, choice)
