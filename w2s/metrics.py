"""What is measured: accuracy and its kin, agreement with the supervisor, and the gap recovered with an interval."""

# N rows, C classes, S seeds, D bootstrap draws, K labellers compared, P distinct patterns of right and wrong

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

ECE_BINS = 15
TINY = 1e-12  # keeps the log loss of a sure mistake finite
SLACK = 1e-6  # a float32 softmax may exceed 1 by so little
GAP_IN_SE = 2.0  # a gap below so many of its standard errors is no gap to recover
COUNTS_AT_ONCE = 2**22  # bootstrap counts held in memory at a time: 32 MiB


def grade(probs_NC: Floats, truth_N: Ints, supervisor_NC: Floats | None = None) -> dict[str, float | int | None]:
    """Every score of labels against truth, and against the supervisor's labels where there is one.

    A row's choice is its most probable class, the first of equals. None stands for a score these rows do not define.
    Raises ValueError for shapes that do not match, NaN, values that are no probabilities and labels out of range.
    """
    _check(probs_NC, truth_N)
    counts_C = np.bincount(truth_N, minlength=probs_NC.shape[1])
    result: dict[str, float | int | None] = {
        "n": len(truth_N),
        "accuracy": accuracy(probs_NC, truth_N),
        "majority": float(counts_C.max() / len(truth_N)),
        "auroc": auroc(probs_NC, truth_N),
        "log_loss": log_loss(probs_NC, truth_N),
        "brier": brier(probs_NC, truth_N),
        "ece": ece(probs_NC, truth_N),
    }
    return result if supervisor_NC is None else {**result, **agreement(probs_NC, supervisor_NC, truth_N)}


def accuracy(probs_NC: Floats, truth_N: Ints) -> float:
    """Share of rows whose most probable class is the truth."""
    _check(probs_NC, truth_N)
    return float((probs_NC.argmax(axis=-1) == truth_N).mean())


def auroc(probs_NC: Floats, truth_N: Ints) -> float | None:
    """Area under the ROC curve, ties counted half; for C > 2 the mean of one-vs-rest over the classes that occur.

    None where only one class occurs.
    """
    from sklearn.metrics import roc_auc_score

    _check(probs_NC, truth_N)
    classes = [c for c in range(probs_NC.shape[1]) if 0 < (truth_N == c).sum() < len(truth_N)]
    if not classes:
        return None
    chosen = [1] if probs_NC.shape[1] == 2 else classes
    return float(np.mean([roc_auc_score(truth_N == c, probs_NC[:, c]) for c in chosen]))


def log_loss(probs_NC: Floats, truth_N: Ints) -> float:
    """Mean negative log-probability of the truth, in nats; a probability under 1e-12 counts as 1e-12."""
    _check(probs_NC, truth_N)
    return float(-np.log(np.clip(probs_NC[np.arange(len(truth_N)), truth_N], TINY, None)).mean())


def brier(probs_NC: Floats, truth_N: Ints) -> float:
    """Mean squared distance to the one-hot truth, summed over classes: 0 (sure and right) to 2 (sure and wrong)."""
    _check(probs_NC, truth_N)
    return float(((probs_NC - np.eye(probs_NC.shape[1])[truth_N]) ** 2).sum(axis=-1).mean())


def ece(probs_NC: Floats, truth_N: Ints) -> float:
    """Expected calibration error (Guo et al. 2017): mean distance of accuracy from confidence, bin by bin.

    15 bins of equal width, each with its lower edge, hold rows by the probability of the predicted class; a bin weighs
    as much as it holds rows.
    """
    _check(probs_NC, truth_N)
    confidence_N = probs_NC.max(axis=-1)
    correct_N = probs_NC.argmax(axis=-1) == truth_N
    bin_N = np.minimum((confidence_N * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    return float(sum(abs((correct_N - confidence_N)[bin_N == b].sum()) for b in np.unique(bin_N)) / len(truth_N))


def agreement(student_NC: Floats, supervisor_NC: Floats, truth_N: Ints) -> dict[str, float | None]:
    """How the student's choices relate to the supervisor's.

    `agreement` is the share of equal choices, also split by whether the supervisor is right. `right_where_apart` is
    rho, the student's accuracy on the rows where the two differ. In a binary task one of two that differ is right, so
    accuracy(student) - accuracy(supervisor) = (1 - agreement) * (2 * rho - 1) exactly. `misfit` is the mean squared
    distance of the two, half the sum over classes: (f - w)^2 in a binary task (Charikar et al. 2024).
    """
    _check(student_NC, truth_N)
    _check(supervisor_NC, truth_N)
    if student_NC.shape != supervisor_NC.shape:
        raise ValueError(f"student {student_NC.shape} and supervisor {supervisor_NC.shape} have different shapes")
    same_N = student_NC.argmax(axis=-1) == supervisor_NC.argmax(axis=-1)
    right_N = supervisor_NC.argmax(axis=-1) == truth_N
    return {
        "agreement": float(same_N.mean()),
        "agreement_where_right": _mean(same_N[right_N]),
        "agreement_where_wrong": _mean(same_N[~right_N]),
        "right_where_apart": _mean((student_NC.argmax(axis=-1) == truth_N)[~same_N]),
        "misfit": float(((student_NC - supervisor_NC) ** 2).sum(axis=-1).mean() / 2),
    }


def _mean(flags_N: Flags) -> float | None:
    return float(flags_N.mean()) if len(flags_N) else None


def pgr(floor: float, transfer: float, ceiling: float) -> float:
    """Performance gap recovered, (transfer - floor) / (ceiling - floor) (Burns et al. 2023, section 3).

    Any consistent unit. NaN, never ZeroDivisionError, where ceiling and floor are equal; a negative gap gives the plain
    ratio, which means nothing: ask `recovered` whether there is a gap.
    """
    return (transfer - floor) / (ceiling - floor) if ceiling != floor else math.nan


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and rows, and the percentile interval around it; an end is None where it is unbounded."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Recovered:
    """Three accuracies, the gain over the supervisor, and PGR where there is a gap to recover."""

    floor: Interval
    transfer: Interval
    ceiling: Interval
    gain: Interval  # transfer - floor
    gap: Interval  # ceiling - floor
    gap_se: float
    pgr: Interval | None  # None: no gap to recover
    per_seed: tuple[float | None, ...]  # PGR of each seed alone, for the eye; None without a positive gap
    n_rows: int
    n_seeds: int
    level: float

    @property
    def verdict(self) -> str:
        """Why there is no PGR; empty where there is one."""
        return "" if self.pgr is not None else "no gap to recover"


def recovered(
    floor_SN: Flags, transfer_SN: Flags, ceiling_SN: Flags, *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Recovered:
    """PGR from who got which row right, with a paired two-way bootstrap; row n is the same example everywhere.

    Each draw takes rows with replacement and seeds with replacement, the same for all three, so what floor, transfer
    and ceiling have in common cancels. PGR is the ratio of the means over seeds (a mean of ratios would let one small
    gap decide). Where the gap is under twice its bootstrap standard error there is nothing to recover: PGR is None.

    A draw without a positive gap has no meaningful ratio. It counts as unbounded, on the side of its gain's sign, and
    an interval that reaches such draws has None for that end. Two cases stay exact whatever the gap: a draw in which
    the student equals its supervisor counts as 0, one in which it equals the ceiling as 1.

    With one seed, rows alone are resampled: the interval is about these three models. With more, rows and seeds are
    drawn independently (the pigeonhole bootstrap, Owen 2007), which errs wide where the luck of single answers decides,
    and narrow where few seeds differ much: S resampled seeds show (S - 1) / S of their variance.
    Raises ValueError for shapes that do not match, values other than 0 and 1, and settings out of range.
    """
    totals_K, totals_KD, weight = _totals(level, draws, seed, floor_SN, transfer_SN, ceiling_SN)
    n_seeds, n_rows = np.shape(floor_SN)
    floor_D, transfer_D, ceiling_D = totals_KD
    floor, transfer, ceiling = totals_K
    gain, gain_D, gap, gap_D = transfer - floor, transfer_D - floor_D, ceiling - floor, ceiling_D - floor_D
    gap_se = float(np.std(gap_D, ddof=1))
    ratio = pgr(floor, transfer, ceiling)
    has_gap = gap > 0 and gap >= GAP_IN_SE * gap_se
    return Recovered(
        floor=_interval(floor / weight, floor_D / weight, level),
        transfer=_interval(transfer / weight, transfer_D / weight, level),
        ceiling=_interval(ceiling / weight, ceiling_D / weight, level),
        gain=_interval(gain / weight, gain_D / weight, level),
        gap=_interval(gap / weight, gap_D / weight, level),
        gap_se=gap_se / weight,
        pgr=_interval(ratio, _ratios(gain_D, gap_D, ratio), level) if has_gap else None,
        per_seed=tuple(
            _one_seed(*(int(np.sum(part[s])) for part in (floor_SN, transfer_SN, ceiling_SN))) for s in range(n_seeds)
        ),
        n_rows=n_rows,
        n_seeds=n_seeds,
        level=level,
    )


def interval(correct_SN: Flags, *, level: float = 0.95, draws: int = 2000, seed: int = 0) -> Interval:
    """The mean of one labeller's correctness over seeds and rows; bootstrap and errors are those of `recovered`."""
    totals_K, totals_KD, weight = _totals(level, draws, seed, correct_SN)
    return _interval(totals_K[0] / weight, totals_KD[0] / weight, level)


def _totals(level: float, draws: int, seed: int, *parts: Flags) -> tuple[list[int], Floats, int]:
    """How often each of K labellers is right: as found [K], in each draw [K, D], and out of how many answers."""
    if not 0 < level < 1 or draws < 2:
        raise ValueError(f"level {level} must lie between 0 and 1, and draws {draws} must be at least 2")
    shapes = {np.shape(part) for part in parts}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 2 or 0 in shape:
        raise ValueError(f"correctness needs one shape [seeds, rows] throughout, found {[np.shape(p) for p in parts]}")
    found_KSN = np.stack([np.asarray(part) for part in parts])
    if not np.isin(found_KSN, (0, 1)).all():
        raise ValueError("correctness must be true or false")
    totals_KD = _resampled(found_KSN.astype(np.bool_), draws, np.random.default_rng(seed))
    return [int(total) for total in found_KSN.sum(axis=(1, 2))], totals_KD, shape[0] * shape[1]


def _resampled(correct_KSN: Flags, draws: int, generator: np.random.Generator) -> Floats:
    """Right answers [K, D] under resampled seeds and rows.

    A draw is how often each row and seed was taken. Rows with the same answers everywhere are interchangeable, so their
    number is drawn at once: 400,000 rows of one seed are at most 8 patterns. All values are whole numbers below 2^53:
    sums are exact in any order, and equal labellers stay exactly equal.
    """
    k, n_seeds, n_rows = correct_KSN.shape
    patterns_PX, count_P = np.unique(correct_KSN.reshape(k * n_seeds, n_rows).T, axis=0, return_counts=True)
    correct_KSP = patterns_PX.T.reshape(k, n_seeds, -1).astype(np.float64)
    totals_KD = np.empty((k, draws))
    at_once = max(1, COUNTS_AT_ONCE // len(count_P))
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        rows_DP = generator.multinomial(n_rows, count_P / n_rows, size=size).astype(np.float64)
        seeds_DS = generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=size)
        totals_KD[:, start : start + size] = ((correct_KSP @ rows_DP.T) * seeds_DS.T).sum(axis=1)
    return totals_KD


def _ratios(gain_D: Floats, gap_D: Floats, ratio: float) -> Floats:
    """PGR of each draw, as `recovered` describes. Where all three are equal a draw says nothing: it takes `ratio`."""
    positive_D = gap_D > 0
    ratios_D = np.where(positive_D, gain_D / np.where(positive_D, gap_D, 1.0), np.copysign(np.inf, gain_D))
    ratios_D[gain_D == 0] = 0.0
    ratios_D[gain_D == gap_D] = 1.0
    ratios_D[(gain_D == 0) & (gap_D == 0)] = ratio
    return ratios_D


def _interval(mean: float, draws_D: Floats, level: float) -> Interval:
    # order statistics, not interpolation: between a number and infinity lies no number
    low, high = np.quantile(draws_D, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Interval(mean, *(float(end) if math.isfinite(end) else None for end in (low, high)))


def _one_seed(floor: float, transfer: float, ceiling: float) -> float | None:
    return pgr(floor, transfer, ceiling) if ceiling > floor else None


def _check(probs_NC: Floats, truth_N: Ints) -> None:
    if (
        np.ndim(probs_NC) != 2
        or np.shape(probs_NC)[1] < 2
        or np.shape(truth_N) != np.shape(probs_NC)[:1]
        or not len(truth_N)
    ):
        raise ValueError(
            f"probabilities {np.shape(probs_NC)} for labels {np.shape(truth_N)}: need [rows, classes] and [rows]"
        )
    if not np.isfinite(probs_NC).all():
        raise ValueError("probabilities hold NaN or infinity")
    if probs_NC.min() < -SLACK or probs_NC.max() > 1 + SLACK:
        raise ValueError(f"probabilities range from {probs_NC.min():.4g} to {probs_NC.max():.4g}")
    if truth_N.dtype.kind not in "iu" or truth_N.min() < 0 or truth_N.max() >= probs_NC.shape[1]:
        raise ValueError(f"labels must be whole numbers from 0 to {probs_NC.shape[1] - 1}")


def to_json(value: Interval | None) -> dict[str, Any] | None:
    """An interval as plain JSON."""
    return None if value is None else {"mean": value.mean, "low": value.low, "high": value.high}
