"""Supervisors that are ensembles: how good each member is beside their verdict, and how often members differ."""

# N rows, C classes

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cluster.store import Store
from w2s.metrics import Floats
from w2s.report.page.chapter import Chapter
from w2s.report.page.figure import MOST_DRAWN, Figure, drawn_of, listed
from w2s.report.reading import Reader
from w2s.shown.drawing import Look
from w2s.shown.forest import Dot, Entry, forest
from w2s.stages import Combine, Rows

PAIRS = 500  # of members that are compared
LOOKS = {"member": Look("muted", "ring"), "verdict": Look("third", "square")}


@dataclass(frozen=True)
class Crowd:
    """One seed's supervisors. `disagreement`: the share of rows on which two members differ, on average over pairs."""

    name: str
    members: tuple[float, ...]
    verdict: float
    disagreement: float


def ensembles(chapters: Sequence[Chapter], store: Store) -> Figure | None:
    """Members and their verdict, a line a crowd: one that several methods share is shown once."""
    found: dict[str, Crowd] = {}
    for chapter in chapters:
        _add(chapter, store, found)
    crowds = list(found.values())
    if not crowds:
        return None
    entries = [
        Entry(crowd.name, (
            *(Dot("member", value, None, None, bare=True) for value in crowd.members),
            Dot("verdict", crowd.verdict, None, None, f"differ on {crowd.disagreement:.1%}", bare=True),
        ))
        for crowd in crowds[:MOST_DRAWN]
    ]  # fmt: skip
    rows = tuple(
        (crowd.name, str(len(crowd.members)), _shown(crowd.members), f"{np.mean(crowd.members):.3f}", f"{crowd.verdict:.3f}",
         f"{crowd.disagreement:.3f}")
        for crowd in crowds
    )  # fmt: skip
    told = (
        "Rings: each member's accuracy on the test rows; square: their combined verdict, which supervises. Members that err on "
        f"different rows (they differ often) make a verdict that is better than they are.{drawn_of(len(crowds), MOST_DRAWN, 'crowds')}"
    )
    alt = "Members of each ensemble: " + listed(
        [
            f"{name}: mean {mean}, verdict {verdict}, differ on {apart} of rows"
            for name, _, _, mean, verdict, apart in rows
        ]
    )
    svg = forest("ensemble", entries, LOOKS, axis="test accuracy", alt=alt)
    head = ("supervisors", "members", "accuracy of each", "mean", "verdict", "two members differ on")
    return Figure("ensemble", "Ensemble members and their disagreement", svg, told, head, rows)


def _add(chapter: Chapter, store: Store, found: dict[str, Crowd]) -> None:
    """The crowds of a recipe by the key of their verdict, as far as they are not known yet."""
    if chapter.recipe.task.writes:
        return
    reader, rows = Reader(store), Rows(chapter.recipe.task)
    for line in chapter.lines:
        for seed, outcome in line.outcomes.items():
            verdict = outcome.floor.labels if outcome.floor is not None else None
            if not isinstance(verdict, Combine) or len(verdict.labels) < 2 or verdict.key in found:
                continue
            own, members = reader.labels(verdict, rows), [reader.labels(one, rows) for one in verdict.labels]
            test = reader.rows(rows)
            if own is None or test is None or any(one is None for one in members):
                continue
            there = [one for one in members if one is not None]
            right = [float((one.argmax(axis=-1) == test[1]).mean()) for one in there]
            name = f"{chapter.title}, seed {seed}: {verdict.origin} ({verdict.how})"
            found[verdict.key] = Crowd(
                name, tuple(right), float((own.argmax(axis=-1) == test[1]).mean()), _apart(there)
            )


def _apart(members: Sequence[Floats]) -> float:
    chosen = [one_NC.argmax(axis=-1) for one_NC in members]
    pairs = list(combinations(chosen, 2))
    step = max(1, len(pairs) // PAIRS)
    return float(np.mean([(one != other).mean() for one, other in pairs[::step]]))


def _shown(values: Sequence[float]) -> str:
    head = ", ".join(f"{value:.3f}" for value in values[:12])
    return head + (f", and {len(values) - 12} more" if len(values) > 12 else "")
