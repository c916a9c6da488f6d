"""choose_weak: a student a candidate and one decision; on data that keeps the theory's promises, its numbers do too."""

# N rows, D width

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cluster.errors import BadInput
from cluster.store import Store
from tests.conftest import toy_recipe
from tests.w2s.command import w2s, write_recipe
from tests.w2s.methods.planning import config, planned, world
from w2s.recipe import Recipe
from w2s.stages import Calibrated, Grade, Outcome, Predict, Selected, walk

TINY = {"model": {"source": "tiny:bert", "width": 8, "depth": 1}, "probe": {"l2": 0.1}}


def sides(outcome: Outcome) -> tuple[Selected, Selected]:
    """What the floor and the transfer are grades of."""
    assert outcome.floor is not None
    assert outcome.transfer is not None
    verdict, student = outcome.floor.labels, outcome.transfer.labels
    assert isinstance(verdict, Selected)
    assert isinstance(student, Selected)
    return verdict, student


def test_one_decision_chooses_the_supervisor_and_its_student() -> None:
    outcome = planned("choose_weak", members=3)
    verdict, student = sides(outcome)
    assert outcome.transfer is not None
    assert outcome.transfer.supervisor == verdict
    for name in ("weak", "students", "val", "slope", "calibrate"):
        assert getattr(verdict, name) == getattr(student, name), name
    assert [option.rows.name for option in (*verdict.options, *student.options)] == ["test"] * 6  # type: ignore[attr-defined]
    assert {one.rows.name for one in (*verdict.weak, *verdict.students)} == {"val"}  # type: ignore[attr-defined]
    for weak, own in zip(verdict.options, student.options, strict=True):
        assert isinstance(own, Predict)
        assert own.model.labels is not None
        assert own.model.labels.on(world().part("test")) == weak, (
            "each student learned from the candidate it stands beside"
        )


def test_it_shares_the_naive_student_and_the_ceiling() -> None:
    chosen, naive = planned("choose_weak", members=2), planned("naive")
    assert chosen.ceiling is not None
    assert naive.ceiling is not None
    assert chosen.ceiling.labels == naive.ceiling.labels
    assert naive.transfer is not None
    assert sides(chosen)[1].options[0] == naive.transfer.labels


def test_no_truth_but_that_of_held_out_rows_has_a_say() -> None:
    """What the decision reads: labels of val rows, and the table they are from."""
    verdict, _ = sides(planned("choose_weak", members=2))
    assert verdict.val.name == "val"
    graph = walk(verdict)
    assert not any(isinstance(stage, Grade) for stage in graph.values())
    learned = [
        stage for stage in graph.values() if getattr(stage, "rows", None) is not None and hasattr(stage, "labels")
    ]
    assert all(
        stage.labels is not None for stage in learned if stage.rows.name == "strong" and hasattr(stage, "learner")
    )  # type: ignore[attr-defined]


def test_every_candidate_and_student_is_graded_by_name() -> None:
    assert list(planned("choose_weak", members=3).extras) == [
        "candidate 0", "student 0", "candidate 1", "student 1", "candidate 2", "student 2",
    ]  # fmt: skip


def test_a_slope_changes_the_decision_and_no_model() -> None:
    one, other = (walk(*planned("choose_weak", slope=slope).stages()) for slope in (1.0, 0.5))
    apart = [stage.kind for key, stage in one.items() if key not in other]
    assert sorted(apart) == ["Grade", "Grade", "Grade", "Selected", "Selected"]


def test_calibrated_targets_are_what_students_learn() -> None:
    verdict, student = sides(planned("choose_weak", members=2, targets="calibrated"))
    assert all(isinstance(option, Calibrated) for option in verdict.options)
    assert all(
        isinstance(option, Predict) and isinstance(option.model.labels, Calibrated) for option in student.options
    )


def test_a_single_candidate_is_naive() -> None:
    one, naive = planned("choose_weak", members=1), planned("naive")
    assert [grade.key for grade in one.stages()] == [grade.key for grade in naive.stages()]


def test_without_held_out_rows_nothing_can_be_chosen() -> None:
    with pytest.raises(BadInput, match=r"split\.val: is 0"):
        planned("choose_weak", world(split={"val": 0}, strong__evaluate="never"))
    with pytest.raises(ValidationError, match="one candidate is chosen"):
        config("choose_weak", combine="majority")
    with pytest.raises(ValidationError):
        config("choose_weak", slope=-0.1)


@pytest.mark.parametrize(
    "differ", [{"differ": "bootstrap"}, {"differ": "features"}, {"differ": "layer", "layers": [0, 1]}]
)
def test_probes_may_differ_in_anything(differ: dict[str, Any]) -> None:
    recipe = Recipe.model_validate(
        toy_recipe(weak=TINY, strong=TINY, method={"kind": "choose_weak", **differ}, baselines=[])
    )
    recipe.check()
    graph = recipe.graph()
    assert list(graph) == list(Recipe.model_validate(recipe.model_dump(mode="json", exclude_unset=True)).graph())


# --- a world that keeps the theory's promises -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def realizable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A logistic truth that a linear head can learn, and three supervisors that err row by row, which it cannot.

    noisy: the true logit and noise; noisier: more of it; hopeless: sure, and right by chance.
    """
    folder = tmp_path_factory.mktemp("realizable")
    generator = np.random.default_rng(5)
    n = 6_000
    x_ND = generator.normal(size=(n, 4)).astype(np.float32)
    logit_N = x_ND @ np.array([1.2, -0.8, 0.5, 0.0])
    label_N = (generator.random(n) < sigmoid(logit_N)).astype(np.int64)
    columns = {
        "noisy": sigmoid(logit_N + 0.6 * generator.normal(size=n)),
        "noisier": sigmoid(logit_N + 1.2 * generator.normal(size=n)),
        "hopeless": np.where(generator.random(n) < 0.5, 0.97, 0.03),
    }
    np.savez(folder / "vectors.npz", x=x_ND, label=label_N, **columns)
    models = [f"given:{name}" for name in columns]
    recipe = {
        "task": {"kind": "features", "path": str(folder / "vectors.npz"), "test_share": 0.5},
        "weak": {"model": "given:noisy"},
        "strong": {"model": "features:x", "probe": {"l2": 0.0}},
        "method": {"kind": "choose_weak", "differ": "model", "models": models, "targets": "calibrated"},
        "baselines": [{"kind": "choose_weak", "differ": "model", "models": models[1:], "calibrate": False}],
        "seeds": [0], "split": {"val": 0.3, "weak": 0.1},
    }  # fmt: skip
    file = write_recipe(folder, **recipe)
    done = w2s("run", file, "--store", folder / "store", "--pool", "inline", "--quiet")
    assert done.code == 0, done.err
    return file


def sigmoid(x_N: Any) -> Any:
    return 1 / (1 + np.exp(-x_N))


def told(file: Path, *more: str) -> dict[str, dict[str, Any]]:
    found = w2s("misfit", file, "--store", file.parent / "store", "--json", *more)
    assert found.code == 0, found.err
    lines: list[dict[str, Any]] = found.json["lines"]
    return {f"{line['group'].partition(' models')[0]}|{line['name']}": line for line in lines}


def test_where_the_truth_is_in_the_class_the_gain_is_the_misfit(realizable: Path) -> None:
    """Mulgund & Pabbaraju 2025: equality within noise for labels that are a projection's; forward cross-entropy, as we train."""
    lines = {name: line for name, line in told(realizable, "--truth").items() if "calibrated nois" in name}
    assert len(lines) == 2
    for name, line in lines.items():
        gain, misfit, slack = line["oracle_truth"]["gain"], line["misfit"], line["oracle_truth"]["slack"]
        assert misfit["mean"] > 0.02, name
        assert gain["mean"] > 0.5 * misfit["mean"], name
        assert slack["low"] < 0 < slack["high"], name
        assert line["predicted_loss"]["mean"] == pytest.approx(line["oracle_truth"]["loss"]["mean"], abs=0.05)
    store = realizable.parent / "store"
    slope = w2s("misfit", realizable, "--store", store, "--slope", "fit", "--json").json["slope"]
    assert 0.75 < slope["low"] < 1 < slope["high"], "one nat gained per nat of misfit"


def test_the_better_of_a_good_and_a_hopeless_supervisor_is_chosen_though_the_other_has_more_misfit(
    realizable: Path,
) -> None:
    recipe = Recipe.model_validate(_read(realizable))
    store = Store.open(realizable.parent / "store", create=False)
    keys = ("chosen", "predicted_loss", "weak_loss", "misfit")
    for outcome in (outcome for by_seed in recipe.outcomes.values() for outcome in by_seed.values()):
        one, other = (store.receipt(side.key).metrics for side in sides(outcome))
        assert [one[key] for key in keys] == [other[key] for key in keys], "one decision"
        assert one["chosen"] == 0
    assert int(np.argmax(one["misfit"])) == 1, "uncalibrated, misfit alone would choose the hopeless"


def test_the_transfer_is_the_chosen_student_s(realizable: Path) -> None:
    report = w2s("report", realizable, "--store", realizable.parent / "store", "--json").json["rows"]
    for row in report:
        assert row["transfer"]["mean"] == pytest.approx(np.mean(row["members"]["student 0"]))
        assert row["floor"]["mean"] == pytest.approx(np.mean(row["members"]["candidate 0"]))


def _read(file: Path) -> Any:
    import yaml

    return yaml.safe_load(file.read_text())
