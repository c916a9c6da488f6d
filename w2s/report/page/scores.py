"""Figures of scores, a line a method: PGR, accuracy, agreement with the supervisor."""

from __future__ import annotations

from collections.abc import Sequence

from w2s.metrics import Interval
from w2s.report.page.chapter import Line
from w2s.report.page.figure import MOST_DRAWN, SIDES, Figure, drawn_of, listed, number
from w2s.report.sheets import interval
from w2s.report.summary import SIDES as ALL_SIDES
from w2s.shown.drawing import Look
from w2s.shown.forest import Dot, Entry, Rule, forest

AGREEMENTS = {
    "agreement": ("all rows", Look("honest", "circle")),
    "where_right": ("supervisor right", Look("third", "square")),
    "where_wrong": ("supervisor wrong", Look("oracle", "diamond")),
    "right_where_apart": ("student right where they differ", Look("fourth", "triangle")),
}


def pgr(lines: Sequence[Line]) -> Figure | None:
    """PGR by method; where there is none, the reason stands instead."""
    compared = [line for line in lines if line.row.sides == ALL_SIDES and line.row.seeds]
    if not compared:
        return None
    entries = [
        Entry(line.name, () if line.row.pgr is None else (_dot("PGR", line.row.pgr, 2),), f"{line.row.verdict}: no PGR")
        for line in compared[:MOST_DRAWN]
    ]
    rows = tuple(
        (line.name, line.row.verdict if line.row.pgr is None else interval(line.row.pgr, 2), _by_seed(line.row.per_seed_pgr),
         interval(line.row.gain))
        for line in compared
    )  # fmt: skip
    told = (
        "0 is the supervisor, 1 the ceiling; bars are paired bootstrap intervals over test rows and seeds, an arrow goes on beyond "
        f"the axis.{drawn_of(len(compared), MOST_DRAWN, 'methods')}"
    )
    alt = "PGR by method: " + listed([f"{name} {shown}" for name, shown, *_ in rows])
    svg = forest(
        "pgr", entries, {"PGR": Look("honest", "circle")}, axis="performance gap recovered (PGR)", alt=alt,
        rules=(Rule(0, "floor"), Rule(1, "ceiling")), within=(-1.0, 2.0),
    )  # fmt: skip
    return Figure("pgr", "PGR by method", svg, told, ("method", "PGR", "by seed", "transfer - floor"), rows)


def _by_seed(values: Sequence[float | None]) -> str:
    return ", ".join(number(value, 2) for value in values)


def accuracies(lines: Sequence[Line], levels: set[float]) -> Figure | None:
    """Floor, transfer and ceiling of every method, as bars from the chance level where that is one for all."""
    known = [line for line in lines if any(getattr(line.row, side) for side in ALL_SIDES)]
    if not known:
        return None
    chance = next(iter(levels)) if len(levels) == 1 else None
    entries = [
        Entry(
            line.name, tuple(_dot(side, found) for side in ALL_SIDES if (found := getattr(line.row, side)) is not None)
        )
        for line in known[:MOST_DRAWN]
    ]
    rows = tuple((line.name, *(interval(getattr(line.row, side)) for side in ALL_SIDES)) for line in known)
    start = "Bars start at the chance level. " if chance is not None else "The recipes have different chance levels. "
    told = (
        f"{start}Lines are bootstrap intervals over test rows and seeds.{drawn_of(len(known), MOST_DRAWN, 'methods')}"
    )
    alt = "Test accuracy by method: " + listed(
        [f"{name}: floor {floor}, transfer {transfer}, ceiling {ceiling}" for name, floor, transfer, ceiling in rows]
    )
    rules = () if chance is None else (Rule(chance, f"chance {chance:.3f}"),)
    svg = forest("accuracy", entries, SIDES, axis="test accuracy", alt=alt, rules=rules, bars_from=chance)
    return Figure("accuracy", "Accuracy on the test rows", svg, told, ("method", *ALL_SIDES), rows)


def agreement(lines: Sequence[Line]) -> Figure | None:
    """How often each student sides with its supervisor: everywhere, and split by whether that is right."""
    known = [(line, line.diagnosis) for line in lines if line.diagnosis is not None and line.diagnosis.seeds]
    if not known:
        return None
    entries = [
        Entry(
            line.name,
            tuple(
                _dot(words, found)
                for name, (words, _) in AGREEMENTS.items()
                if (found := getattr(one, name)) is not None
            ),
        )
        for line, one in known[:MOST_DRAWN]
    ]
    rows = tuple((line.name, *(interval(getattr(one, name)) for name in AGREEMENTS)) for line, one in known)
    told = (
        "Equal choices of student and supervisor on the test rows. A student that repeats its supervisor agrees as much where it is "
        "wrong as where it is right; one that generalises agrees less where it is wrong. With two classes, transfer - floor = (1 - "
        f"agreement) x (2 x right where they differ - 1).{drawn_of(len(known), MOST_DRAWN, 'methods')}"
    )
    alt = "Agreement with the supervisor by method: " + listed(
        [
            f"{name}: {every} of all rows, {right} where it is right, {wrong} where it is wrong"
            for name, every, right, wrong, _ in rows
        ]
    )
    looks = dict(AGREEMENTS.values())
    svg = forest("agreement", entries, looks, axis="share of test rows", alt=alt)
    head = ("method", *looks)
    return Figure("agreement", "Agreement of student and supervisor", svg, told, head, rows)


def _dot(series: str, value: Interval, digits: int = 3) -> Dot:
    return Dot(series, value.mean, value.low, value.high, interval(value, digits))
