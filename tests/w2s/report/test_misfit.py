"""Misfits as a value: predicted without the truth, held against it apart, ranked as sure as the rows allow."""

# N rows, C classes, S seeds, J pairs

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from w2s.metrics import at_temperature, cross_fitted, fit_slope, fit_temperature, log_loss, misfit_terms
from w2s.metrics.jointly import Drawn
from w2s.report.misfit import Beside, Foretold, Held, Pairing, foretell
from w2s.report.misfit_rank import Standing, correlation, rank

N, HELD = 300, 80
IDS = tuple(f"t{n:03}" for n in range(N))


def binary(p_N: Any) -> Any:
    return np.stack([1 - np.asarray(p_N), np.asarray(p_N)], axis=-1)


def drawn(seed: int, noise: float, gain: float = 0.5, seeds: tuple[int, ...] = (0, 1), *, held: bool = True) -> Pairing:
    """A supervisor as far from a shared truth as its noise, and a student that undoes a share of it."""
    besides = []
    for s in seeds:
        generator = np.random.default_rng([seed, s])
        logit_N, own_N = LOGIT_N, generator.normal(0, noise, N)
        val_N, aside_N = np.random.default_rng([7, s]).normal(0, 1.5, HELD), generator.normal(0, noise, HELD)
        truth_N = (np.random.default_rng([8, s]).random(HELD) < sigmoid(val_N)).astype(np.int64)
        there = Held(
            tuple(f"v{s}-{n}" for n in range(HELD)), binary(sigmoid(val_N + aside_N)), truth_N,
            binary(sigmoid(val_N + (1 - gain) * aside_N)),
        )  # fmt: skip
        besides.append(
            Beside(
                s,
                binary(sigmoid(logit_N + own_N)),
                binary(sigmoid(logit_N + (1 - gain) * own_N)),
                there if held else None,
            )
        )
    return Pairing(f"noise {noise}", tuple(besides))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


LOGIT_N = np.random.default_rng(0).normal(0, 1.5, N)
TRUTH_N = (np.random.default_rng(1).random(N) < sigmoid(LOGIT_N)).astype(np.int64)
PAIRS = (drawn(1, 0.4), drawn(2, 1.2), drawn(3, 2.5))


def test_every_number_is_the_formula_s() -> None:
    for pair, line in zip(PAIRS, foretell(IDS, PAIRS, truth_N=TRUTH_N).lines, strict=True):
        weak, loss, temperatures = [], [], []
        for one in pair.besides:
            assert one.held is not None
            t = fit_temperature(one.held.supervisor_NC, one.held.truth_N)
            temperatures.append(t)
            weak.append(misfit_terms(one.student_NC, at_temperature(one.supervisor_NC, t), TRUTH_N))
            own = cross_fitted(one.held.ids, one.held.supervisor_NC, one.held.truth_N)
            loss.append(log_loss(own, one.held.truth_N))
        mean = {name: float(np.mean([terms[name] for terms in weak])) for name in weak[0]}
        assert line.truth is not None
        assert line.temperature == pytest.approx(np.mean(temperatures))
        means = {
            "misfit_reverse": line.misfit, "gain_ce": line.truth.gain, "slack": line.truth.slack,
        }  # fmt: skip
        for name, found in means.items():
            assert found is not None
            assert found.mean == pytest.approx(mean[name], abs=1e-9)
            assert found.low <= found.mean <= found.high  # type: ignore[operator]
        assert line.weak_loss is not None
        assert line.loss is not None
        assert line.weak_loss.mean == pytest.approx(np.mean(loss), abs=1e-6)
        assert line.loss.mean == pytest.approx(np.mean(loss) - mean["misfit_reverse"], abs=1e-6)


def test_nothing_that_is_predicted_knows_the_truth() -> None:
    """Bit for bit the same with the truth, without it, and with another one."""
    blind = foretell(IDS, PAIRS)
    assert all(line.truth is None and line.place is not None and line.place.true_rank is None for line in blind.lines)
    assert all(one.best is one.spearman is one.regret is None for one in blind.rankings)
    for truth_N in (TRUTH_N, 1 - TRUTH_N):
        seen = foretell(IDS, PAIRS, truth_N=truth_N)
        for there, line in zip(blind.lines, seen.lines, strict=True):
            assert line.place is not None
            assert there == replace(line, truth=None, place=replace(line.place, true_rank=None))


def test_the_order_of_rows_and_pairs_moves_nothing() -> None:
    order = np.random.default_rng(2).permutation(N)
    way = np.random.default_rng(3).permutation(HELD)
    moved = []
    for pair in reversed(PAIRS):
        besides = []
        for one in reversed(pair.besides):
            held = one.held
            assert held is not None
            assert held.student_NC is not None
            ids = tuple(held.ids[i] for i in way)
            there = Held(ids, held.supervisor_NC[way], held.truth_N[way], held.student_NC[way])
            besides.append(Beside(one.seed, one.supervisor_NC[order], one.student_NC[order], there))
        moved.append(replace(pair, besides=tuple(besides)))
    there = foretell(IDS, PAIRS, truth_N=TRUTH_N)
    back = foretell([IDS[i] for i in order], moved, truth_N=TRUTH_N[order])
    for a, b in zip(there.lines, reversed(back.lines), strict=True):
        assert a.place == b.place
        assert set(a.seeds) == set(b.seeds)
        for name in ("misfit", "gain", "weak_loss", "loss", "held_misfit"):
            assert numbers(a, name) == pytest.approx(numbers(b, name), abs=1e-7), (
                name
            )  # a temperature is fitted to 1e-9


def numbers(line: Foretold, name: str) -> list[float]:
    found = getattr(line, name)
    return [found.mean, found.low, found.high]


def test_misfit_is_nothing_only_for_the_supervisor_itself() -> None:
    same = replace(
        PAIRS[1], besides=tuple(replace(one, student_NC=one.supervisor_NC, held=None) for one in PAIRS[1].besides)
    )
    one, other = foretell(IDS, (same, PAIRS[1]), truth_N=TRUTH_N).lines
    assert one.misfit is not None
    assert one.truth is not None
    assert (one.misfit.mean, one.misfit.low, one.misfit.high) == (0, 0, 0)
    assert (one.truth.gain.mean, one.truth.gain.high) == (0, 0)
    assert other.misfit is not None
    assert other.misfit.mean > 0.01


def test_a_supervisor_nobody_asked_about_held_out_rows_is_taken_as_it_is_and_not_ranked() -> None:
    bare = drawn(2, 1.2, held=False)
    line, ranked = foretell(IDS, (bare, PAIRS[0])).lines
    assert (line.temperature, line.weak_loss, line.loss, line.place, ranked.place) == (None, None, None, None, None)
    expected = np.mean([misfit_terms(one.student_NC, one.supervisor_NC)["misfit_reverse"] for one in bare.besides])
    assert line.misfit is not None
    assert line.misfit.mean == pytest.approx(expected)
    mixed = replace(PAIRS[0], besides=(*bare.besides[:1], *PAIRS[0].besides[1:]))
    assert foretell(IDS, (mixed,)).lines[0].seeds == (1,), "calibrated and uncalibrated are not one mean"


def test_a_slope_scales_the_predicted_gain_and_may_be_fitted() -> None:
    half = foretell(IDS, PAIRS, slope=0.5).lines[1]
    assert half.gain is not None
    assert half.misfit is not None
    assert half.gain.mean == pytest.approx(0.5 * half.misfit.mean)
    fitted = foretell(IDS, (*PAIRS, replace(PAIRS[0], group="again")), slope="fit", truth_N=TRUTH_N)
    own = [(line.truth.gain.mean, line.misfit.mean) for line in fitted.lines[:3] if line.truth and line.misfit]
    assert fitted.fitted
    assert fitted.slope.mean == pytest.approx(fit_slope(*zip(*own, strict=True)))  # type: ignore[arg-type]
    assert fitted.slope.low < fitted.slope.mean < fitted.slope.high  # type: ignore[operator]
    with pytest.raises(ValueError, match="truth"):
        foretell(IDS, PAIRS, slope="fit")


def test_groups_are_ranked_apart_and_pairs_of_nothing_not_at_all() -> None:
    one, two = (replace(pair, group="choose_weak") for pair in PAIRS[:2])
    nothing = Pairing("naive", (), missing=("toy/predict test",))
    found = foretell(IDS, (nothing, PAIRS[2], one, two), truth_N=TRUTH_N)
    assert [(r.group, r.names) for r in found.rankings] == [("choose_weak", (one.name, two.name))]
    assert [line.place is None for line in found.lines] == [True, True, False, False]
    assert found.lines[0] == Foretold("naive", "", (), ("toy/predict test",))
    assert foretell((), (nothing,)).rankings == ()


# --- ranks ------------------------------------------------------------------------------------------------------------


def standing(name: str, predicted: list[float], true: list[float] | None = None) -> Standing:
    """The first number is the one found, the others are draws."""
    made = [None if one is None else Drawn(one[0], np.array(one[1:])) for one in (predicted, true)]
    assert made[0] is not None
    return Standing(name, made[0], made[1])


def test_ranks_by_hand() -> None:
    pairs = [
        standing("a", [0.5, 0.5, 0.5, 0.5, 0.5], [0.3, 0.3, 0.3, 0.3, 0.3]),
        standing("b", [0.4, 0.4, 0.6, 0.4, 0.4], [0.2, 0.2, 0.2, 0.2, 0.2]),
        standing("c", [0.9, 0.9, 0.9, 0.9, 0.9], [0.1, 0.1, 0.2, 0.1, 0.1]),
    ]
    ranking, places = rank("g", pairs, 0.95)
    assert [(one.rank, one.low, one.high, one.first, one.true_rank) for one in places] == [
        (2, 1, 2, 0.25, 3), (1, 1, 2, 0.75, 2), (3, 3, 3, 0.0, 1)
    ]  # fmt: skip
    assert (ranking.first, ranking.best) == ("b", "c")
    assert ranking.regret is not None
    assert (ranking.regret.mean, ranking.regret.low, ranking.regret.high) == pytest.approx((0.1, 0.0, 0.1))
    assert ranking.spearman is not None
    assert ranking.spearman.mean == pytest.approx(-0.5)


def test_equals_share_the_better_rank_and_two_have_no_correlation() -> None:
    ranking, places = rank("", [standing("a", [0.5, 0.5], [1, 1]), standing("b", [0.5, 0.5], [2, 2])], 0.95)
    assert [one.rank for one in places] == [1, 1]
    assert ranking.spearman is None
    with pytest.raises(ValueError, match="two"):
        rank("", [standing("a", [0.5, 0.5])], 0.95)


def test_the_correlation_is_scipy_s() -> None:
    from scipy.stats import spearmanr

    generator = np.random.default_rng(4)
    one, other = np.round(generator.normal(size=(9, 5)), 1), np.round(generator.normal(size=(9, 5)), 1)
    expected = [spearmanr(one[:, d], other[:, d]).statistic for d in range(5)]
    assert correlation(one, other) == pytest.approx(expected)
    assert np.isnan(correlation(np.ones((3, 1)), other[:3, :1])).all()
