"""Diagnostics from a real store: each number equals the one worked by hand from the files; what is not there is named."""

# N rows, C classes, S seeds

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster.errors import StageFailed
from cluster.store import Store
from tests.w2s.report.finished import RECIPE, toy
from w2s import bridge
from w2s.labels import softmax
from w2s.metrics import ece
from w2s.report.diagnostics import MEANS, TERMS, Diagnosis, Evidence, Pair, diagnose
from w2s.report.gather import evidence, gather
from w2s.stages import Labels, Rows

OUTCOMES = list(RECIPE.outcomes.values())
METHODS = pytest.mark.parametrize("place", range(len(OUTCOMES)), ids=[method.kind for method in RECIPE.outcomes])


def diagnoses(store: Store) -> tuple[Diagnosis, ...]:
    return tuple(diagnose(one, 0.95) for one in evidence(RECIPE, gather(RECIPE, store), store))


@pytest.fixture(scope="module")
def found(finished: Store) -> tuple[Diagnosis, ...]:
    return diagnoses(finished)


# --- by hand: the files and Python's own arithmetic ----------------------------------------------------------------


def truth(store: Store) -> dict[str, int]:
    rows = pq.read_table(store.path(Rows(RECIPE.task).key) / "rows.parquet").to_pylist()
    return {row["id"]: row["label"] for row in rows if row["split"] == "test"}


def probs(store: Store, labels: Labels) -> dict[str, list[float]]:
    return {row["id"]: row["probs"] for row in pq.read_table(store.path(labels.key) / "labels.parquet").to_pylist()}


def by_hand(store: Store, place: int, term: Callable[[float, float, int], float | None]) -> float | None:
    """The mean of a term of (student's P(1), supervisor's P(1), truth) over seeds and rows; rows of None do not count."""
    values: list[float] = []
    for outcome in OUTCOMES[place].values():
        student, weak = probs(store, outcome.transfer.labels), probs(store, outcome.floor.labels)
        values += [value for i, y in truth(store).items() if (value := term(student[i][1], weak[i][1], y)) is not None]
    return sum(values) / len(values) if values else None


def choice(p: float) -> int:
    return int(p > 0.5)


FORMULAS: dict[str, Callable[[float, float, int], float | None]] = {
    "agreement": lambda f, w, y: choice(f) == choice(w),
    "disagreement": lambda f, w, y: choice(f) != choice(w),
    "where_right": lambda f, w, y: choice(f) == choice(w) if choice(w) == y else None,
    "where_wrong": lambda f, w, y: choice(f) == choice(w) if choice(w) != y else None,
    "right_where_apart": lambda f, w, y: choice(f) == y if choice(f) != choice(w) else None,
    "misfit_reverse": lambda f, w, y: f * math.log(f / w) + (1 - f) * math.log((1 - f) / (1 - w)),
    "misfit_forward": lambda f, w, y: w * math.log(w / f) + (1 - w) * math.log((1 - w) / (1 - f)),
    "misfit_brier": lambda f, w, y: (f - w) ** 2,
    "gain_ce": lambda f, w, y: math.log(f / w) if y else math.log((1 - f) / (1 - w)),
    "gain_brier": lambda f, w, y: (y - w) ** 2 - (y - f) ** 2,
}


@METHODS
@pytest.mark.parametrize("name", FORMULAS)
def test_each_term_is_the_one_worked_by_hand(
    finished: Store, found: tuple[Diagnosis, ...], name: str, place: int
) -> None:
    value, expected = getattr(found[place], name), by_hand(finished, place, FORMULAS[name])
    if expected is None:
        assert value is None
    else:
        assert value.mean == pytest.approx(expected, rel=1e-4, abs=1e-9)
        assert value.low <= value.mean <= value.high


@METHODS
def test_slack_and_the_identity_hold_in_the_means(found: tuple[Diagnosis, ...], place: int) -> None:
    one = found[place]
    assert (one.seeds, one.missing, one.method) == ((0, 1), (), RECIPE.methods[place].label)
    assert one.slack is not None and one.gain_ce is not None and one.misfit_reverse is not None  # noqa: PT018
    assert one.slack.mean == pytest.approx(one.gain_ce.mean - one.misfit_reverse.mean)
    scores = {score.labeller: score.accuracy.mean for score in one.scores}
    rho = one.right_where_apart.mean if one.right_where_apart else 0.5
    assert one.disagreement is not None
    assert scores["transfer"] - scores["floor"] == pytest.approx(one.disagreement.mean * (2 * rho - 1))


@METHODS
def test_everyone_is_scored_extras_as_well(finished: Store, found: tuple[Diagnosis, ...], place: int) -> None:
    names = ["floor", "transfer", "ceiling", *(["member 0", "member 1"] if place == 0 else [])]
    assert [score.labeller for score in found[place].scores] == names
    labels = truth(finished)
    for score in found[place].scores:
        stages = [
            getattr(o, score.labeller)
            if score.labeller in ("floor", "transfer", "ceiling")
            else o.extras[score.labeller]
            for o in OUTCOMES[place].values()
        ]
        tables = [probs(finished, stage.labels) for stage in stages]
        rows = [(table[i], y) for table in tables for i, y in labels.items()]
        assert score.seeds == (0, 1)
        assert score.accuracy.mean == pytest.approx(np.mean([choice(p[1]) == y for p, y in rows]))
        assert score.log_loss.mean == pytest.approx(np.mean([-math.log(p[y]) for p, y in rows]))
        assert score.brier.mean == pytest.approx(np.mean([2 * (1 - p[y]) ** 2 for p, y in rows]))
        calibration = [ece(np.array([table[i] for i in labels]), np.array([*labels.values()])) for table in tables]
        assert score.ece == pytest.approx(np.mean(calibration))


# --- what is not there, or damaged --------------------------------------------------------------------------------


def test_labels_that_were_cleared_away_are_named_and_the_rest_stands(copy: Store) -> None:
    student = OUTCOMES[1][1].transfer.labels
    copy.delete(student.key)
    _, naive = diagnoses(copy)
    assert naive.missing == (bridge.name(student),)
    assert naive.seeds == (0,)
    seeds = {score.labeller: score.seeds for score in naive.scores}
    assert seeds == {"floor": (0, 1), "transfer": (0,), "ceiling": (0, 1)}


def test_an_empty_store_has_no_diagnostics_and_names_the_rows(tmp_path: Path) -> None:
    for one in diagnoses(Store.open(tmp_path / "nothing", create=False)):
        assert (one.seeds, one.scores) == ((), ())
        assert one.missing == (bridge.name(Rows(RECIPE.task)),)
        assert all(getattr(one, name) is None for name in TERMS)


def test_nobody_is_told_twice(finished: Store) -> None:
    """A crowd of one is its own verdict."""
    recipe = toy(method={"kind": "ensemble", "members": 1}, baselines=[], seeds=[0])
    (one,) = evidence(recipe, gather(recipe, finished), finished)
    assert (list(one.labellers), one.missing) == (["floor", "transfer", "ceiling"], ())


@pytest.mark.parametrize("raw", [None, b"", b"PAR1 no more PAR1"], ids=["gone", "empty", "no parquet"])
def test_damaged_labels_are_a_problem_with_a_remedy(copy: Store, raw: bytes | None) -> None:
    stage = OUTCOMES[0][0].transfer.labels
    file = copy.path(stage.key) / "labels.parquet"
    file.unlink()
    if raw is not None:
        file.write_bytes(raw)
    with pytest.raises(StageFailed, match=r"labels\.parquet") as caught:
        diagnoses(copy)
    assert stage.key[:12] in caught.value.where
    assert "w2s verify --quarantine" in caught.value.remedy


# --- pure -----------------------------------------------------------------------------------------------------------


def made(seeds: int = 2, rows: int = 60) -> Evidence:
    generator = np.random.default_rng(0)
    pairs = tuple(Pair(seed, *(softmax(generator.normal(size=(rows, 3))) for _ in range(2))) for seed in range(seeds))
    return Evidence("naive", generator.integers(0, 3, rows), pairs, {})


def test_the_order_of_rows_moves_no_number() -> None:
    there = made()
    order = np.random.default_rng(1).permutation(60)
    back = replace(
        there,
        truth_N=there.truth_N[order],
        pairs=tuple(Pair(p.seed, p.student_NC[order], p.supervisor_NC[order]) for p in there.pairs),
    )
    assert diagnose(there, 0.95) == diagnose(back, 0.95)


def test_a_wider_level_gives_wider_intervals() -> None:
    narrow, wide = (diagnose(made(), level) for level in (0.5, 0.95))
    for name in MEANS:
        ends = [(getattr(one, name).low, getattr(one, name).high) for one in (wide, narrow)]
        assert ends[0][0] <= ends[1][0] <= ends[1][1] <= ends[0][1]


def test_a_student_that_is_its_supervisor_is_nowhere_apart() -> None:
    there = made()
    same = replace(there, pairs=tuple(Pair(p.seed, p.supervisor_NC, p.supervisor_NC) for p in there.pairs))
    found: Any = diagnose(same, 0.95)
    assert found.right_where_apart is None
    for name in MEANS:
        assert (getattr(found, name).mean, getattr(found, name).low, getattr(found, name).high) == (0, 0, 0)
    assert found.agreement.mean == found.where_right.mean == found.where_wrong.mean == 1
