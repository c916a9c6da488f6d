"""What each student should gain, by misfit and without the truth of the rows it is asked about; and, apart from it, the truth.

Theory (Charikar et al. 2024; Mulgund and Pabbaraju 2025) has a student's cross-entropy at most that of its supervisor less the
reverse misfit, KL(student || supervisor). So predicted loss = supervisor's loss on held-out rows - slope * misfit on test rows:
the held-out rows are those whose truth the supervisor's teacher knew and which nobody learned from; of the test rows no label
is read. What needs the truth of test rows is computed where `truth_N` is given, and stands in fields of its own (`Truth`).
"""

# N rows, C classes, D bootstrap draws

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from w2s.metrics import (
    Floats,
    Interval,
    Ints,
    at_temperature,
    clipped_losses,
    cross_fitted,
    fit_temperature,
    reverse_kl,
)
from w2s.metrics.jointly import Column, Drawn, Quantity, constant, jointly
from w2s.report.diagnostics import ANSWERS_DRAWN, LEAST_DRAWS, MOST_DRAWS
from w2s.report.misfit_rank import Place, Ranking, Standing, rank

FIT = "fit"


@dataclass(frozen=True)
class Held:
    """A supervisor's labels of held-out rows and their truth; its student's labels of them where it was asked."""

    ids: tuple[str, ...]
    supervisor_NC: Floats
    truth_N: Ints
    student_NC: Floats | None = None


@dataclass(frozen=True)
class Beside:
    """One seed of a pair: what supervisor and student say of the test rows. No truth of these rows is here."""

    seed: int
    supervisor_NC: Floats
    student_NC: Floats
    held: Held | None = None


@dataclass(frozen=True)
class Pairing:
    """A supervisor and its student over seeds: a method's, or (with a `group`) a candidate's of a method that chooses.

    `chosen`: in how many of its seeds a candidate was chosen. `missing` names label stages that the store does not hold.
    """

    name: str
    besides: tuple[Beside, ...]
    group: str = ""
    missing: tuple[str, ...] = ()
    chosen: int | None = None


@dataclass(frozen=True)
class Truth:
    """What only ground truth tells of a pair on the test rows: the supervisor's loss less the student's, that less the misfit, and
    the student's loss."""

    gain: Interval
    slack: Interval
    loss: Interval


@dataclass(frozen=True)
class Foretold:
    """One pair. Losses and misfits in nats, over its seeds; None where no supervisor was asked about held-out rows.

    `temperature`: the mean over seeds of what makes the supervisor as sure as it is right; None: it is taken as it is.
    `held_misfit`: on held-out rows, where the student was asked about them (as a method that chooses does).
    """

    name: str
    group: str
    seeds: tuple[int, ...]
    missing: tuple[str, ...] = ()
    chosen: int | None = None
    temperature: float | None = None
    misfit: Interval | None = None
    gain: Interval | None = None
    held_misfit: Interval | None = None
    weak_loss: Interval | None = None
    loss: Interval | None = None
    place: Place | None = None
    truth: Truth | None = None


@dataclass(frozen=True)
class Misfits:
    """Every pair of a recipe. `slope` is what a student gains per misfit: given, or (`fitted`) from the truth of these very pairs."""

    level: float
    slope: Interval
    fitted: bool
    n_test: int
    lines: tuple[Foretold, ...]
    rankings: tuple[Ranking, ...]


def foretell(
    ids: Sequence[str],
    pairings: Sequence[Pairing],
    *,
    slope: float | str = 1.0,
    truth_N: Ints | None = None,
    level: float = 0.95,
) -> Misfits:
    """Means and intervals over seeds and rows, those of all pairs drawn together.

    `ids` are the test rows. `slope: fit` is the least-squares slope of gain on misfit over the distinct pairs, which needs the
    truth. Raises ValueError for that without the truth, or where no pair has any misfit.
    """
    if slope == FIT and truth_N is None:
        raise ValueError("a slope is fitted to the truth, which is not given")
    draws = max(LEAST_DRAWS, min(MOST_DRAWS, ANSWERS_DRAWN // max(1, len(ids))))
    known = [_comparable(pair) for pair in pairings]
    cooled = _Cooled()
    quantities: dict[str, Quantity] = {}
    for place, pair in enumerate(known):
        quantities |= {f"{place} {name}": one for name, one in _quantities(pair, ids, cooled, truth_N).items()}
    drawn = jointly(quantities, draws=draws) if quantities else {}
    seen = [
        {name: drawn[f"{place} {name}"] for name in TERMS if f"{place} {name}" in drawn} for place in range(len(known))
    ]
    c = _fitted(known, seen) if slope == FIT else constant(float(slope), draws)
    lines = [_line(pair, one, c, cooled, level) for pair, one in zip(known, seen, strict=True)]
    rankings = _ranked(lines, seen, c, level)
    return Misfits(level, c.interval(level), slope == FIT, len(ids), tuple(lines), rankings)


def _comparable(pair: Pairing) -> Pairing:
    """One kind of supervisor in one mean: where some seeds' were asked about held-out rows, these seeds alone."""
    held = tuple(one for one in pair.besides if one.held is not None)
    return replace(pair, besides=held) if held else pair


# --- what each row adds --------------------------------------------------------------------------------------------

TERMS = ("misfit", "gain", "slack", "true_loss", "weak_loss", "held_misfit")


class _Cooled:
    """Supervisors as sure as they are right; several students of one supervisor share the fit."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Held, float, Floats]] = {}

    def of(self, held: Held) -> tuple[float, Floats]:
        """The temperature fitted on all held-out rows, and these rows' own probabilities, each fitted on the others."""
        if id(held) not in self._found:
            temperature = fit_temperature(held.supervisor_NC, held.truth_N)
            own_NC = cross_fitted(held.ids, held.supervisor_NC, held.truth_N)
            self._found[id(held)] = (held, temperature, own_NC)  # held is kept, so that its id stays its own
        return self._found[id(held)][1:]


def _quantities(pair: Pairing, ids: Sequence[str], cooled: _Cooled, truth_N: Ints | None) -> dict[str, Quantity]:
    """Every term of a pair, row by row of each seed."""
    test: dict[str, list[Column]] = {}
    held: dict[str, list[Column]] = {}
    for one in pair.besides:
        weak_NC = one.supervisor_NC
        if one.held is not None:
            temperature, own_NC = cooled.of(one.held)
            weak_NC = at_temperature(weak_NC, temperature)
            for name, term_N in _held_terms(one.held, own_NC).items():
                held.setdefault(name, []).append(Column(one.seed, one.held.ids, term_N))
        for name, term_N in _test_terms(one.student_NC, weak_NC, truth_N).items():
            test.setdefault(name, []).append(Column(one.seed, ids, term_N))
    whole = {name: columns for name, columns in held.items() if len(columns) == len(pair.besides)}
    return {
        **{name: Quantity("test", tuple(columns)) for name, columns in test.items()},
        **{name: Quantity("held out", tuple(columns)) for name, columns in whole.items()},
    }


def _held_terms(held: Held, own_NC: Floats) -> dict[str, Floats]:
    found = {"weak_loss": clipped_losses(own_NC, held.truth_N)}
    if held.student_NC is not None:
        found["held_misfit"] = reverse_kl(held.student_NC, own_NC)
    return found


def _test_terms(student_NC: Floats, weak_NC: Floats, truth_N: Ints | None) -> dict[str, Floats]:
    misfit_N = reverse_kl(student_NC, weak_NC)
    if truth_N is None:
        return {"misfit": misfit_N}
    true_N = clipped_losses(student_NC, truth_N)
    gain_N = clipped_losses(weak_NC, truth_N) - true_N
    return {"misfit": misfit_N, "gain": gain_N, "slack": gain_N - misfit_N, "true_loss": true_N}


# --- what they come to ---------------------------------------------------------------------------------------------


def _fitted(pairings: Sequence[Pairing], seen: Sequence[Mapping[str, Drawn]]) -> Drawn:
    """gain = slope * misfit by least squares, through the origin: a student that is its supervisor gains nothing."""
    distinct = {
        tuple((id(one.student_NC), id(one.supervisor_NC)) for one in pair.besides): terms
        for pair, terms in zip(pairings, seen, strict=True)
        if pair.besides
    }
    pairs = [(terms["gain"], terms["misfit"]) for terms in distinct.values()]
    above, below = (
        sum(one.times(misfit).found for one, misfit in sides) for sides in (pairs, [(m, m) for _, m in pairs])
    )
    if not below:
        raise ValueError("no pair has any misfit: there is no slope to fit")
    above_D = np.sum([one.times(misfit).drawn_D for one, misfit in pairs], axis=0)
    below_D = np.sum([misfit.times(misfit).drawn_D for _, misfit in pairs], axis=0)
    return Drawn(above / below, above_D / below_D)


def _line(pair: Pairing, seen: Mapping[str, Drawn], c: Drawn, cooled: _Cooled, level: float) -> Foretold:
    bare = Foretold(
        pair.name, pair.group, tuple(one.seed for one in pair.besides), pair.missing, pair.chosen, _temperature(pair, cooled)
    )  # fmt: skip
    if not pair.besides:
        return bare

    def told(name: str) -> Interval | None:
        return seen[name].interval(level) if name in seen else None

    loss = _predicted(seen, c)
    terms = [told(name) for name in ("gain", "slack", "true_loss")]
    gain, slack, true_loss = terms
    known = gain is not None and slack is not None and true_loss is not None
    return replace(
        bare,
        misfit=told("misfit"),
        gain=seen["misfit"].times(c).interval(level),
        held_misfit=told("held_misfit"),
        weak_loss=told("weak_loss"),
        loss=None if loss is None else loss.interval(level),
        truth=Truth(gain, slack, true_loss) if known else None,  # type: ignore[arg-type]
    )


def _temperature(pair: Pairing, cooled: _Cooled) -> float | None:
    found = [cooled.of(one.held)[0] for one in pair.besides if one.held is not None]
    return float(np.mean(found)) if found else None


def _predicted(seen: Mapping[str, Drawn], c: Drawn) -> Drawn | None:
    return seen["weak_loss"] - seen["misfit"].times(c) if "weak_loss" in seen else None


def _ranked(lines: list[Foretold], seen: Sequence[Mapping[str, Drawn]], c: Drawn, level: float) -> tuple[Ranking, ...]:
    """Rank the pairs of each group that have a predicted loss, and write each one's place into its line."""
    rankings: list[Ranking] = []
    for group in dict.fromkeys(line.group for line in lines):
        own = [
            (place, Standing(lines[place].name, predicted, terms.get("true_loss")))
            for place, terms in enumerate(seen)
            if lines[place].group == group and (predicted := _predicted(terms, c)) is not None
        ]
        if len(own) < 2:
            continue
        ranking, places = rank(group, [standing for _, standing in own], level)
        rankings.append(ranking)
        for (at, _), found in zip(own, places, strict=True):
            lines[at] = replace(lines[at], place=found)
    return tuple(rankings)
