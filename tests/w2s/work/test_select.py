"""The chosen weak model: by the formula, whatever the order of anybody's rows, and written down."""

# N rows, J candidates

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.job import Context
from w2s.examples import Example
from w2s.labels import LabelTable
from w2s.metrics import cross_fitted
from w2s.stages import Split
from w2s.task import load
from w2s.tasks.toy import Config as Toy
from w2s.work import select, table


class Watch:
    """What a job says."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def binary(p_N: Any) -> Any:
    return np.stack([1 - np.asarray(p_N), np.asarray(p_N)], axis=-1)


def rows() -> tuple[list[Example], list[Example]]:
    """The training rows, and those of them that are held out for seed 0."""
    train = list(load(Toy(size=200, n_test=20), "train").examples)
    return train, [one for one in train if Split(val=0.3).part_of(0, one.group) == "val"]


def place(folder: Path, name: str, ids: list[str], p_N: Any) -> dict[str, Any]:
    (folder / name).mkdir()
    LabelTable.of_probs(ids, binary(p_N)).save(folder / name)
    return {"key": name}


def context(folder: Path, *, calibrate: bool, slope: float = 1.0, order: Any = None, seed: int = 0) -> Context:
    """Three candidates: a fair one, a good one, and one that is sure and knows nothing; every file in its own order."""
    generator = np.random.default_rng(seed)
    train, held = rows()
    (folder / "rows").mkdir(parents=True)
    table.write(folder / "rows", {"train": train if order is None else [train[i] for i in order], "test": []}, 2)
    ids, label_N = [one.id for one in held], np.array([one.label for one in held])
    said_2N = [np.where(generator.random(len(ids)) < right, label_N, 1 - label_N) for right in (0.6, 0.8)]
    fair_N = np.where(said_2N[0] == 1, 0.6, 0.4) + generator.uniform(-0.1, 0.1, len(ids))
    good_N = np.where(said_2N[1] == 1, 0.8, 0.2) + generator.uniform(-0.1, 0.1, len(ids))
    right_N = np.arange(len(ids)) % 2 == 0
    sure_N = np.where(right_N == (label_N == 1), 0.98, 0.02)  # right on every other row
    weak_JN = [fair_N, good_N, sure_N]
    student_JN = [fair_N + 0.02, np.clip(good_N * 0.8 + 0.1, 0.05, 0.95), np.full(len(ids), 0.5)]
    if order is not None:
        way = np.random.default_rng(9).permutation(len(ids))
        ids, weak_JN, student_JN = [ids[i] for i in way], [p[way] for p in weak_JN], [p[way] for p in student_JN]
    science = {
        "val": {"rows": {"key": "rows"}, "name": "val", "split": {"val": 0.3, "weak": 0.5}, "seed": 0},
        "weak": [place(folder, f"weak{j}", ids, p_N) for j, p_N in enumerate(weak_JN)],
        "students": [place(folder, f"student{j}", ids, p_N) for j, p_N in enumerate(student_JN)],
        "options": [place(folder, f"option{j}", [f"t{j}"], [j / 10]) for j in range(3)],
        "slope": slope, "calibrate": calibrate,
    }  # fmt: skip
    inputs = {one.name: one for one in folder.iterdir()}
    (folder / "out").mkdir()
    made: Any = Watch()
    return Context("key", "toy/choose", science, {}, inputs, folder / "out", folder, made)


def by_hand(folder: Path, j: int, calibrate: bool) -> tuple[float, float]:
    """Cross-entropy and reverse misfit of a candidate, with Python's own arithmetic."""
    _, held = rows()
    truth = {one.id: one.label for one in held}
    weak, student = (LabelTable.load(folder / f"{side}{j}") for side in ("weak", "student"))
    truth_N = np.array([truth[i] for i in weak.ids])
    weak_NC = cross_fitted(weak.ids, weak.probs_NC, truth_N) if calibrate else weak.probs_NC
    loss = [-math.log(w[y]) for w, y in zip(weak_NC, truth_N, strict=True)]
    apart = [
        sum(p * math.log(p / q) for p, q in zip(s, w, strict=True))
        for s, w in zip(student.probs_NC, weak_NC, strict=True)
    ]
    return sum(loss) / len(loss), sum(apart) / len(apart)


@pytest.mark.parametrize("calibrate", [True, False], ids=["calibrated", "as they are"])
def test_the_choice_is_the_formula_s_and_is_written_down(tmp_path: Path, calibrate: bool) -> None:
    made = context(tmp_path, calibrate=calibrate)
    found = select.run(made)
    expected = [by_hand(tmp_path, j, calibrate) for j in range(3)]
    assert found["weak_loss"] == pytest.approx([loss for loss, _ in expected], rel=1e-4)
    assert found["misfit"] == pytest.approx([apart for _, apart in expected], rel=1e-4, abs=1e-6)
    assert found["predicted_loss"] == pytest.approx([loss - apart for loss, apart in expected], rel=1e-3)
    assert found["chosen"] == int(np.argmin(found["predicted_loss"])) == 1
    assert (found["candidates"], found["held_out"], found["n"]) == (3, len(rows()[1]), 1)
    assert LabelTable.load(made.out).ids == ("t1",), "the chosen option's rows, whatever they are"
    assert made.watch.notes == [f"candidate 1 of 3: predicted loss {found['predicted_loss'][1]:.4f}"]  # type: ignore[attr-defined]


def test_misfit_alone_would_choose_the_hopeless(tmp_path: Path) -> None:
    """Sure and right by chance: theory takes back all that its misfit promises, and leaves ln 2."""
    found = select.run(context(tmp_path, calibrate=False))
    assert int(np.argmax(found["misfit"])) == 2
    assert found["chosen"] == 1
    assert found["predicted_loss"][2] == pytest.approx(math.log(2), abs=0.1)


def test_without_a_slope_the_weak_loss_alone_decides(tmp_path: Path) -> None:
    found = select.run(context(tmp_path, calibrate=True, slope=0.0))
    assert found["predicted_loss"] == found["weak_loss"]


def test_nobody_s_order_of_rows_changes_a_digit(tmp_path: Path) -> None:
    there = select.run(context(tmp_path / "a", calibrate=True))
    back = select.run(
        context(tmp_path / "b", calibrate=True, order=np.random.default_rng(1).permutation(len(rows()[0])))
    )
    for name in ("weak_loss", "misfit", "predicted_loss"):
        assert there[name] == pytest.approx(back[name], abs=1e-7), name
    assert there["chosen"] == back["chosen"]


def test_the_first_of_equals_is_chosen(tmp_path: Path) -> None:
    made = context(tmp_path, calibrate=True)
    same = {"weak": [made.science["weak"][1]] * 3, "students": [made.science["students"][1]] * 3}
    found = select.run(replace(made, science={**made.science, **same}))
    assert found["chosen"] == 0
    assert len(set(found["predicted_loss"])) == 1
