"""Diagnostics of a report: what each student did with its supervisor's labels, and how well everyone is calibrated."""

# N rows, C classes, S seeds

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s.metrics import (
    Floats,
    Interval,
    Ints,
    Sums,
    at_temperature,
    auroc,
    briers,
    ece,
    fit_temperature,
    interval,
    log_losses,
    misfit_terms,
    sums,
)

Flags = NDArray[np.bool_]
ANSWERS_DRAWN = 20_000_000  # draws times rows: fewer draws for test sets of more than 10,000 rows
MOST_DRAWS, LEAST_DRAWS = 2000, 200


@dataclass(frozen=True)
class HeldOut:
    """A supervisor's labels on held-out rows, and their truth: what its temperature is fitted on."""

    supervisor_NC: Floats
    truth_N: Ints


@dataclass(frozen=True)
class Pair:
    """A student and the labels it learned from, asked about the same rows.

    `held_out` is None where the supervisor was asked about no other labelled rows.
    """

    seed: int
    student_NC: Floats
    supervisor_NC: Floats
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class Evidence:
    """One method's labels on the test rows, in one order: `truth_N`, students beside supervisors, and each labeller by seed.

    `missing` names label stages, or the rows, that the store does not hold.
    """

    method: str
    truth_N: Ints
    pairs: tuple[Pair, ...]
    labellers: Mapping[str, Mapping[int, Floats]]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scores:
    """How good one labeller's probabilities are, over its seeds."""

    labeller: str
    seeds: tuple[int, ...]
    accuracy: Interval
    log_loss: Interval
    brier: Interval
    auroc: float | None  # mean over seeds; None where it is undefined
    ece: float  # mean over seeds


@dataclass(frozen=True)
class Diagnosis:
    """One method's diagnostics, each a mean over seeds and rows; None where the student or its supervisor is not there.

    Everything of a student is beside the labels it learned from; `where_right` and `where_wrong` split their agreement by
    the supervisor, and `right_where_apart` (rho) is the student's accuracy where the two differ: in a binary task,
    accuracy(student) - accuracy(supervisor) = disagreement * (2 * rho - 1).

    `temperatures` are those of supervisors that were asked about held-out rows, seed by seed, and the calibrated terms are
    beside these supervisors at their temperatures.
    """

    method: str
    seeds: tuple[int, ...]
    agreement: Interval | None = None
    where_right: Interval | None = None
    where_wrong: Interval | None = None
    disagreement: Interval | None = None
    right_where_apart: Interval | None = None
    misfit_reverse: Interval | None = None
    misfit_forward: Interval | None = None
    misfit_brier: Interval | None = None
    gain_ce: Interval | None = None
    gain_brier: Interval | None = None
    slack: Interval | None = None
    scores: tuple[Scores, ...] = ()
    missing: tuple[str, ...] = ()
    temperatures: tuple[float, ...] = ()
    calibrated_seeds: tuple[int, ...] = ()
    calibrated_misfit_reverse: Interval | None = None
    calibrated_misfit_forward: Interval | None = None
    calibrated_gain_ce: Interval | None = None
    calibrated_slack: Interval | None = None

    @property
    def temperature(self) -> float | None:
        """The mean over seeds."""
        return float(np.mean(self.temperatures)) if self.temperatures else None


MEANS = ("disagreement", "misfit_reverse", "misfit_forward", "misfit_brier", "gain_ce", "gain_brier", "slack")
CALIBRATED = ("misfit_reverse", "gain_ce", "slack", "misfit_forward")
TERMS = ("agreement", "where_right", "where_wrong", "right_where_apart", *MEANS)


def diagnose(evidence: Evidence, level: float) -> Diagnosis:
    """Means and intervals over seeds and rows, rows and seeds resampled together for all terms."""
    plain = beside(evidence, level)
    terms: dict[str, Any] = {}
    cooled = [
        (replace(pair, supervisor_NC=at_temperature(pair.supervisor_NC, t)), t)
        for pair in evidence.pairs
        if pair.held_out is not None
        for t in [fit_temperature(pair.held_out.supervisor_NC, pair.held_out.truth_N)]
    ]
    if cooled:
        found = _resampled_terms([pair for pair, _ in cooled], evidence.truth_N, level)
        terms = {f"calibrated_{name}": found.mean(name) for name in CALIBRATED}
    return replace(
        plain,
        temperatures=tuple(t for _, t in cooled),
        calibrated_seeds=tuple(pair.seed for pair, _ in cooled),
        scores=tuple(
            _scores(name, by_seed, evidence.truth_N, level) for name, by_seed in evidence.labellers.items() if by_seed
        ),
        **terms,
    )


def beside(evidence: Evidence, level: float) -> Diagnosis:
    """Only what students did with their supervisors' labels: no temperatures, and no labeller by itself."""
    terms: dict[str, Any] = {}
    if evidence.pairs:
        found = _resampled_terms(evidence.pairs, evidence.truth_N, level)
        terms = {name: found.mean(name) for name in ("agreement", *MEANS)}
        terms["where_right"] = found.ratio("same_right", "right")
        terms["where_wrong"] = found.ratio("same_wrong", "wrong")
        terms["right_where_apart"] = found.ratio("won", "disagreement")
    seeds = tuple(pair.seed for pair in evidence.pairs)
    return Diagnosis(method=evidence.method, seeds=seeds, missing=evidence.missing, **terms)


def _resampled_terms(pairs: Sequence[Pair], truth_N: Ints, level: float) -> Sums:
    """Every term of every row, [S, N] each, resampled."""
    rows: dict[str, list[Floats]] = {}
    for pair in pairs:
        student_N, supervisor_N = pair.student_NC.argmax(axis=-1), pair.supervisor_NC.argmax(axis=-1)
        same_N, right_N = student_N == supervisor_N, supervisor_N == truth_N
        terms = misfit_terms(pair.student_NC, pair.supervisor_NC, truth_N) | {
            "agreement": same_N,
            "right": right_N,
            "wrong": ~right_N,
            "same_right": same_N & right_N,
            "same_wrong": same_N & ~right_N,
            "won": ~same_N & (student_N == truth_N),
        }
        for name, term_N in terms.items():
            rows.setdefault(name, []).append(np.asarray(term_N, dtype=np.float64))
    return _resampled({name: np.stack(found) for name, found in rows.items()}, level)


def _scores(name: str, by_seed: Mapping[int, Floats], truth_N: Ints, level: float) -> Scores:
    probs = list(by_seed.values())
    found = _resampled(
        {
            "log_loss": np.stack([log_losses(one_NC, truth_N) for one_NC in probs]),
            "brier": np.stack([briers(one_NC, truth_N) for one_NC in probs]),
        },
        level,
    )
    areas = [area for one_NC in probs if (area := auroc(one_NC, truth_N)) is not None]
    return Scores(
        labeller=name,
        seeds=tuple(by_seed),
        accuracy=interval(np.stack([one_NC.argmax(axis=-1) == truth_N for one_NC in probs]), level=level),
        log_loss=found.mean("log_loss"),
        brier=found.mean("brier"),
        auroc=float(np.mean(areas)) if areas else None,
        ece=float(np.mean([ece(one_NC, truth_N) for one_NC in probs])),
    )


def _resampled(values: dict[str, Floats], level: float) -> Sums:
    n_rows = next(iter(values.values())).shape[1]
    return sums(values, level=level, draws=max(LEAST_DRAWS, min(MOST_DRAWS, ANSWERS_DRAWN // n_rows)))
