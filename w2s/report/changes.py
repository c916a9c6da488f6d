"""What differs between two recipes, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from w2s.recipe import Recipe

UNTOLD = ("name", "description", "search", "seeds")
"""What no stage's result depends on by itself; seeds are told beside the results."""


@dataclass(frozen=True)
class Change:
    """One field that differs; None where a side does not have it."""

    path: str
    a: Any
    b: Any

    @property
    def is_machines(self) -> bool:
        """Whether it can change no result."""
        return self.path.partition(".")[0] == "machines"


def differences(a: Recipe, b: Recipe) -> tuple[Change, ...]:
    """Fields that differ, by dotted path, defaults included; lists of one length element by element."""
    one, other = (_flat(recipe.model_dump(mode="json", exclude=set(UNTOLD))) for recipe in (a, b))
    return tuple(
        Change(path, one.get(path), other.get(path))
        for path in dict.fromkeys((*one, *other))
        if one.get(path, _Nothing) != other.get(path, _Nothing)
    )


class _Nothing:
    """Not even null."""


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by dotted path; a list of plain values is a leaf."""
    if isinstance(value, dict) and value:
        inner = value.items()
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        inner = {str(place): one for place, one in enumerate(value)}.items()
    else:
        return {path: value}
    return {
        name: leaf for step, one in inner for name, leaf in _flat(one, f"{path}.{step}" if path else str(step)).items()
    }
