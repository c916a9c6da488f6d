"""AdaBoost: a worked example by hand, what a round's weights must keep, where it stops, and what out-of-fold means."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import toy_recipe
from tests.w2s.methods.planning import config
from tests.w2s.work.run_stage import Bench
from w2s.labels import LabelTable
from w2s.methods import adaboost
from w2s.recipe import Recipe
from w2s.stages import Boosted, Joined, Outcome, Predict, Probe, Reweighted, Truth, walk
from w2s.work.boosting import CLIP, ROUND, judge, read_round, vote

ROUNDS, FOLDS = 3, 3


def wrong(*places: int, of: int = 10) -> np.ndarray:
    return np.isin(np.arange(of), places)


def test_three_rounds_by_hand() -> None:
    """Ten rows; the three stumps of Schapire & Freund's figure: wrong on three rows each."""
    weights = np.ones(10)
    first, weights = judge(weights, wrong(2, 3, 4), 2)
    assert (round(first.error, 4), round(first.alpha, 4)) == (0.3, 0.4236)
    np.testing.assert_allclose(weights[[0, 2]] / 10, [0.0714, 0.1667], atol=5e-5)
    second, weights = judge(weights, wrong(5, 6, 7), 2)
    assert (round(second.error, 4), round(second.alpha, 4)) == (0.2143, 0.6496)
    np.testing.assert_allclose(weights[[0, 2, 5]] / 10, [0.0455, 0.1061, 0.1667], atol=5e-5)
    third, weights = judge(weights, wrong(0, 1, 8), 2)
    assert (round(third.error, 4), round(third.alpha, 4)) == (0.1364, 0.9229)
    assert weights.sum() == pytest.approx(10)
    # each row is wrong in one of three: never wrong in the vote
    signs = np.array([np.where(wrong(*places), -1, 1) for places in ((2, 3, 4), (5, 6, 7), (0, 1, 8))])
    assert (np.array([first.alpha, second.alpha, third.alpha]) @ signs > 0).all()


def test_a_round_of_even_error_says_nothing() -> None:
    found, weights = judge(np.ones(10), wrong(0, 1, 2, 3, 4), 2)
    assert (found.error, found.alpha, found.stopped) == (0.5, 0.0, True)
    np.testing.assert_array_equal(weights, np.ones(10))


@given(st.lists(st.tuples(st.floats(0.01, 5), st.booleans()), min_size=4, max_size=40), st.integers(2, 6))
def test_after_it_the_same_labels_are_as_good_as_chance(rows: list[tuple[float, bool]], n_classes: int) -> None:
    """Weighted error exactly 1 - 1/C, unless it stopped or its error was clipped."""
    weights, missed = np.array([weight for weight, _ in rows]), np.array([flag for _, flag in rows])
    found, after = judge(weights, missed, n_classes)
    if found.stopped:
        assert found.error >= 1 - 1 / n_classes - 1e-9
        np.testing.assert_array_equal(after, weights)
    else:
        assert found.alpha > 0
        assert after.sum() == pytest.approx(len(rows))
        if CLIP < found.error < 1 - CLIP:
            assert after[missed].sum() / after.sum() == pytest.approx(1 - 1 / n_classes)


def test_it_stops_for_good() -> None:
    found, weights = judge(np.arange(1.0, 11.0), wrong(9), 2, stopped=True)
    assert (found.alpha, found.stopped) == (0.0, True), "however good a later round is"
    np.testing.assert_array_equal(weights, np.arange(1.0, 11.0))


def test_a_round_that_is_never_wrong_counts_much_and_not_for_ever() -> None:
    found, weights = judge(np.ones(10), wrong(), 2)
    assert found.alpha == pytest.approx(0.5 * math.log((1 - CLIP) / CLIP))
    np.testing.assert_allclose(weights, np.ones(10))


def test_of_three_classes_better_than_two_in_three_wrong_is_enough() -> None:
    """SAMME: an error of .6 among three classes still counts, among two it ends it."""
    missed = wrong(*range(6))
    assert not judge(np.ones(10), missed, 3)[0].stopped
    assert judge(np.ones(10), missed, 2)[0].stopped
    assert judge(np.ones(10), missed, 3)[0].alpha == pytest.approx((math.log(0.4 / 0.6) + math.log(2)) / 2)


def test_votes() -> None:
    probs = np.array([[[0.9, 0.1]], [[0.4, 0.6]], [[0.45, 0.55]]])
    alphas = np.array([1.0, 0.7, 0.5])
    np.testing.assert_allclose(vote(probs, alphas, "soft"), [[(0.9 + 0.28 + 0.225) / 2.2, (0.1 + 0.42 + 0.275) / 2.2]])
    np.testing.assert_allclose(vote(probs, alphas, "discrete"), [[1 / 2.2, 1.2 / 2.2]])
    np.testing.assert_array_equal(
        vote(probs, np.zeros(3), "soft"), probs[0], "where nobody counts, the first stands alone"
    )


# --- through the stages: linear heads on a toy --------------------------------------------------------------------


class Run:
    """All of adaboost's weak side on vectors of a band: between two lines is class 1, which no one line tells."""

    def __init__(self, folder: Path, **choices: Any) -> None:
        generator = np.random.default_rng(0)
        vectors = generator.normal(size=(400, 3)).astype(np.float32)
        label = (abs(vectors[:, 0] + 0.3) < 0.9).astype(np.int64)
        np.savez(folder / "band.npz", x=vectors, label=label)
        head = {"model": "features:x", "probe": {"l2": 0.001}, "evaluate": "never"}
        data = toy_recipe(task={"kind": "features", "path": str(folder / "band.npz")}, weak=head, strong=head)
        self.bench = Bench(Recipe.model_validate(data), folder)
        chosen = config("adaboost", rounds=ROUNDS, **choices)
        assert isinstance(chosen, adaboost.Config)
        self.outcome: Outcome = adaboost.plan(self.bench.recipe.world(0), chosen)
        assert self.outcome.floor is not None
        assert isinstance(self.outcome.floor.labels, Boosted)
        self.verdict = self.outcome.floor.labels
        self.rounds: tuple[Reweighted, ...] = self.verdict.rounds

    def all(self) -> None:
        self.bench.prepare(self.verdict)
        self.metrics, self.ledger = self.bench.run(self.verdict)

    def errors(self) -> list[float]:
        return [read_round(self.bench.out(one)).error for one in self.rounds]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    found = Run(tmp_path_factory.mktemp("boosting"), folds=FOLDS)
    found.all()
    return found


def test_nobody_judges_what_it_learned(run: Run) -> None:
    for one in run.rounds:
        assert isinstance(one.judged, Joined)
        assert len(one.judged.labels) == FOLDS
        for label in one.judged.labels:
            assert isinstance(label, Predict)
            learned = label.model.labels
            assert isinstance(learned, Truth)
            assert learned.left_out == label.rows.piece, "it judges the piece it was kept from, and that one alone"
            assert learned.weights is one.before


def test_all_models_of_a_round_wait_for_the_same_weights_alone(run: Run) -> None:
    """Side by side: none of them stands above another."""
    for place, one in enumerate(run.rounds):
        models = [label.model for label in getattr(one.judged, "labels", ())]
        for model in models:
            below = [stage for stage in walk(model).values() if isinstance(stage, Probe) and stage != model]
            assert len(below) == place * FOLDS, "those of the rounds before"


def test_weights_on_the_toy_are_those_of_the_formula(run: Run) -> None:
    weights: np.ndarray | None = None
    for one in run.rounds:
        table, judged = LabelTable.load(run.bench.out(one)), LabelTable.load(run.bench.out(one.judged))
        missed = judged.join(table.ids, "").probs_NC.argmax(1) != table.probs_NC.argmax(1)
        weights = np.ones(len(missed)) if weights is None else weights
        found, weights = judge(weights, missed, 2)
        assert found == read_round(run.bench.out(one))
        np.testing.assert_allclose(table.weight_N, weights)


def test_the_exponential_loss_falls(run: Run) -> None:
    """mean exp(-sum of alpha * right or wrong) is the product of 2 sqrt(e (1 - e)): below 1, and less with every round."""
    ids = LabelTable.load(run.bench.out(run.rounds[0])).ids
    margin, path = np.zeros(len(ids)), [1.0]
    for one in run.rounds:
        table = LabelTable.load(run.bench.out(one))
        right = LabelTable.load(run.bench.out(one.judged)).join(ids, "").probs_NC.argmax(1) == table.probs_NC.argmax(1)
        margin += read_round(run.bench.out(one)).alpha * np.where(right, 1, -1)
        path.append(float(np.exp(-margin).mean()))
    assert path == sorted(path, reverse=True)
    counted = [read_round(run.bench.out(one)) for one in run.rounds]
    assert path[-1] == pytest.approx(np.prod([2 * math.sqrt(e.error * (1 - e.error)) for e in counted if e.alpha]))
    assert path[-1] < path[1] < 1, "the second round counted as well"


def test_later_rounds_learn_from_the_weights(run: Run) -> None:
    models = [label.model for label in run.verdict.labels if isinstance(label, Predict)]
    assert models[0].labels is None, "the first is every other method's weak model"
    assert [getattr(model.labels, "weights", None) for model in models[1:]] == list(run.rounds[:-1])
    tables = [LabelTable.load(run.bench.out(label)) for label in run.verdict.labels]
    assert not np.allclose(tables[0].probs_NC, tables[1].join(tables[0].ids, "").probs_NC)
    assert run.metrics["alphas"] == [read_round(run.bench.out(one)).alpha for one in run.rounds]
    assert run.metrics["counted"] >= 2


def test_the_training_error_is_another_and_smaller(run: Run, tmp_path: Path) -> None:
    released = Run(tmp_path, error="training")
    released.bench.prepare(released.rounds[0])
    released.bench.run(released.rounds[0])
    assert isinstance(released.rounds[0].judged, Predict)
    assert read_round(released.bench.out(released.rounds[0])).error < run.errors()[0]


def test_the_round_that_stops_it_says_so(run: Run, tmp_path: Path) -> None:
    """The first round's judges always wrong: nothing counts, and the first model stands alone."""
    first = run.rounds[0]
    judged, table = run.bench.out(first.judged), LabelTable.load(run.bench.out(first))
    kept = LabelTable.load(judged)
    turned = Bench(run.bench.recipe, run.bench.root)
    try:
        LabelTable.of_probs(table.ids, 1 - table.probs_NC).save(judged)
        notes: list[str] = []
        for one in run.rounds:
            metrics, ledger = turned.run(one)
            assert metrics["stopped"]
            notes += ledger.notes
        assert notes == ["weighted error 1.000: this round and all after it count nothing"], "told once"
        metrics, ledger = turned.run(run.verdict)
        assert metrics["counted"] == 0
        assert ledger.notes == ["no round is better than chance: the first stands alone"]
        alone = LabelTable.load(run.bench.out(run.verdict.labels[0]))
        np.testing.assert_allclose(
            LabelTable.load(run.bench.out(run.verdict)).join(alone.ids, "").probs_NC, alone.probs_NC
        )
    finally:
        kept.save(judged)
        for one in (*run.rounds, run.verdict):
            turned.run(one)
    assert json.loads((run.bench.out(first) / ROUND).read_text())["stopped"] is False
