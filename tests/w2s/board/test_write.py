"""A recipe's board, read by TensorBoard's own code: every number is a receipt's, every run has a human name, nothing is there twice."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster.store import Store
from cluster.watch import curve_folder
from tests.w2s.board.tensorboard import Look
from tests.w2s.conftest import Finished
from w2s import bridge
from w2s.board import scores
from w2s.board.write import board_root, count_runs, write_board
from w2s.labels import LabelTable
from w2s.load import load
from w2s.recipe import Recipe
from w2s.report.summary import SIDES
from w2s.stages import Rows

RUNS = {
    f"{method}/seed 0/{role}"
    for method in ("confidence", "naive")
    for role in ("student", "ceiling", "weak 0", "weak 1", "results")
}


def opened(of: Finished) -> tuple[Recipe, Store]:
    return load(str(of.recipe)), Store.open(of.store)


@pytest.fixture(scope="module")
def seen(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Store, Look]:
    """The board of a copy of the finished run, with figures. For reading only."""
    store = tmp_path_factory.mktemp("board") / "store"
    shutil.copytree(finished.store, store, symlinks=True)
    recipe, opened_store = load(str(finished.recipe)), Store.open(store)
    return recipe, opened_store, Look(write_board(recipe, opened_store, figures=True))


def accuracy(recipe: Recipe, store: Store, kind: str, side: str) -> float:
    """By the receipt itself."""
    (outcome,) = next(found for method, found in recipe.outcomes.items() if method.kind == kind).values()
    file = store.path(outcome.sides()[side].key) / "receipt.json"
    return float(json.loads(file.read_text())["metrics"]["accuracy"])


def said(recipe: Recipe, store: Store, kind: str, side: str) -> tuple[Any, Any]:
    """A side's probabilities on the test rows, and the truth, from the files of its stages."""
    (outcome,) = next(found for method, found in recipe.outcomes.items() if method.kind == kind).values()
    rows = pq.read_table(store.path(Rows(recipe.task).key) / "rows.parquet", filters=[("split", "==", "test")])
    ids, truth_N = tuple(rows["id"].to_pylist()), np.array(rows["label"].to_pylist())
    return LabelTable.load(store.path(outcome.sides()[side].labels.key)).join(ids, "test").probs_NC, truth_N


def test_runs_are_named_by_method_seed_and_role(seen: tuple[Recipe, Store, Look]) -> None:
    _, store, look = seen
    extra = {"summary", "columns", "figures", "confidence/by seed", "naive/by seed"}
    assert look.runs == RUNS | extra
    assert count_runs(look.root) == len(look.runs)
    for path in look.root.rglob("*"):
        if path.is_symlink():
            assert not path.readlink().is_absolute(), "a store may be moved"
    assert "train/loss" in look.tags("naive/seed 0/student")
    moved = Path(store.url).with_name("moved")
    shutil.copytree(store.url, moved, symlinks=True)
    assert Look(moved / look.root.relative_to(store.url)).runs == look.runs


def test_every_score_is_its_receipts(seen: tuple[Recipe, Store, Look]) -> None:
    recipe, store, look = seen
    for kind in ("confidence", "naive"):
        found = {side: accuracy(recipe, store, kind, side) for side in SIDES}
        for side, value in found.items():
            assert look.points(f"{kind}/seed 0/results", f"result/{side}") == {0: pytest.approx(value, abs=1e-6)}
            assert look.points(f"{kind}/by seed", f"by_seed/{side}") == {0: pytest.approx(value, abs=1e-6)}
        told = look.multiplexer.SummaryMetadata(f"{kind}/by seed", "by_seed/transfer").summary_description
        assert "60 test rows" in told
        assert "95% interval" in told


def test_probabilities_are_those_of_the_labels(seen: tuple[Recipe, Store, Look]) -> None:
    recipe, store, look = seen
    run = "confidence/seed 0/results"
    for side in SIDES:
        probs_NC, truth_N = said(recipe, store, "confidence", side)
        curve = look.array(run, f"test/{side}/precision_recall")
        half = curve.shape[1] // 2  # the threshold 0.5
        chosen_N = probs_NC[:, 1] >= 0.5
        assert curve[0, half] == (chosen_N & (truth_N == 1)).sum()
        assert curve[1, half] == (chosen_N & (truth_N == 0)).sum()
        assert curve[5, 0] == 1.0
        buckets = look.array(run, f"test/{side}/probability_of_class_1")
        assert buckets[:, 2].sum() == len(truth_N)
        assert buckets[buckets[:, 0] >= 0.5 - 1e-9][:, 2].sum() == chosen_N.sum()
        right = probs_NC.argmax(axis=1) == truth_N
        points = look.points(run, f"calibration/{side}")
        assert min(points) >= 50
        assert all(0 <= value <= 1 for value in points.values())
        if len(points) == 1:
            assert next(iter(points.values())) == pytest.approx(right.mean(), abs=1e-6)
    half_rows = look.array(run, "strong_half/floor/probability_of_class_1")[:, 2].sum()
    assert half_rows == json.loads((store.path(_student(recipe).key) / "receipt.json").read_text())["metrics"]["rows"]


def _student(recipe: Recipe) -> Any:
    return recipe.outcomes[recipe.method][0].transfer.labels.model  # type: ignore[union-attr]


def test_hparams_list_methods_by_seeds(seen: tuple[Recipe, Store, Look]) -> None:
    recipe, store, look = seen
    experiment = look.experiment()
    assert {info.name for info in experiment.hparam_infos} == {"method", "seed"}, "what differs, and who"
    metrics = [info.name.tag for info in experiment.metric_infos]
    assert metrics == [f"result/{name}" for name in (*SIDES, "pgr", "agreement")]
    groups = look.sessions(metrics)
    assert set(groups) == {"confidence/seed 0", "naive/seed 0"}
    for kind in ("confidence", "naive"):
        group = groups[f"{kind}/seed 0"]
        values = {value.name.tag.removeprefix("result/"): value.value for value in group.metric_values}
        for side in SIDES:
            assert values[side] == pytest.approx(accuracy(recipe, store, kind, side), abs=1e-6)
        assert group.hparams["seed"].number_value == 0
        assert group.sessions[0].status == 1, "success"
    assert groups["confidence/seed 0"].hparams["method.members"].number_value == 2


def test_texts_tell_the_recipe_what_made_it_and_where_the_two_differ(seen: tuple[Recipe, Store, Look]) -> None:
    recipe, store, look = seen
    assert "kind: confidence" in look.text("summary", "recipe")
    manifest = look.text("summary", "manifest")
    assert f"{len(recipe.graph())} of {len(recipe.graph())} stages are there" in manifest
    assert all(key[:12] in manifest for key in recipe.graph())
    student, truth_N = said(recipe, store, "naive", "transfer")
    supervisor, _ = said(recipe, store, "naive", "floor")
    apart = student.argmax(1) != supervisor.argmax(1)
    won = (apart & (student.argmax(1) == truth_N)).sum()
    told = look.text("naive/seed 0/results", "where student and supervisor differ")
    assert told.startswith(
        f"Student and supervisor disagree on {apart.sum()} of 60 test rows: the student is right on {won}"
    )
    assert len([line for line in told.splitlines() if line.startswith("| ")]) == min(20, apart.sum()) + 2


def test_figures_are_pictures_of_each_side(seen: tuple[Recipe, Store, Look]) -> None:
    _, _, look = seen
    tags = {f"{kind}/seed 0/{what}" for kind in ("confidence", "naive")
            for what in ("confusion_floor", "confusion_transfer", "confusion_ceiling", "reliability")}  # fmt: skip
    assert look.tags("figures") == tags
    width, height, png = look.array("figures", "naive/seed 0/confusion_floor").tolist()
    assert png.startswith(b"\x89PNG")
    assert (int(width), int(height)) == tuple(int.from_bytes(png[at : at + 4], "big") for at in (16, 20))


def test_written_again_nothing_moves_and_figures_stay(seen: tuple[Recipe, Store, Look]) -> None:
    recipe, store, look = seen
    before = {path: path.stat().st_mtime_ns for path in look.root.rglob("*")}
    assert write_board(recipe, store) == look.root
    assert {path: path.stat().st_mtime_ns for path in look.root.rglob("*")} == before
    assert (look.root / "figures").is_dir()
    files = [path for path in (store.tensorboard / "recipes").rglob("*") if path.is_file()]
    assert all(path.stat().st_size for path in files), "one file a run"


def test_what_is_missing_is_left_out_and_comes_later(copied: Finished) -> None:
    recipe, store = opened(copied)
    outcome = recipe.outcomes[recipe.method][0]
    assert outcome.transfer is not None
    folders = [store.path(outcome.transfer.key), store.path(outcome.transfer.labels.key)]
    away = [folder.rename(Path(store.url) / f"away{place}") for place, folder in enumerate(folders)]
    shutil.rmtree(student := curve_folder(store.tensorboard, _student(recipe).key, bridge.name(_student(recipe))))
    look = Look(write_board(recipe, store))
    run = "confidence/seed 0/results"
    assert "confidence/seed 0/student" not in look.runs, "a link to nothing yet"
    assert {tag for tag in look.tags(run) if tag.startswith("result/")} == {"result/floor", "result/ceiling"}
    assert not {tag for tag in look.tags(run) if "transfer" in tag or "differ" in tag}
    assert look.sessions(["result/floor"])["confidence/seed 0"].sessions[0].status == 0, "not over"
    assert "2 are missing" in look.text("summary", "manifest")
    for folder, place in zip(folders, away, strict=True):
        place.rename(folder)
    student.mkdir(parents=True)
    (student / "events.out.tfevents.1.x.1.0").write_bytes(b"")
    assert write_board(recipe, store) == look.root
    fresh = Look(look.root)
    assert fresh.points(run, "result/transfer")[0] == pytest.approx(
        accuracy(recipe, store, "confidence", "transfer"), abs=1e-6
    )
    assert "confidence/seed 0/student" in fresh.runs


def test_nothing_at_all_is_shown_too(copied: Finished, tmp_path: Path) -> None:
    recipe = load(str(copied.recipe))
    look = Look(write_board(recipe, Store.open(tmp_path / "empty"), figures=True))
    assert {"summary", "columns"} <= look.runs
    assert "figures" not in look.runs
    assert not {tag for run in look.runs for tag in look.tags(run) if tag.startswith("result/")}


def test_without_a_gap_there_is_no_pgr_and_an_oracle_is_named(seen: tuple[Recipe, Store, Look]) -> None:
    recipe, store, _ = seen
    line = scores.told_of(recipe, store).lines[0]
    gap = replace(line.row, per_seed_pgr=(0.5,), pgr=line.row.floor)
    assert replace(line, row=gap).scores(0)["pgr"] == 0.5
    assert "pgr" not in replace(line, row=replace(gap, pgr=None)).scores(0), "no gap over all seeds"
    assert "pgr" not in replace(line, row=replace(gap, per_seed_pgr=(None,))).scores(0), "none of this seed"
    assert replace(line, oracle=True).tag("result/transfer") == "oracle/result/transfer"


def test_a_student_chosen_by_the_truth_has_columns_of_its_own(copied: Finished) -> None:
    recipe, store = opened(copied)
    helped = Recipe.model_validate(
        {**recipe.dump(), "baselines": [{"kind": "early_stop", "select": "oracle", "every": 5}]}
    )
    look = Look(write_board(helped, store))
    tags = [info.name.tag for info in look.experiment().metric_infos]
    assert tags[:5] == [f"result/{name}" for name in (*SIDES, "pgr", "agreement")]
    assert tags[5:] == [f"oracle/{tag}" for tag in tags[:5]]
    helped_tags = {tag for run in look.runs if run.startswith("early_stop") for tag in look.tags(run)}
    assert not {tag for tag in helped_tags if tag.startswith(("result/", "by_seed/"))}


def test_the_whole_store_lists_every_recipe(copied: Finished) -> None:
    recipe, store = opened(copied)
    write_board(recipe, store)
    write_board(recipe.model_copy(update={"name": "other"}), store)
    look = Look(store.tensorboard)
    assert {run.split("/")[1].partition("-")[0] for run in look.runs if run.startswith("recipes/")} == {"toy", "other"}
    names = {info.name for info in look.experiment().hparam_infos}
    assert {"method.alpha", "method.members", "weak"} <= names, "no recipe's columns stand for all"
    assert board_root(recipe, store).parent == store.reports / f"toy-{recipe.fingerprint}"
