"""New labels as stages, against independent formulas over the files they read; filters and controls as stages too."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench
from w2s import registry
from w2s.examples import hash_unit
from w2s.labels import LabelTable
from w2s.recipe import Recipe
from w2s.stages import Labels, walk
from w2s.work import features
from w2s.work.relabel import FOLDS, by_logistic
from w2s.work.table import RowTable, Whole, read_all

PROBES = {
    "weak": {"model": {"source": "tiny:bert", "width": 8, "depth": 1}, "probe": {"l2": 0.1}, "evaluate": "never"},
    "strong": {"model": {"source": "tiny:bert", "width": 16, "depth": 2}, "probe": {"l2": 0.1}, "max_tokens": 64},
    "task": {"kind": "toy", "size": 200, "n_test": 40, "hard": 0.5},
    "baselines": [],
}


class House:
    """One toy world of probes where stages run as they are asked for."""

    def __init__(self, root: Path) -> None:
        self.bench = Bench(Recipe.model_validate(toy_recipe(**PROBES)), root)
        self.world = self.bench.recipe.world(0)
        self.verdict = self.world.predict(self.world.supervisors()[0], "strong")

    def labels(self, stage: Labels) -> LabelTable:
        return LabelTable.load(self.made(stage))

    def made(self, stage: Any) -> Path:
        if not self.bench.out(stage).exists():
            self.bench.prepare(stage)
            self.bench.run(stage)
        return self.bench.out(stage)

    def whole(self) -> Whole:
        return read_all(self.made(self.world.part("strong").rows))

    def rows(self, part: str) -> RowTable:
        whole = self.whole()
        return whole.take(whole.places(self.world.part(part).json(False), "here"))  # type: ignore[arg-type]

    def vectors(self, part: str) -> np.ndarray:
        whole, embed = self.whole(), self.world.states(self.world.strong, "middle")
        places = whole.places(self.world.part(part).json(False), "here")  # type: ignore[arg-type]
        found = features.read(self.made(embed), ["middle"]).vectors_NKD[places, 0]
        return found.double().numpy()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


def at(table: LabelTable, ids: tuple[str, ...]) -> np.ndarray:
    return table.join(ids, "here").probs_NC


def neighbours_mean(wanted: np.ndarray, among: np.ndarray, probs: np.ndarray, k: int, *, same: bool) -> np.ndarray:
    found = []
    for i, row in enumerate(wanted):
        away = ((among - row) ** 2).sum(axis=1)
        if same:
            away[i] = np.inf
        found.append(probs[np.argsort(away, kind="stable")[:k]].mean(axis=0))
    return np.array(found)


@pytest.mark.parametrize("part", ["strong", "val", "test"])
def test_knn_is_the_mean_label_of_the_nearest_others(part: str, house: House) -> None:
    stage = house.world.relabel(house.verdict, "knn", layer="middle", neighbours=7).on(house.world.part(part))  # type: ignore[arg-type]
    given = at(house.labels(house.verdict), house.rows("strong").ids)
    expected = neighbours_mean(house.vectors(part), house.vectors("strong"), given, 7, same=part == "strong")
    np.testing.assert_allclose(at(house.labels(stage), house.rows(part).ids), expected, atol=1e-9)


def folds(whole: Whole, ids: tuple[str, ...]) -> np.ndarray:
    group = dict(zip(whole.rows.ids, whole.groups, strict=True))
    return np.array([int(hash_unit("fold", group[row]) * FOLDS) for row in ids])


def logistic(train: np.ndarray, given: np.ndarray, wanted: np.ndarray, l2: float) -> np.ndarray:
    """By another program: soft labels as two weighted copies of each row. P(class 1)."""
    scale = StandardScaler().fit(train)
    rows, count = scale.transform(train), len(train)
    # two softmax rows of norms l2 |w0|^2 + l2 |w1|^2 are one logistic row v = w1 - w0 of l2 |v|^2 / 2
    model = LogisticRegression(C=1 / (l2 * count), tol=1e-10, max_iter=10_000)
    model.fit(
        np.concatenate([rows, rows]), np.repeat([0, 1], count), sample_weight=np.concatenate([given[:, 0], given[:, 1]])
    )
    found: np.ndarray = model.predict_proba(scale.transform(wanted))[:, 1]
    return found


@pytest.mark.parametrize("part", ["strong", "val"])
def test_logistic_judges_a_row_by_fits_that_have_not_seen_it(part: str, house: House) -> None:
    stage = house.world.relabel(house.verdict, "logistic", layer="middle", l2=0.05).on(house.world.part(part))  # type: ignore[arg-type]
    found = at(house.labels(stage), house.rows(part).ids)[:, 1]
    train, ids = house.vectors("strong"), house.rows("strong").ids
    given = at(house.labels(house.verdict), ids)
    if part == "val":
        expected = logistic(train, given, house.vectors("val"), 0.05)
    else:
        fold, expected = folds(house.whole(), ids), np.empty(len(ids))
        for f in np.unique(fold):
            expected[fold == f] = logistic(train[fold != f], given[fold != f], train[fold == f], 0.05)
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("how", ["knn", "logistic"])
def test_a_row_has_no_say_in_its_own_label(how: str, house: House) -> None:
    """Its own weak label turned round: its new label is the same to the bit, others' are not."""
    stage = house.world.relabel(house.verdict, how, layer="middle", neighbours=5, l2=0.05)  # type: ignore[arg-type]
    before = house.labels(stage)
    folder = house.made(house.verdict)
    weak, moved = LabelTable.load(folder), 0
    try:
        for row in before.ids[:5]:
            turned = weak.probs_NC.copy()
            place = weak.ids.index(row)
            turned[place] = [0.0, 1.0] if weak.probs_NC[place, 0] > 0.5 else [1.0, 0.0]
            dataclasses.replace(weak, probs_NC=turned).save(folder)
            house.bench.run(stage)
            after = LabelTable.load(house.bench.out(stage))
            same = (at(after, before.ids) == before.probs_NC).all(axis=1)
            assert same[before.ids.index(row)]
            moved += int((~same).sum())
    finally:
        weak.save(folder)
        house.bench.run(stage)
    assert moved, "others it does concern"


def test_a_filter_drops_what_disagrees_with_others(house: House) -> None:
    opinion = house.world.relabel(house.verdict, "knn", layer="middle", neighbours=7)
    stage = house.world.filter(house.verdict, "disagreement", 0.8, opinion)
    ids = house.rows("strong").ids
    kept = house.labels(stage).join(ids, "here")
    given, other = at(house.labels(house.verdict), ids), at(house.labels(opinion), ids)
    np.testing.assert_array_equal(kept.probs_NC, given)
    away, dropped = abs(given - other)[:, 1], kept.weight_N == 0
    assert dropped.sum() == int(0.2 * len(ids) + 1e-9)
    assert away[dropped].min() >= away[~dropped].max()
    assert set(kept.weight_N) == {0.0, 1.0}


def test_a_filters_receipt_tells_what_it_did(house: House) -> None:
    stage = house.world.topofilter(house.verdict, 0.9, layer="middle", neighbours=10)
    house.bench.prepare(stage)
    metrics, _ = house.bench.run(stage)
    table, rows = house.labels(stage), house.rows("strong")
    kept = table.join(rows.ids, "here").weight_N > 0
    assert metrics["kept"] == kept.sum() == metrics["kept_class_0"] + metrics["kept_class_1"]
    right = at(table, rows.ids).argmax(axis=1) == np.array(rows.labels)
    assert (metrics["accuracy"], metrics["accuracy_kept"]) == (right.mean(), right[kept].mean())
    assert 0 < metrics["kept"] <= min(metrics["in_components"], int(np.ceil(0.9 * len(rows))))


STRUCTURES = ("random", "longest", "shortest", "unconfident", "confident")


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("part", ["strong", "val", "test"])
def test_a_control_errs_as_often_as_the_supervisor(structure: str, part: str, house: House) -> None:
    sure = house.world.predict(house.world.train(house.world.strong, "weak"), "strong")
    asked = sure if structure in ("unconfident", "confident") else None
    stage = house.world.corrupt(house.verdict, structure, asked).on(house.world.part(part))  # type: ignore[arg-type]
    rows = house.rows(part)
    truth, found = np.array(rows.labels), at(house.labels(stage), rows.ids)
    weak = at(house.labels(house.verdict.on(house.world.part(part))), rows.ids)  # type: ignore[arg-type]
    wrong = found.argmax(axis=1) != truth
    assert wrong.sum() == (weak.argmax(axis=1) != truth).sum() > 0
    assert set(found.ravel()) == {0.0, 1.0}
    length = np.array([len(text) for (text,) in rows.texts])
    if structure in ("longest", "shortest"):
        sign = 1 if structure == "longest" else -1
        assert (sign * length[wrong]).min() >= (sign * length[~wrong]).max()
    elif asked is not None:
        sure_NC = at(house.labels(asked.on(house.world.part(part))), rows.ids)  # type: ignore[arg-type]
        top, right = sure_NC.max(axis=1), sure_NC.argmax(axis=1) == truth
        if structure == "unconfident":
            assert top[wrong].max() <= top[~wrong].min()
        else:
            assert right[wrong].all() or wrong[right].all(), "where it is right, as far as that goes"
            assert (~wrong & right).sum() == 0 or top[wrong].min() >= top[~wrong & right].max()


def test_labels_of_weight_0_teach_nobody(house: House) -> None:
    """Neighbours and probes see the rows that are kept, and judge all."""
    kept = house.world.filter(house.verdict, "confidence", 0.5)
    ids = house.rows("strong").ids
    weight = house.labels(kept).join(ids, "here").weight_N
    stage = house.world.relabel(kept, "knn", layer="middle", neighbours=5)
    vectors, given = house.vectors("strong"), at(house.labels(kept), ids)
    expected = []
    for i, row in enumerate(vectors):
        away = np.where(weight > 0, ((vectors - row) ** 2).sum(axis=1), np.inf)
        away[i] = np.inf
        expected.append(given[np.argsort(away, kind="stable")[:5]].mean(axis=0))
    np.testing.assert_allclose(at(house.labels(stage), ids), expected, atol=1e-9)


def test_one_fold_teaches_nobody() -> None:
    """Rows of one group are never judged by each other."""
    with pytest.raises(BadInput, match="3 rows leave nothing to learn from; take more rows"):
        by_logistic(torch.randn(3, 1, 2), ["a"] * 3, [0, 1, 2], [0, 1, 2], np.eye(3)[:, :2], np.ones(3), 0.1, "here")


def test_candidates_and_classes_of_any_number_are_judged_by_logistic() -> None:
    generator = torch.Generator().manual_seed(0)
    for candidates in (1, 4):
        vectors = torch.randn(60, candidates, 3, generator=generator)
        truth = vectors[:, :, 0].argmax(dim=1) if candidates > 1 else vectors[:, 0].argmax(dim=1)
        classes, places = max(candidates, 3), list(range(60))
        groups = [f"g{i}" for i in places]
        found = by_logistic(vectors, groups, places, places, np.eye(classes)[truth], np.ones(60), 1e-3, "here")
        assert found.shape == (60, classes)
        assert (found.argmax(axis=1) == truth.numpy()).mean() > 0.85


def test_every_label_stage_of_a_method_has_words(house: House) -> None:
    found: set[str] = set()
    for kind, choices in (("filter", {"by": "knn"}), ("filter", {"by": "topological"}), ("random_labels", {})):
        method = registry.module("methods", kind)
        outcome = method.plan(house.world, method.Config(**choices))
        found |= {stage.words for stage in walk(*outcome.stages()).values()}
    assert found >= {
        "relabel strong by knn: tiny-bert-8x1 labels", "filter strong: tiny-bert-8x1 labels",
        "topofilter strong: tiny-bert-8x1 labels", "corrupt strong (random) as often as tiny-bert-8x1",
        "probe tiny-bert-16x2 on strong (filtered tiny-bert-8x1 labels, xent) s0",
    }  # fmt: skip
