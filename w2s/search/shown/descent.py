"""Who took over from whom in a population, as far as the lines of the trial table tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from w2s.search.population import ALPHA
from w2s.search.table import TABLE, Row

CLOSE = 1e-5  # alphas are rounded on their way


@dataclass(frozen=True)
class Takeover:
    """After `round`, a member went on from what others had trained, in place of its own. `donors`: who had those alphas."""

    member: int
    round: int
    donors: tuple[int, ...]

    @property
    def told(self) -> str:
        who = " or ".join(f"member {donor}" for donor in self.donors) or "a member that the table does not show"
        return f"after round {self.round}, member {self.member} took over from {who}"


def takeovers(folder: Path) -> list[Takeover]:
    """Reads every line of a search's table, in the order in which they were written."""
    found: list[Takeover] = []
    ways: dict[int, dict[int, list[float]]] = {}  # member -> rounds done -> its alphas then
    for row in _lines(folder):
        own = ways.setdefault(row.number, {})
        alphas = [float(alpha) for alpha in row.overrides[ALPHA]]
        behind = len(alphas) - 1
        if behind in own and not _same(own[behind], alphas[:behind]):
            donors = tuple(
                sorted(number for number, way in ways.items() if behind in way and _same(way[behind], alphas[:behind]))
            )
            found.append(Takeover(row.number, behind, donors))
        own[len(alphas)] = alphas
    return found


def _same(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(math.isclose(a, b, abs_tol=CLOSE) for a, b in zip(one, other, strict=True))


def _lines(folder: Path) -> list[Row]:
    found: list[Row] = []
    for line in (folder / TABLE).read_bytes().split(b"\n") if (folder / TABLE).exists() else []:
        try:
            row = Row.from_json(line)
        except ValueError:  # torn: the table tells of it
            continue
        if row.is_member and isinstance(row.overrides.get(ALPHA), list | tuple):
            found.append(row)
    return found
