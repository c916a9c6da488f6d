"""The numbers behind the page: the choice against the truth, importance, what sharing saved, PGR's yardstick, refreshing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from cluster.errors import BadEnvironment
from cluster.events import Event
from cluster.store import Store
from tests.w2s.search.shown.conftest import Real
from tests.w2s.search.shown.searches import made_up, searched, written
from w2s.search.ending import as_it_stands
from w2s.search.shown.choice import judge, spearman_interval
from w2s.search.shown.cost import cost_of
from w2s.search.shown.fields import fields_of
from w2s.search.shown.importance import FEWEST, MOST, importance
from w2s.search.shown.picture import Picture, thinned
from w2s.search.shown.refresh import LEAST_S, Refresh
from w2s.search.shown.truth import Gap, truth_of


def test_the_interval_of_a_rank_correlation_holds_it() -> None:
    rng = np.random.default_rng(1)
    one = rng.normal(size=60)
    other = one + rng.normal(size=60)
    low, high = spearman_interval(one, other) or (0.0, 0.0)
    assert low < float(spearmanr(one, other).statistic) < high
    assert 0.1 < high - low < 0.6
    assert spearman_interval(one, one) == pytest.approx((1.0, 1.0))
    assert spearman_interval(one[:4], other[:4]) is None
    assert spearman_interval(one, np.ones(60)) is None
    assert spearman_interval(one, other) == (low, high), "the same every time"


def test_regret_is_what_the_choice_lost(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path)
    ending = written(of, Store.open(store_url), made_up(of, 12))
    found = judge(ending)
    assert found is not None
    truths = [float(row.metrics["test_accuracy"] or 0) for row in ending.judged]
    assert found.regret == pytest.approx(max(truths) - truths[0])
    assert found.regret_by_lot == pytest.approx(max(truths) - sum(truths) / len(truths))
    assert float(found.truly_best.metrics["test_accuracy"] or 0) == max(truths)
    one = written(searched(tmp_path), Store.open(str(tmp_path / "other")), made_up(of, 1))
    assert judge(one) is None


def test_choices_decades_apart_are_shown_by_their_logarithm(tmp_path: Path) -> None:
    of = searched(tmp_path, space={"strong.optim.lr": [1e-4, 1e-3, 1e-2], "method.warmup": [0, 0.01, 1]}, trials=6)
    found = {field.path: field.log for field in fields_of(of, [])}
    assert found == {"strong.optim.lr": True, "method.warmup": False}, "zero has no logarithm"


def test_fields_know_their_scale(tmp_path: Path) -> None:
    of = searched(tmp_path)
    found = {field.path: (field.kind, field.log, field.whole) for field in fields_of(of, made_up(of, 12))}
    assert found["strong.optim.lr"] == ("number", True, False)
    assert found["strong.epochs"] == ("number", False, True)
    assert found["method.warmup"] == ("number", False, False)
    assert found["strong.evaluate"] == ("words", False, False)


def test_importance_finds_the_field_that_matters(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path, trials=60)
    ending = written(of, Store.open(store_url), made_up(of, 60))
    fields = fields_of(of, ending.rows)
    found = importance(fields, ending.judged)
    assert next(iter(found.shares)) == "method.alpha"
    assert found.shares["method.alpha"] > 0.8
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found == importance(fields, list(reversed(ending.judged))), "in any order"
    few = importance(fields, ending.judged[: FEWEST - 1])
    assert (few.shares, few.why) == ({}, f"needs {FEWEST} finished trials, and there are {FEWEST - 1}")


def test_importance_of_many_trials_is_of_some_from_all_over(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path, trials=400)
    ending = written(of, Store.open(store_url), made_up(of, 400))
    found = importance(fields_of(of, ending.rows), ending.judged)
    assert found.trials == MOST
    assert next(iter(found.shares)) == "method.alpha"


def test_sharing_saves_what_trials_have_in_common(real: Real) -> None:
    ending = as_it_stands(real.searched, real.folder)
    found = cost_of(ending, real.store)
    receipts = [real.store.receipt(path.parent.name) for path in Path(real.url).glob("??/*/receipt.json")]
    assert found.stages == len(receipts), "every stage in this store is the search's"
    assert found.spent_s == pytest.approx(sum(receipt.seconds for receipt in receipts))
    assert found.trials == 3
    shared = [receipt for receipt in receipts if receipt.kind == "Rows"]
    assert found.sharing_saved_s > 3 * sum(receipt.seconds for receipt in shared) * 0.99, "rows are needed by four"
    assert found.stopping_saved_s == 0.0


def test_pgr_has_one_yardstick_or_a_reason(real: Real) -> None:
    found = truth_of(real.searched, real.store)
    assert found.gap is not None or found.why.startswith("no gap to recover: ceiling ")
    gap = Gap(0.6, 0.8)
    assert gap.pgr(0.7) == pytest.approx(0.5)
    assert gap.accuracy(gap.pgr(0.73)) == pytest.approx(0.73)


def test_pgr_waits_for_floor_and_ceiling(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path, space={"method.alpha": {"uniform": [0, 0.9]}})
    assert truth_of(of, Store.open(store_url)).why == "floor and ceiling of the recipe as written are not finished"


def test_trials_with_ceilings_of_their_own_have_no_pgr_in_common(tmp_path: Path, store_url: str) -> None:
    found = truth_of(searched(tmp_path), Store.open(store_url))
    assert found.gap is None
    assert found.why.startswith("trials have floors or ceilings of their own (of strong.optim.lr); `w2s run`")


def test_bars_reach_from_seed_to_seed(real: Real) -> None:
    ending = as_it_stands(real.searched, real.folder)
    picture = Picture.of(ending, real.store)
    assert set(picture.truth_spread) == set(picture.objective_spread) == {row.trial for row in ending.judged}
    for row in ending.judged:
        for spread, name in ((picture.truth_spread, "test_accuracy"), (picture.objective_spread, "objective")):
            low, high = spread[row.trial]
            assert (low + high) / 2 == pytest.approx(float(row.metrics[name] or 0)), "two seeds: the mean lies between"


def test_thinned_keeps_the_best_and_some_of_the_others(tmp_path: Path) -> None:
    rows = made_up(searched(tmp_path, trials=100), 100)
    found = thinned(rows, 20)
    assert len(found) == 20
    assert found[:10] == rows[:10]
    assert found[-1].number > 90
    assert thinned(rows, 100) == rows


def test_refreshing_follows_trials_and_never_takes_long() -> None:
    now, heard, drawn = [0.0], [], []

    def redraw() -> None:
        drawn.append(now[0])
        now[0] += 2.0

    refresh = Refresh(heard.append, redraw, clock=lambda: now[0])
    trial = Event("note", data={"text": "trial 3 done"})
    refresh(trial)
    assert drawn == [], "not at once"
    now[0] = LEAST_S
    refresh(Event("done", "a" * 64))
    refresh(Event("note", "a" * 64, {"text": "of a stage"}))
    assert drawn == [], "not after news of a stage"
    refresh(trial)
    refresh(trial)
    assert drawn == [LEAST_S]
    now[0] += 50
    refresh(trial)
    assert drawn == [LEAST_S], "two seconds of drawing are paid for by a hundred without"
    now[0] += 60
    refresh(trial)
    assert len(drawn) == 2
    assert len(heard) == 7, "everything is passed on"


def test_a_full_disk_ends_refreshing_not_the_search() -> None:
    def broken() -> None:
        raise BadEnvironment("TensorBoard files", "the disk is full")

    now, heard = [0.0], []
    refresh = Refresh(heard.append, broken, clock=lambda: now[0])
    for _ in range(3):
        now[0] += 1000
        refresh(Event("note", data={"text": "trial"}))
    told = [event.data["text"] for event in heard if "not kept up to date" in event.data["text"]]
    assert told == ["TensorBoard is not kept up to date: TensorBoard files: the disk is full"]
