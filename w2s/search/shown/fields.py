"""The searched fields as typed columns: what each may be, and what every trial had. TensorBoard and the page both read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from w2s.schema import ANY, split
from w2s.search.domains import Choice, Domain
from w2s.search.population import ALPHA
from w2s.search.searched import Searched
from w2s.search.space import pattern_of
from w2s.search.table import Row

Kind: TypeAlias = Literal["number", "truth", "words"]
Value: TypeAlias = float | bool | str
LONGEST = 60  # characters of a value that is a list or a mapping
DECADES = 30  # choices that lie so many times apart are shown by their logarithm


@dataclass(frozen=True)
class Field:
    """One column. `values` are by trial key; a trial without the field is not in it.

    A number lies in [low, high]; `listed` are the values it was chosen from, if it was. Of words, `listed` are all there are.
    """

    path: str
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    listed: tuple[Value, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def varies(self) -> bool:
        return len(set(self.values.values())) > 1

    def place(self, value: Value) -> float:
        """A value as a number: itself, or its place in the list."""
        return float(value) if self.kind == "number" else float(self.listed.index(value))


def fields_of(searched: Searched, rows: Sequence[Row]) -> list[Field]:
    """The columns of a search, in the order of its space; fields of an earlier, wider space after them."""
    if searched.search.algorithm == "pbt":
        return _rounds(searched, rows)
    space = searched.search.space
    found: dict[str, Domain | None] = {path: one for path, one in space.items() if ANY not in split(path)}
    for path in (path for row in rows for path in row.overrides):
        if path not in found:
            found[path] = _domain(searched, path)
    order = list(space)
    places = {path: _pattern_place(searched, path, order) for path in found}
    return [_field(path, found[path], _values(rows, path)) for path in sorted(found, key=lambda path: places[path])]


def _rounds(searched: Searched, rows: Sequence[Row]) -> list[Field]:
    """Of a population: alpha, round by round."""
    domain = searched.search.space[ALPHA]
    found: list[Field] = []
    for index in range(searched.search.rounds):
        values = {row.trial: float(row.overrides[ALPHA][index]) for row in rows if index < len(row.overrides[ALPHA])}
        found.append(_field(f"{ALPHA} round {index + 1}", domain, values))
    return found


def _domain(searched: Searched, path: str) -> Domain | None:
    try:
        return searched.search.space[pattern_of(searched.search.space, path)]
    except StopIteration:  # of a space that was another then
        return None


def _pattern_place(searched: Searched, path: str, order: Sequence[str]) -> tuple[int, str]:
    try:
        return order.index(pattern_of(searched.search.space, path)), path
    except StopIteration:
        return len(order), path


def _values(rows: Sequence[Row], path: str) -> dict[str, Any]:
    return {row.trial: row.overrides[path] for row in rows if path in row.overrides}


def _field(path: str, domain: Domain | None, values: Mapping[str, Any]) -> Field:
    listed = list(domain.choice) if isinstance(domain, Choice) else []
    every = [*listed, *values.values()]
    if every and all(isinstance(value, bool) for value in every):
        return Field(path, "truth", listed=(False, True), values=values)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in every):
        ends = [float(value) for value in every]
        wide = bool(listed) and min(ends) > 0 and max(ends) >= DECADES * min(ends)
        log, whole = wide, all(isinstance(value, int) for value in every)
        if domain is not None and not isinstance(domain, Choice):
            ends += [float(domain.low), float(domain.high)]
            log, whole = domain.log, domain.kind == "int"
        numbers = tuple(float(value) for value in listed)
        low, high = (min(ends), max(ends)) if ends else (0.0, 0.0)
        return Field(
            path, "number", low, high, log, whole, numbers, {key: float(value) for key, value in values.items()}
        )
    words = {key: worded(value) for key, value in values.items()}
    known = dict.fromkeys([*map(worded, listed), *words.values()])
    return Field(path, "words", listed=tuple(known), values=words)


def worded(value: Any) -> str:
    """A value as text: words as they are, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def short(text: str, most: int = LONGEST) -> str:
    """A text cut to a length that a table or a plot has room for."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
