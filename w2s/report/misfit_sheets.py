"""Misfits in words: the section of every report, the tables of `w2s misfit`, and their columns for programs."""

from __future__ import annotations

import csv as csv_module
import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any

from w2s.report.cells import UNKNOWN, Sheet, interval, seeds_text
from w2s.report.misfit import Foretold, Misfits
from w2s.report.misfit_rank import Place, Ranking

TITLE = "Gain predicted by misfit"
HEAD = ("method", "predicted gain", "true gain", "temperature", "seeds")
ORACLE = "(oracle)"
DIGITS = 4
SHOWN = 4  # missing stages named in text; JSON names all

SIGNAL = (
    "The inequality behind it (gain at least misfit) supposes that the truth is in the student's class; on real data it fails: "
    "published gains are .25 to .75 of the misfit. A signal to rank supervisors by, no promise of a gain."
)
SECTION = (
    "predicted gain: the reverse misfit KL(student || supervisor) on the test rows, in nats, without their truth; true gain: the "
    "supervisor's cross-entropy there less the student's, with it. The supervisor is at its temperature, fitted on held-out rows (-: "
    "it was asked about none, and is taken as it is: one that is too sure inflates both).",
    SIGNAL,
)


def shown(found: Misfits | None) -> list[Foretold]:
    """The methods of which a report knows something. Candidates have their tables in `w2s misfit`."""
    return [] if found is None else [line for line in found.lines if line.misfit is not None and not line.group]


def section(found: Misfits) -> list[Sheet]:
    """A line a method; no table where nothing is known of any."""
    known = shown(found)
    if not known:
        return []
    rows = tuple(
        (line.name, interval(line.gain, DIGITS), interval(line.truth.gain if line.truth else None, DIGITS),
         _number(line.temperature), seeds_text(line.seeds))
        for line in known
    )  # fmt: skip
    return [Sheet(TITLE, HEAD, rows, SECTION)]


# --- `w2s misfit` ---------------------------------------------------------------------------------------------------


def sheets(found: Misfits) -> tuple[Sheet, ...]:
    """The methods' pairs, each method's candidates, and what the truth says of both where it was asked for."""
    groups = list(dict.fromkeys(line.group for line in found.lines)) or [""]
    made: list[Sheet] = []
    for group in groups:
        own = [line for line in found.lines if line.group == group]
        made.append(_foretold(group, own, found))
        if any(line.truth is not None for line in own):
            made.append(_true(group, own, found))
    return tuple(made)


def _foretold(group: str, lines: Sequence[Foretold], found: Misfits) -> Sheet:
    """What is known without the truth of test rows."""
    mark = f" {ORACLE}" if found.fitted else ""
    columns: dict[str, Callable[[Foretold], str]] = {
        "weak loss": lambda line: interval(line.weak_loss, DIGITS),
        "misfit": lambda line: interval(line.misfit, DIGITS),
    }
    if found.slope.mean != 1 or found.fitted:
        columns[f"predicted gain{mark}"] = lambda line: interval(line.gain, DIGITS)
    columns |= {
        f"predicted loss{mark}": lambda line: interval(line.loss, DIGITS),
        "rank": lambda line: _rank(line.place),
        "first in": lambda line: UNKNOWN if line.place is None else f"{line.place.first:.0%}",
    }
    if any(line.chosen is not None for line in lines):
        columns["chosen"] = lambda line: f"{line.chosen or 0} of {len(line.seeds)}"
    columns["T"] = lambda line: _number(line.temperature)
    if len({line.seeds for line in lines if line.seeds}) > 1:  # else the legend has them: the line would be too long
        columns["seeds"] = lambda line: seeds_text(line.seeds)
    rows = tuple((line.name, *(cell(line) for cell in columns.values())) for line in lines)
    what = "candidate" if group else "method"
    title = f"Candidates of {group}" if group else "Methods"
    return Sheet(title, (what, *columns), rows, (*_gone(lines), *_legend(group, lines, found)))


def _gone(lines: Sequence[Foretold]) -> list[str]:
    missing = [
        f"{line.name}: left out here, as they are not there: {_named(line.missing)}" for line in lines if line.missing
    ]
    unheld = [line.name for line in lines if line.seeds and line.weak_loss is None]
    if unheld:
        missing.append(
            f"{'; '.join(unheld)}: no weak loss, as the supervisor was asked about no held-out rows: set strong.evaluate: epoch (and "
            "split.val above 0)"
        )
    return missing


def _legend(group: str, lines: Sequence[Foretold], found: Misfits) -> list[str]:
    told = [
        f"weak loss: the supervisor's cross-entropy on held-out rows whose truth its teacher knew, each row at the temperature that "
        f"fits the others (T: fitted on all of them). misfit: KL(student || supervisor) on {found.n_test:,} test rows, without their "
        f"truth. predicted loss = weak loss - {_slope(found)} * misfit; in nats.",
        f"In brackets: {found.level:.0%} intervals of one bootstrap over rows and seeds{_seeds(lines)} for all; those of ranks too. "
        "first in: the share of its draws in which a pair has the least predicted loss.",
        SIGNAL,
    ]
    if not group and len(lines) > 1:
        told.append(
            "Ranks of methods are for the eye: the theory compares supervisors whose students learn alike, from calibrated labels "
            "(method choose_weak). One that learned to be unsure from unsure labels, or was trained to differ, has misfit without gain."
        )
    return told


def _seeds(lines: Sequence[Foretold]) -> str:
    seeds = {line.seeds for line in lines if line.seeds}
    return f" ({seeds_text(next(iter(seeds)))})" if len(seeds) == 1 else ""


def _slope(found: Misfits) -> str:
    if not found.fitted:
        return f"{found.slope.mean:g}"
    return f"{interval(found.slope, 2)} (slope fitted on the truth of these very test rows: oracle)"


def _true(group: str, lines: Sequence[Foretold], found: Misfits) -> Sheet:
    """What the truth of the test rows says of it: every column is an oracle's."""
    columns = ("true gain", "slack", "true loss", "true rank")
    rows = tuple(
        (line.name, *(interval(value, DIGITS) for value in (line.truth.gain, line.truth.slack, line.truth.loss)),
         UNKNOWN if line.place is None or line.place.true_rank is None else str(line.place.true_rank))
        if line.truth is not None else (line.name, *[UNKNOWN] * len(columns))
        for line in lines
    )  # fmt: skip
    title = f"Candidates of {group}, with the truth {ORACLE}" if group else f"Methods, with the truth {ORACLE}"
    head = ("candidate" if group else "method", *(f"{name} {ORACLE}" for name in columns))
    notes = [
        "true gain: the supervisor's cross-entropy on the test rows (at its temperature) less the student's; slack = true gain - "
        "misfit: at least 0, says the theory. true loss: the student's.",
        *(_verdict(one) for one in found.rankings if one.group == group),
    ]
    return Sheet(title, head, rows, tuple(notes))


def _verdict(one: Ranking) -> str:
    """Whether the ranking was right."""
    if one.regret is None:
        return ""
    right = "is also truly the best" if one.first == one.best else f"is not the best, which is {one.best}"
    rho = f"Spearman of predicted with true losses {interval(one.spearman, 2)}; " if one.spearman is not None else ""
    return f"{ORACLE} {rho}{one.first}, predicted to be the best, {right}; regret {interval(one.regret, DIGITS)} nats."


def _rank(place: Place | None) -> str:
    return UNKNOWN if place is None else f"{place.rank} [{place.low}, {place.high}]"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return "; ".join(names[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


# --- for programs ---------------------------------------------------------------------------------------------------

BRIEF = tuple(
    [f"{name}{end}" for name in ("predicted_gain", "true_gain") for end in ("", "_low", "_high")]
    + ["supervisor_temperature"]
)
"""The columns of a report, which knows the truth."""


def brief(line: Foretold | None) -> list[object]:
    """The cells of `BRIEF`."""
    if line is None:
        return [None] * len(BRIEF)
    true = [None] * 3 if line.truth is None else _ends(line.truth, ("gain",))
    return [*_ends(line, ("gain",)), *true, line.temperature]


SPANS = ("weak_loss", "misfit", "gain", "loss", "held_misfit")
TRUE = ("gain", "slack", "loss")


def columns(*, truth: bool) -> tuple[str, ...]:
    """The head of `csv`: of what the truth tells, every name begins with `oracle_`."""
    told = [f"{name}{end}" for name in _renamed(SPANS) for end in ("", "_low", "_high")]
    ranks = ["rank", "rank_low", "rank_high", "ranked", "first"]
    known = [f"oracle_true_{name}{end}" for name in TRUE for end in ("", "_low", "_high")] if truth else []
    return (
        "group",
        "name",
        *told,
        *ranks,
        "chosen",
        "temperature",
        "seeds",
        *known,
        *(["oracle_true_rank"] if truth else []),
    )


def _renamed(names: Sequence[str]) -> list[str]:
    return [{"gain": "predicted_gain", "loss": "predicted_loss"}.get(name, name) for name in names]


def cells(line: Foretold, *, truth: bool) -> list[object]:
    """The values of `columns`; None is what is not known."""
    place = line.place
    ranks = [None] * 5 if place is None else [place.rank, place.low, place.high, place.of, place.first]
    found: list[object] = [
        line.group,
        line.name,
        *_ends(line, SPANS),
        *ranks,
        line.chosen,
        line.temperature,
        seeds_text(line.seeds),
    ]
    if truth:
        known = [None] * 3 * len(TRUE) if line.truth is None else _ends(line.truth, TRUE)
        found += [*known, None if place is None else place.true_rank]
    return found


def _ends(of: object, names: Sequence[str]) -> list[float | None]:
    spans = [getattr(of, name) for name in names]
    return [end for one in spans for end in ((one.mean, one.low, one.high) if one else (None, None, None))]


def csv(found: Misfits) -> str:
    """One line a pair. Empty: unknown."""
    truth = any(line.truth is not None for line in found.lines)
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    writer.writerow(columns(truth=truth))
    for line in found.lines:
        writer.writerow([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in cells(line, truth=truth)])
    return out.getvalue()


def as_dict(found: Misfits) -> dict[str, Any]:
    """Plain JSON values; nothing is left out. What the truth tells stands under `truth` and in rankings' `oracle`."""
    told = dataclasses.asdict(found)
    for ranking in told["rankings"]:
        ranking["oracle"] = {name: ranking.pop(name) for name in ("best", "spearman", "regret")}
    for line in told["lines"]:
        line["predicted_gain"], line["predicted_loss"] = line.pop("gain"), line.pop("loss")
        line["oracle_truth"] = line.pop("truth")
    return told
