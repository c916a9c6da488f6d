"""Explained students: the graph, and the stress test by decoys (Heo et al. 2023; for texts and weak labels, ours)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import toy_recipe
from tests.w2s.methods.planning import grades, planned, student, top
from tests.w2s.work import words
from tests.w2s.work.run_stage import Bench
from w2s.recipe import Recipe
from w2s.stages import Combine, Train


def test_floor_and_ceiling_are_naives_and_the_student_alone_is_explained() -> None:
    outcome, naive = planned("explained", by="pgd", eps=0.2), planned("naive")
    assert (grades(outcome)[0], grades(outcome)[2]) == (grades(naive)[0], grades(naive)[2])
    made = student(outcome)
    assert isinstance(made, Train)
    assert made.explain is not None
    assert (made.explain.by, made.explain.eps) == ("pgd", 0.2)
    plain = student(naive)
    assert made.key != plain.key
    assert "explain" not in plain.science()
    assert made.science()["explain"]["by"] == "pgd"
    assert top(outcome).key == top(naive).key


def test_hard_labels_are_made_certain_before_they_are_learned() -> None:
    made = student(planned("explained", labels="hard"))
    assert isinstance(made.labels, Combine)


def test_ways_and_numbers_are_told_in_the_label() -> None:
    keys = {student(planned("explained", by=by)).key for by in ("corm", "pgd", "gradreg", "ibp")}
    keys |= {student(planned("explained", rationale="random")).key, student(planned("explained", prob=0.4)).key}
    assert len(keys) == 6


WAYS: dict[str, dict[str, Any]] = {
    "naive": {"kind": "naive"},
    "corm": {"kind": "explained", "by": "corm", "prob": 1.0},
    "corm random": {"kind": "explained", "by": "corm", "prob": 1.0, "rationale": "random"},
    "pgd": {"kind": "explained", "by": "pgd", "eps": 4.0},
    "pgd random": {"kind": "explained", "by": "pgd", "eps": 4.0, "rationale": "random"},
    "gradreg": {"kind": "explained", "by": "gradreg", "gradient": 1.0},
}


@pytest.mark.slow
def test_a_naive_student_falls_for_the_decoy_and_an_explained_one_does_not(tmp_path: Path) -> None:
    """A decoy agrees with the truth in 95% of what anyone learns from, and with nothing in the test.

    The supervisor leans on it, so its labels teach it too. Random masks of the same size do not help. eps is large because
    this BERT was never pretrained: a few steps double the length of its decoys' vectors.
    """
    learner = {"max_tokens": 32, "evaluate": "never", "batch": 16}
    recipe = toy_recipe(
        task={"kind": "decoy", "of": {"kind": "toy", "size": 600, "hard": 0}},
        weak={"model": words.bert(tmp_path / "weak", 8, 1), "epochs": 6, "optim": {"lr": 3e-3}, **learner},
        strong={"model": words.bert(tmp_path / "strong", 32, 2), "epochs": 6, "optim": {"lr": 3e-3}, **learner},
        method=WAYS["naive"],
        baselines=[way for name, way in WAYS.items() if name != "naive"],
    )
    made = Recipe.model_validate(recipe)
    made.check()
    bench = Bench(made, tmp_path)
    found: dict[str, float] = {}
    for name, method in zip(WAYS, made.methods, strict=True):
        transfer = made.outcomes[method][0].transfer
        assert transfer is not None
        bench.prepare(transfer)
        found[name] = bench.run(transfer)[0]["accuracy"]
    assert all(found[name] < 0.65 for name in ("naive", "corm random", "pgd random")), found
    assert all(found[name] > 0.85 for name in ("corm", "pgd", "gradreg")), found
