"""The claims of the CNN bench: what theory says, and whether it was seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from w2s.bench_theory.claims import Claim
from w2s.bench_theory.cnn.config import Bench
from w2s.bench_theory.cnn.curve import Record
from w2s.bench_theory.cnn.results import Cell, Results, Run, mean, number
from w2s.bench_theory.spread import spread, words

FITTED = 0.999  # training accuracy that counts as 1
BLIND = (0.45, 0.55)
HARMFUL_SHARE = 0.12  # of p_h: the paper's lower bound of the test error of harmful overfitting
PEAK, PEAK_BEFORE, LATE = 0.97, 50, 0.90  # test accuracy with many items: early, and after overtraining
CORRECTED, MEMORISED = 0.85, 0.35  # flipped items predicted as truth: early, late
CLEAR = 0.02  # test accuracy above the supervisor's that counts as better
ON_ITS_SIDE = 0.85  # cells that one boundary must have right

PROP_1, THEOREM_SCARCE, THEOREM_ABUNDANT = "Prop. 2.1", "Thm 3.4", "Thm 3.6"
ABSTRACT, OURS = "abstract", "our check"


def claims(bench: Bench, results: Results) -> list[Claim]:
    """Every claim. Those about scenes must hold for every seed."""
    scenes = results.scenes
    return [
        *_weak([run for runs in scenes.values() for run in runs], scenes["benign"]),
        *_harmful(scenes["harmful"]),
        *_benign(scenes["benign"]),
        *_control(scenes["control"]),
        *_abundant(scenes["abundant"]),
        _more_is_better(scenes),
        *_boundary(results.cells),
    ]


def _every(
    what: str, source: str, expected: str, runs: Sequence[Run], seen: Callable[[Run], float | None],
    holds: Callable[[float], bool],
) -> Claim:  # fmt: skip
    """A claim about one number of each run. One that a run does not have (no label is wrong) cannot hold."""
    values = [seen(run) for run in runs]
    return Claim(
        what, source, expected, words(spread(values)), all(value is not None and holds(value) for value in values)
    )


def _weak(runs: Sequence[Run], benign: Sequence[Run]) -> list[Claim]:
    hard = mean([number(run.weak["test_hard"]) for run in runs])
    return [
        Claim(
            "the weak model guesses on hard-only items", PROP_1, f"mean accuracy in [{BLIND[0]}, {BLIND[1]}], 0.5 in law",
            words(spread([run.weak["test_hard"] for run in runs]), "runs"), BLIND[0] <= hard <= BLIND[1],
        ),
        _every(
            "its wrong labels are of hard-only items", ABSTRACT, "share at least 0.99", benign,
            lambda run: run.weak["flipped_hard_only"], lambda value: value >= 0.99,
        ),
    ]  # fmt: skip


def _harmful(runs: Sequence[Run]) -> list[Claim]:
    bound = HARMFUL_SHARE * runs[0].point.p_hard
    return [
        _fits("harmful", runs),
        _every(
            "few items, faint hard signal: overfitting is harmful", THEOREM_SCARCE,
            f"test error at least 0.12 p_h = {bound:.3f} at the end", runs,
            lambda run: 1 - number(run.last["test"]), lambda value: value >= bound,
        ),
        Claim(
            "its student is not clearly above its supervisor", ABSTRACT, f"mean gain below {3 * CLEAR:.2f}",
            words(spread([_gain(run) for run in runs])), mean([_gain(run) for run in runs]) < 3 * CLEAR,
        ),
    ]  # fmt: skip


def _benign(runs: Sequence[Run]) -> list[Claim]:
    bound = HARMFUL_SHARE * runs[0].point.p_hard
    return [
        _fits("benign", runs),
        _every(
            "few items, clear hard signal: the student beats its supervisor", THEOREM_SCARCE,
            f"gain at the end above {CLEAR}", runs, _gain, lambda value: value > CLEAR,
        ),
        Claim(
            "its test error is under the harmful bound", THEOREM_SCARCE, f"below 0.12 p_h = {bound:.3f}, as d grows",
            words(spread([1 - number(run.last["test"]) for run in runs])), None,
        ),
    ]  # fmt: skip


def _fits(name: str, runs: Sequence[Run]) -> Claim:
    return _every(
        f"few items ({name}): every weak label is fitted, wrong ones too", THEOREM_SCARCE, "train accuracy 1", runs,
        lambda run: run.last["train_labels"], lambda value: value >= FITTED,
    )  # fmt: skip


def _control(runs: Sequence[Run]) -> list[Claim]:
    hard = [number(run.last["test_hard"]) for run in runs]
    return [
        Claim(
            "without items of both signals (p_b = 0) there is nothing to gain", OURS, f"mean gain at the end below {CLEAR}",
            words(spread([_gain(run) for run in runs])), mean([_gain(run) for run in runs]) < CLEAR,
        ),
        Claim(
            "nor does the student see the hard signal", OURS, "mean hard-only accuracy at the end in [0.40, 0.60]",
            words(spread(hard)), 0.4 <= mean(hard) <= 0.6,
        ),
    ]  # fmt: skip


def _abundant(runs: Sequence[Run]) -> list[Claim]:
    return [
        _every(
            f"many items: the peak comes early (before step {PEAK_BEFORE}, oracle)", THEOREM_ABUNDANT, f"test at least {PEAK}", runs,
            lambda run: _early(run)["test"], lambda value: value >= PEAK,
        ),
        _every(
            "there it fits the labels that are right", THEOREM_ABUNDANT, "at least 0.99 of them", runs,
            lambda run: _early(run)["kept_as_labelled"], lambda value: value >= 0.99,
        ),
        _every(
            "and predicts the truth of those that are wrong", THEOREM_ABUNDANT, f"at least {CORRECTED} of them", runs,
            lambda run: _early(run)["flipped_as_truth"], lambda value: value >= CORRECTED,
        ),
        _every(
            "overtraining: wrong labels are learned by heart", THEOREM_ABUNDANT, f"at most {MEMORISED} predicted as truth at the end",
            runs, lambda run: run.last["flipped_as_truth"], lambda value: value <= MEMORISED,
        ),
        _every(
            "and the student falls back towards its supervisor", THEOREM_ABUNDANT, f"test at most {LATE} at the end", runs,
            lambda run: run.last["test"], lambda value: value <= LATE,
        ),
    ]  # fmt: skip


def _more_is_better(scenes: dict[str, tuple[Run, ...]]) -> Claim:
    few, many = (scenes[name] for name in ("harmful", "abundant"))
    peaks = [[number(run.best["test"]) for run in runs] for runs in (few, many)]
    seen = " against ".join(words(spread(found)) for found in reversed(peaks))
    return Claim(
        "the peak with many items is above that with few (oracle)",
        ABSTRACT,
        "for every seed",
        seen,
        min(peaks[1]) > max(peaks[0]),
    )


@dataclass(frozen=True)
class Boundary:
    """The C that tells best which cells gain: `right` of `count` lie on their side of n p_b^2 |nu|^4 = C sigma^4 d."""

    c: float
    right: int
    count: int


def boundary(cells: Sequence[Cell]) -> Boundary | None:
    """None where all cells gain, or none does: any C would do."""
    ordered = sorted(cells, key=lambda cell: cell.point.ratio)
    gains = [cell.gain > CLEAR for cell in ordered]
    if all(gains) or not any(gains):
        return None
    right = [sum(not gain for gain in gains[:cut]) + sum(gains[cut:]) for cut in range(1, len(gains))]
    # the middle of equally good places
    best = [cut for cut, count in enumerate(right, start=1) if count == max(right)]
    cut = best[len(best) // 2]
    between = math.sqrt(ordered[cut - 1].point.ratio * ordered[cut].point.ratio)
    return Boundary(between, max(right), len(gains))


def _boundary(cells: Sequence[Cell]) -> list[Claim]:
    found = boundary(cells)
    source, what = THEOREM_SCARCE, "one line n p_b^2 |nu|^4 = C sigma^4 d parts both phase diagrams"
    seeds = min(len(cell.runs) for cell in cells)
    if found is None:
        return [Claim(what, source, "some cells gain, some do not", "all cells are on one side", False)]
    share = found.right / found.count
    seen = f"{share:.2f}: {found.right} of {found.count} cells at C = {found.c:.2g} ({seeds} seeds each)"
    ranked = _rank_correlation([cell.point.ratio for cell in cells], [cell.gain for cell in cells])
    return [
        Claim(what, source, f"at least {ON_ITS_SIDE} of the cells on their side", seen, share >= ON_ITS_SIDE),
        Claim(
            "the gain over the supervisor rises with that ratio", OURS, "rank correlation above 0.7",
            f"{ranked:.2f} over {len(cells)} cells",
            ranked > 0.7,
        ),
    ]  # fmt: skip


def _rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's; ties in order of appearance, which continuous measures hardly have."""
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _gain(run: Run) -> float:
    """Test accuracy above the supervisor's, at the end."""
    return number(run.last["test"]) - number(run.weak["test"])


def _early(run: Run) -> Record:
    """The best step before the deadline: chosen by ground truth, as the theorem's early time is."""
    before = [record for record in run.records if number(record["step"]) < PEAK_BEFORE]
    return max(before, key=lambda record: number(record["test"]))
