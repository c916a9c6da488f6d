"""A chain's last student is judged by the first supervisor's held-out labels, not by how well it copies the rung before."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cluster.store import Store
from tests.w2s.search.searches import rows, search_recipe, tune
from w2s.labels import LabelTable
from w2s.search.searched import load_searched
from w2s.search.trials import Trial, students, trial_recipe
from w2s.search.verdict import learns_from_a_student, verdicts

CHAIN = {"method": {"kind": "bootstrap", "chain": ["weak", "strong"]}}
SPACE = {"space": {"method.chain.0.epochs": [1, 3]}, "algorithm": "grid"}


def test_the_end_of_a_chain_is_held_against_the_first_supervisor(tmp_path: Path) -> None:
    recipe, place = search_recipe(tmp_path, SPACE, **CHAIN), tmp_path / "store"
    done = tune(recipe, place, "--json")
    assert done.code == 0, done.err
    store, differ = Store.open(place), 0
    searched = load_searched(str(recipe))
    for row in rows(place).values():
        made = trial_recipe(searched, Trial(row.overrides))
        (verdict,) = verdicts(made).values()
        own, weak = (LabelTable.load(store.path(stage.key)) for stage in verdict.stages)
        by_id = dict(zip(weak.ids, weak.probs_NC, strict=True))
        agree = [p.argmax() == by_id[i].argmax() for i, p in zip(own.ids, own.probs_NC, strict=True)]
        assert row.metrics["objective"] == pytest.approx(np.mean(agree))
        assert row.metrics["agreement"] == row.metrics["objective"]
        terms = [(p * np.log(p / by_id[i])).sum() for i, p in zip(own.ids, own.probs_NC, strict=True)]
        assert row.metrics["misfit"] == pytest.approx(np.mean(terms), abs=1e-9)
        told = json.loads((store.path(students(made)[0].key) / "curve.json").read_text())[-1]["misfit"]
        differ += abs(told - float(row.metrics["misfit"] or 0)) > 1e-9
    assert differ, "or this test could not tell one from the other"


def test_a_student_of_its_own_supervisor_is_judged_as_it_told(tmp_path: Path) -> None:
    searched = load_searched(str(search_recipe(tmp_path)))
    assert verdicts(searched.base_recipe) == {}
    assert not any(learns_from_a_student(student) for student in students(searched.base_recipe).values())
    chained = load_searched(str(search_recipe(tmp_path, SPACE, "chained", **CHAIN)))
    assert all(learns_from_a_student(student) for student in students(chained.base_recipe).values())
