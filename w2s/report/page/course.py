"""Figures over training and along chains: learning curves, alpha, the bootstrapping ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from w2s.losses._shares import now
from w2s.metrics import Interval
from w2s.report.page.chapter import Line
from w2s.report.page.figure import CEILING, FLOOR, MOST_PANELS, SIDES, TRANSFER, Figure, drawn_of, listed, number
from w2s.report.sheets import CHOSEN, interval
from w2s.shown.drawing import Look
from w2s.shown.panels import Axes, Panel, Way, panels

CURVES = {"agreement": Look("honest", "circle"), "accuracy (truth)": Look("oracle", "triangle", "5 3")}
MOST_SEEDS = 10  # lines of one series in a panel
LOOKS = (
    Look("honest", "circle"), Look("oracle", "square", "7 3"), Look("third", "diamond", "2 3"), Look("fourth", "triangle", "9 3 2 3"),
)  # fmt: skip


def learning(lines: Sequence[Line]) -> Figure | None:
    """Each student's agreement with held-out labels, evaluation by evaluation; its accuracy there for the record."""
    known = [(line, [curve for curve in line.curves if curve.points]) for line in lines]
    known = [(line, found) for line, found in known if found]
    if not known:
        return None
    drawn: list[Panel] = []
    for line, found in known[:MOST_PANELS]:
        ways: list[Way] = []
        for curve in [curve for curve in found if curve.student == "transfer"][:MOST_SEEDS] or found[:MOST_SEEDS]:
            many = len(found) > 1
            ways.append(
                Way("agreement", tuple((float(point.step), point.agreement) for point in curve.points),
                    told=tuple(f"{curve.student} s{curve.seed}, step {point.step}" for point in curve.points),
                    fade=0.8 if many else 1.0)
            )  # fmt: skip
            truth = tuple((float(point.step), point.accuracy) for point in curve.points if point.accuracy is not None)
            if truth:
                ways.append(Way("accuracy (truth)", truth, fade=0.55 if many else 1.0))
        drawn.append(Panel(line.name, tuple(ways)))
    rows = tuple(
        (line.name, curve.student, str(curve.seed), str(point.step), number(point.agreement), number(point.accuracy),
         "kept" if point.step == curve.selected_step else "", CHOSEN.get(curve.select, curve.select))
        for line, found in known for curve in found for point in curve.points
    )  # fmt: skip
    told = (
        "A line a seed. Solid: agreement with held-out labels of the kind the student learns from. Dashed: accuracy on the same rows "
        "against the truth, which a real student would not have; by it nothing is chosen unless the method says oracle."
        f"{drawn_of(len(known), MOST_PANELS, 'methods')}"
    )
    alt = "Learning curves: " + listed(
        [f"{line.name}, seed {curve.seed}: agreement {number(curve.points[0].agreement)} to {number(curve.points[-1].agreement)}"
         for line, found in known for curve in found]
    )  # fmt: skip
    every = {
        series: look
        for series, look in CURVES.items()
        if any(way.series == series for one in drawn for way in one.ways)
    }
    last = max(point.step for _, found in known for curve in found for point in curve.points)
    axes = Axes("step", "held-out rows", x_ends=(0.0, last * 1.04 or 1.0), whole=True)
    svg = panels("learning", drawn, every, axes, alt)
    head = ("method", "student", "seed", "step", "agreement", "accuracy (truth)", "kept", "chosen by")
    return Figure("learning", "Learning curves", svg, told, head, thinned(rows))


def thinned(rows: tuple[tuple[str, ...], ...], most: int = 400) -> tuple[tuple[str, ...], ...]:
    """Every so-manyth line of a long table, with the first and the last."""
    if len(rows) <= most:
        return rows
    step = (len(rows) - 1) / (most - 1)
    return tuple(rows[round(place * step)] for place in range(most))


# ---- alpha


def alpha(lines: Sequence[Line]) -> Figure | None:
    """Accuracy against alpha, where methods differ in alpha alone."""
    groups: dict[str, list[tuple[float, Line]]] = {}
    for line in lines:
        found = _alpha_of(line.config)
        if isinstance(found, int | float) and line.row.transfer is not None:
            groups.setdefault(_but_for_alpha(line), []).append((float(found), line))
    swept = [sorted(group, key=lambda pair: pair[0]) for group in groups.values() if len({at for at, _ in group}) > 1]
    if not swept:
        return None
    drawn = [Panel(_without_alpha(group[0][1]), tuple(_sides(group))) for group in swept[:MOST_PANELS]]
    rows = tuple(
        (line.name, f"{at:g}", *(interval(getattr(line.row, side)) for side in SIDES),
         line.row.verdict if line.row.pgr is None else interval(line.row.pgr, 2))
        for group in swept for at, line in group
    )  # fmt: skip
    told = f"Methods that differ in alpha alone. Bars are bootstrap intervals.{drawn_of(len(swept), MOST_PANELS, 'groups')}"
    alt = "Test accuracy by alpha: " + listed([f"alpha {at}: transfer {transfer}" for _, at, _, transfer, _, _ in rows])
    svg = panels("alpha", drawn, SIDES, Axes("alpha", "test accuracy"), alt)
    return Figure("alpha", "Accuracy by alpha", svg, told, ("method", "alpha", *SIDES, "PGR"), rows)


def _sides(group: Sequence[tuple[float, Line]]) -> list[Way]:
    found: list[Way] = []
    for side in SIDES:
        known = [(at, value) for at, line in group if (value := getattr(line.row, side)) is not None]
        spans = tuple(_span(value) if side == TRANSFER else None for _, value in known)
        found.append(Way(side, tuple((at, value.mean) for at, value in known), marked=side == TRANSFER, spans=spans))
    return found


def _span(value: Interval) -> tuple[float, float]:
    return (value.mean if value.low is None else value.low, value.mean if value.high is None else value.high)


def _alpha_of(config: Any) -> Any:
    """A method's alpha, or that of the loss it is given."""
    own = getattr(config, "alpha", None)
    return getattr(getattr(config, "loss", None), "alpha", None) if own is None else own


def _but_for_alpha(line: Line) -> str:
    """What two methods have in common that differ in alpha alone: the rest of the choices, and floor and ceiling."""
    plain = line.config.dump()
    plain.pop("alpha", None)
    if isinstance(plain.get("loss"), dict):
        plain["loss"].pop("alpha", None)
    ends = sorted(
        grade.key
        for outcome in line.outcomes.values()
        for side, grade in outcome.sides().items()
        if side in (FLOOR, CEILING)
    )
    return f"{sorted(plain.items(), key=str)} {ends}"


def _without_alpha(line: Line) -> str:
    return " ".join(word for word in line.row.method.split() if not word.startswith("alpha="))


def schedules(lines: Sequence[Line]) -> Figure | None:
    """Alpha over training, where it changes as the recipe says: several numbers one after another, or a warm-up."""
    known = [(line, found) for line in lines if (found := _schedule(line)) is not None]
    if not known or not any(isinstance(_alpha_of(line.config), tuple) for line, _ in known):
        return None
    shown = known[: len(LOOKS)]
    looks = {line.name: look for (line, _), look in zip(shown, LOOKS, strict=False)}
    ways = tuple(Way(line.name, points, marked=False) for line, points in shown)
    rows = tuple((line.name, *(f"{dict(points)[at / 10]:.3f}" for at in range(0, 11, 2))) for line, points in known)
    told = f"The weight of the student's own guess in its loss.{drawn_of(len(known), len(LOOKS), 'methods')}"
    alt = "Alpha over training: " + listed([f"{row[0]} from {row[1]} to {row[-1]}" for row in rows])
    axes = Axes("share of training", "alpha", x_ends=(0.0, 1.0))
    svg = panels("schedule", [Panel("", ways)], looks, axes, alt)
    return Figure("schedule", "Alpha over training", svg, told, ("method", "0", "0.2", "0.4", "0.6", "0.8", "1"), rows)


def _schedule(line: Line) -> tuple[tuple[float, float], ...] | None:
    """Points of a confidence method's alpha; None for other losses, and for the variant with a leap."""
    config: Any = line.config if hasattr(line.config, "warmup") else getattr(line.config, "loss", None)
    if config is None or not hasattr(config, "warmup") or getattr(config, "variant", "paper") == "reference":
        return None
    held = getattr(config, "alpha", None)
    if held is None:
        return None
    grown = [min(1.0, place / 100 / config.warmup) if config.warmup else 1.0 for place in range(101)]
    return tuple((place / 100, float(now(held, place / 100)) * share) for place, share in enumerate(grown))


# ---- the ladder


def ladder(lines: Sequence[Line]) -> Figure | None:
    """From the supervisor over each rung to the last student, seed by seed, below the ceiling."""
    known = [(line, found) for line in lines if (found := _rungs(line.row.members))]
    if not known:
        return None
    drawn = [_ladder(line, rungs) for line, rungs in known[:MOST_PANELS]]
    rows = tuple(
        (line.name, name, interval(value), ", ".join(number(one) for one in by_seed))
        for line, rungs in known
        for name, value, by_seed in (
            ("supervisor", line.row.floor, _accuracies(line, FLOOR)),
            *((name, line.row.member_means.get(name), line.row.members[name]) for name in rungs),
            ("student", line.row.transfer, _accuracies(line, TRANSFER)),
            ("ceiling", line.row.ceiling, _accuracies(line, CEILING)),
        )
    )
    told = (
        "Each rung learns from the labels of the one before; the last is the strong student. Thin: a seed; thick: the mean, with its "
        f"bootstrap interval.{drawn_of(len(known), MOST_PANELS, 'chains')}"
    )
    alt = "Accuracy along each chain: " + listed([f"{name}, {rung} {value}" for name, rung, value, _ in rows])
    looks = {"mean": Look("honest", "circle"), "seed": Look("muted", "ring")}
    svg = panels("ladder", drawn, looks, Axes("rung", "test accuracy"), alt)
    return Figure("ladder", "The bootstrapping ladder", svg, told, ("method", "rung", "accuracy", "by seed"), rows)


def _rungs(members: Mapping[str, tuple[float, ...]]) -> list[str]:
    return [name for name in members if name.startswith("rung ")]


def _accuracies(line: Line, side: str) -> tuple[float, ...]:
    grades = [getattr(scores, side) for scores in line.scores.seeds]
    return tuple(float(grade.correct.mean()) for grade in grades if grade is not None)


def _ladder(line: Line, rungs: Sequence[str]) -> Panel:
    means = [line.row.floor, *(line.row.member_means.get(name) for name in rungs), line.row.transfer]
    known = [(float(place), value) for place, value in enumerate(means) if value is not None]
    ways: list[Way] = []
    columns = [_accuracies(line, FLOOR), *(line.row.members[name] for name in rungs), _accuracies(line, TRANSFER)]
    if len({len(column) for column in columns}) == 1:  # else a line would join different seeds
        for by_seed in list(zip(*columns, strict=True))[:MOST_SEEDS]:
            ways.append(Way("seed", tuple((float(place), value) for place, value in enumerate(by_seed)), fade=0.5))
    ways.append(
        Way("mean", tuple((at, value.mean) for at, value in known), spans=tuple(_span(value) for _, value in known))
    )
    names = ["weak", *(name.removeprefix("rung ") for name in rungs), "student"]
    ceiling = None if line.row.ceiling is None else (line.row.ceiling.mean, f"ceiling {line.row.ceiling.mean:.3f}")
    return Panel(line.name, tuple(ways), ceiling, tuple((float(place), name) for place, name in enumerate(names)))
