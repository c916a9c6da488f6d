"""Supervisors that are crowds: how good each member is beside their verdict, how often two differ, how far they err together."""

# N rows, C classes

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.store import Store
from w2s.metrics import Floats, Ints
from w2s.metrics.crowds import disagreement, error_correlations
from w2s.recipe import Recipe
from w2s.report.cells import UNKNOWN, Sheet, seeds_text
from w2s.report.reading import Reader
from w2s.stages import Joined, Labels, Outcome, Rows

HEAD = (
    "supervisors of",
    "members",
    "mean member",
    "best",
    "verdict",
    "two differ on",
    "errors correlate",
    "most",
    "seeds",
)
LEGEND = (
    "Accuracies on the test rows, means over seeds; a crowd that several methods share is told once, by the first. Two differ on: "
    "the share of rows where two members choose different classes, on average over pairs.",
    "Errors correlate: of two members being wrong on a row, over all pairs, and the pair of whom it is most true. At 1 all of "
    "them are worth one: a verdict is better than its members where this is low, and a student cannot see errors they share.",
)


@dataclass(frozen=True)
class Crowd:
    """One seed's supervisors on the test rows: accuracies of `members` and of their `verdict`.

    `disagreement`: the share of rows on which two members differ, over pairs. `correlation` of their being wrong: its mean over
    pairs, and `most` of any pair; None where members are never or always wrong.
    """

    method: str
    seed: int
    members: tuple[float, ...]
    verdict: float
    disagreement: float
    correlation: float | None
    most: float | None


def crowds_of(recipe: Recipe, store: Store) -> tuple[Crowd, ...]:
    """All crowds of a recipe. Raises StageFailed for a damaged result."""
    methods = [(method.label, by_seed) for method, by_seed in recipe.outcomes.items()]
    return tuple(crowds(methods, Rows(recipe.task), Reader(store)))


def crowds(
    methods: Iterable[tuple[str, Mapping[int, Outcome]]], rows: Rows, reader: Reader, known: set[str] | None = None
) -> list[Crowd]:
    """The crowds behind the floors of some methods, as far as the store holds them; each verdict once.

    `known` are verdicts that were told elsewhere; those found are added. Raises StageFailed for a damaged result.
    """
    known = set() if known is None else known
    found: list[Crowd] = []
    for method, by_seed in methods:
        for seed, outcome in by_seed.items():
            verdict = None if outcome.floor is None else outcome.floor.labels
            if verdict is None or verdict.key in known or len(members_of(verdict)) < 2:
                continue
            one = _crowd(method, seed, verdict, rows, reader)
            if one is not None:
                known.add(verdict.key)
                found.append(one)
    return found


def members_of(verdict: Labels) -> tuple[Labels, ...]:
    """Whose labels a verdict is made of, whatever was done to them after; none where one labeller stands behind it."""
    inner = getattr(verdict, "labels", ())
    if isinstance(inner, Labels):
        return members_of(inner)
    if not isinstance(inner, tuple) or isinstance(verdict, Joined):  # its pieces are one labeller's
        return ()
    return members_of(inner[0]) if len(inner) == 1 else inner


def _crowd(method: str, seed: int, verdict: Labels, rows: Rows, reader: Reader) -> Crowd | None:
    test, own_NC = reader.rows(rows), reader.labels(verdict, rows)
    members = [reader.labels(one, rows) for one in members_of(verdict)]
    there = [one for one in members if one is not None]
    if test is None or own_NC is None or len(there) < len(members):
        return None
    truth_N = test[1]
    correlations = error_correlations(there, truth_N)
    return Crowd(
        method, seed, tuple(_right(one, truth_N) for one in there), _right(own_NC, truth_N), disagreement(there),
        float(np.mean(correlations)) if correlations else None, max(correlations, default=None),
    )  # fmt: skip


def _right(probs_NC: Floats, truth_N: Ints) -> float:
    return float((probs_NC.argmax(axis=-1) == truth_N).mean())


def sheet(found: Sequence[Crowd]) -> list[Sheet]:
    """A table of them, a line a method; none where no supervisor is a crowd."""
    methods = {one.method: [other for other in found if other.method == one.method] for one in found}
    lines = tuple((method, *_cells(some)) for method, some in methods.items())
    return [Sheet("Crowds of supervisors", HEAD, lines, LEGEND)] if lines else []


def _cells(some: Sequence[Crowd]) -> tuple[str, ...]:
    sizes = sorted({len(one.members) for one in some})
    return (
        " or ".join(map(str, sizes)), number([float(np.mean(one.members)) for one in some]), number([max(one.members) for one in some]),
        number([one.verdict for one in some]), number([one.disagreement for one in some]), number([one.correlation for one in some]),
        number([one.most for one in some]), seeds_text([one.seed for one in some]),
    )  # fmt: skip


def number(values: Sequence[float | None]) -> str:
    """A mean over seeds that have one."""
    there = [value for value in values if value is not None]
    return f"{np.mean(there):.3f}" if there else UNKNOWN
