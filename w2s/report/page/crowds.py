"""The figure of crowds of supervisors: members beside their verdict, how often they differ, how far they err together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cluster.store import Store
from w2s.report.crowds import Crowd, crowds, number
from w2s.report.page.chapter import Chapter
from w2s.report.page.figure import MOST_DRAWN, Figure, drawn_of, listed
from w2s.report.reading import Reader
from w2s.shown.drawing import Look
from w2s.shown.forest import Dot, Entry, forest
from w2s.stages import Rows

LOOKS = {"member": Look("muted", "ring"), "verdict": Look("third", "square")}
HEAD = (
    "supervisors", "members", "accuracy of each", "mean", "verdict", "two members differ on", "errors correlate", "most correlated",
)  # fmt: skip


def ensembles(chapters: Sequence[Chapter], store: Store) -> Figure | None:
    """Members and their verdict, a line a crowd: one that several methods share is shown once."""
    named = _named(chapters, store)
    if not named:
        return None
    entries = [
        Entry(name, (
            *(Dot("member", value, None, None, bare=True) for value in crowd.members),
            Dot("verdict", crowd.verdict, None, None, f"differ on {crowd.disagreement:.1%}", bare=True),
        ))
        for name, crowd in named[:MOST_DRAWN]
    ]  # fmt: skip
    rows = tuple((name, *_cells(crowd)) for name, crowd in named)
    told = (
        "Rings: each member's accuracy on the test rows; square: their combined verdict, which supervises. Members that err on "
        "different rows make a verdict that is better than they are; where their errors correlate, a crowd is worth little more than "
        f"one of it, and all of it teaches the same errors.{drawn_of(len(named), MOST_DRAWN, 'crowds')}"
    )
    alt = "Members of each ensemble: " + listed(
        [
            f"{name}: mean {mean}, verdict {verdict}, differ on {apart} of rows, errors correlate {together}"
            for name, _, _, mean, verdict, apart, together, _ in rows
        ]
    )
    svg = forest("ensemble", entries, LOOKS, axis="test accuracy", alt=alt)
    return Figure("ensemble", "Ensemble members and their disagreement", svg, told, HEAD, rows)


def _named(chapters: Sequence[Chapter], store: Store) -> list[tuple[str, Crowd]]:
    """The crowds of all recipes, each with a name of its own on the page."""
    known: set[str] = set()
    found: list[tuple[str, Crowd]] = []
    for chapter in chapters:
        if chapter.recipe.task.writes:
            continue
        methods = [(line.scores.method, line.outcomes) for line in chapter.lines]
        there = crowds(methods, Rows(chapter.recipe.task), Reader(store), known)
        found += [(f"{chapter.title}, seed {one.seed}: {one.method}", one) for one in there]
    return found


def _cells(crowd: Crowd) -> tuple[str, ...]:
    return (
        str(len(crowd.members)), _shown(crowd.members), f"{np.mean(crowd.members):.3f}", f"{crowd.verdict:.3f}",
        f"{crowd.disagreement:.3f}", number([crowd.correlation]), number([crowd.most]),
    )  # fmt: skip


def _shown(values: Sequence[float]) -> str:
    head = ", ".join(f"{value:.3f}" for value in values[:12])
    return head + (f", and {len(values) - 12} more" if len(values) > 12 else "")
