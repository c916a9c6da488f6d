"""The training stage: broken and resumed equals unbroken, cuts of a batch change nothing, selection is honest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from cluster.errors import BadInput, Interrupted, StageFailed
from cluster.key import file_sha256
from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench, weights
from w2s.recipe import Recipe
from w2s.stages import Train


def student(recipe: Recipe) -> Train:
    """The recipe's first student: the stage that learns from weak labels."""
    return next(s for s in recipe.graph().values() if isinstance(s, Train) and s.labels is not None)


def bench(tmp_path: Path, **changes: Any) -> tuple[Bench, Train]:
    recipe = Recipe.model_validate(toy_recipe(**changes))
    made = Bench(recipe, tmp_path)
    stage = student(recipe)
    made.prepare(stage)
    return made, stage


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(10**9))
    return lambda: next(asked) >= steps


@pytest.mark.parametrize("changes", [
    {},
    {"strong__optim__kind": "adam", "strong__schedule": {"kind": "linear", "warmup": 0.3}, "strong__dropout": True},
    {"strong__optim__kind": "adafactor", "strong__select": "best", "strong__evaluate": 2},
    {"strong__batch_tokens": 300, "strong__trainable_layers": 1, "strong__precision": "bf16"},
], ids=["adamw", "adam-dropout", "adafactor-best", "tokens-bf16"])  # fmt: skip
def test_broken_and_resumed_is_unbroken_bitwise(tmp_path: Path, changes: dict[str, Any]) -> None:
    made, stage = bench(tmp_path, strong__epochs=2, **changes)
    metrics, _ = made.run(stage)
    unbroken, curve = weights(made.out(stage)), (made.out(stage) / "curve.json").read_text()
    with pytest.raises(Interrupted, match="stopped at step 3 of"):
        made.run(stage, stop=stop_after(3), work="again")
    with pytest.raises(Interrupted, match="stopped at step 8 of"):
        made.run(stage, stop=stop_after(5), work="again")
    resumed_metrics, ledger = made.run(stage, work="again")
    assert any(note.startswith("resumed at step 8") for note in ledger.notes)
    assert weights(made.out(stage)) == unbroken
    assert (made.out(stage) / "curve.json").read_text() == curve
    assert {**metrics, "tokens_per_s": 0} == {**resumed_metrics, "tokens_per_s": 0}


def test_a_damaged_checkpoint_is_passed_over_and_said_so(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__epochs=2)
    made.run(stage)
    unbroken = weights(made.out(stage))
    for steps in (3, 3):
        with pytest.raises(Interrupted):
            made.run(stage, stop=stop_after(steps), work="again")
    newest = sorted((tmp_path / stage.key / "again").glob("step-*"))[-1] / "tensors-00000.safetensors"
    raw = bytearray(newest.read_bytes())
    raw[len(raw) // 2] ^= 1
    newest.write_bytes(raw)
    _, ledger = made.run(stage, work="again")
    assert any("step-000000006 passed over: tensors-00000.safetensors changed" in note for note in ledger.notes)
    assert any(note.startswith("resumed at step 3") for note in ledger.notes)
    assert weights(made.out(stage)) == unbroken


@pytest.mark.parametrize("method", ["naive", "confidence"])
@pytest.mark.parametrize("dropout", [False, True], ids=["plain", "dropout"])
def test_how_a_batch_is_cut_does_not_change_the_result(tmp_path: Path, method: str, dropout: bool) -> None:
    """Micro-batches of 16, 4 and 1 agree to float32 rounding: the threshold is the global batch's, never a micro-batch's.

    With dropout the masks depend on the shapes of the passes, so there only the statistics' pass is checked to see the
    same masks: a run repeats itself bit for bit.
    """
    made, stage = bench(tmp_path, method={"kind": method, "members": 2}, baselines=[], strong__dropout=dropout)
    whole, _ = made.run(stage, machines={"micro_batch": 16})
    reference = load_file(made.out(stage) / "model" / "model.safetensors")
    for micro in (4, 1):
        made.run(stage, machines={"micro_batch": micro}, work=f"micro{micro}")
        cut = load_file(made.out(stage) / "model" / "model.safetensors")
        if dropout:
            first = weights(made.out(stage))
            made.run(stage, machines={"micro_batch": micro}, work=f"again{micro}")
            assert weights(made.out(stage)) == first
            continue
        for name, tensor in reference.items():
            # AdamW divides by the root of a squared gradient: where that is near 0, rounding shows in full
            np.testing.assert_allclose(cut[name].numpy(), tensor.numpy(), atol=2e-4, err_msg=name)
    assert whole["steps"] == whole["planned_steps"]


def test_gradient_checkpointing_changes_nothing(tmp_path: Path) -> None:
    made, stage = bench(tmp_path)
    made.run(stage)
    plain = weights(made.out(stage))
    made.run(stage, machines={"gradient_checkpointing": True}, work="again")
    assert weights(made.out(stage)) == plain


def test_best_is_the_highest_agreement_with_held_out_weak_labels(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__select="best", strong__evaluate=1, strong__epochs=3)
    metrics, _ = made.run(stage)
    curve = json.loads((made.out(stage) / "curve.json").read_text())
    best = max(point["agreement"] for point in curve)
    first = next(point["step"] for point in curve if point["agreement"] == best)
    assert metrics["selected_step"] == first


def test_patience_stops_early(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__evaluate=1, strong__patience=2, strong__epochs=6, strong__optim__lr=1e-7)
    metrics, _ = made.run(stage)
    assert metrics["steps"] < metrics["planned_steps"]


def test_a_rate_that_explodes_stops_with_the_rows_of_the_batch(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__optim={"lr": 1e30, "clip": None}, strong__epochs=3)
    with pytest.raises(StageFailed, match=r"at step \d+; the batch held rows [0-9a-f]{16}"):
        made.run(stage)


def test_curves_have_the_names_everyone_plots(tmp_path: Path) -> None:
    made, stage = bench(tmp_path)
    _, ledger = made.run(stage)
    names = {name for name, _, _ in ledger.scalars}
    assert names >= {
        "train/loss",
        "train/grad_norm",
        "train/lr",
        "train/tokens_per_s",
        "eval/agreement",
        "oracle/accuracy",
        "eval/loss",
        "eval/confidence",
        "eval/misfit",
        "train/alpha",
        "machine/memory_gib",
    }
    assert "eval/accuracy" not in names, "of a student that learns from labels that is ground truth"


def test_a_schedule_of_alpha_is_a_curve_of_its_own(tmp_path: Path) -> None:
    """Every loss point has one; a loss without such a number has none."""
    method = {"kind": "confidence", "alpha": [0.2, 0.8], "warmup": 0.0}
    made, stage = bench(tmp_path, method=method, baselines=[], strong__epochs=3)
    metrics, ledger = made.run(stage)
    told = {
        name: {step: value for n, value, step in ledger.scalars if n == name} for name in ("train/alpha", "train/loss")
    }
    assert set(told["train/alpha"]) == set(told["train/loss"])
    assert told["train/alpha"] == {
        step: 0.2 if (step - 1) * 2 < metrics["steps"] else 0.8 for step in told["train/loss"]
    }
    assert set(told["train/alpha"].values()) == {0.2, 0.8}
    made, stage = bench(tmp_path / "naive", method={"kind": "naive"}, baselines=[])
    assert "train/alpha" not in {name for name, _, _ in made.run(stage)[1].scalars}


def test_long_rows_are_cut_or_dropped_and_counted(tmp_path: Path) -> None:
    made, stage = bench(tmp_path / "cut", strong__max_tokens=40)
    cut, ledger = made.run(stage)
    assert cut["truncated"] > 0
    assert cut["dropped"] == 0
    assert any("cut to 40 tokens" in note for note in ledger.notes)
    made, stage = bench(tmp_path / "drop", strong__max_tokens=40, strong__too_long="drop")
    dropped, _ = made.run(stage)
    assert dropped["dropped"] > 0
    assert dropped["truncated"] == 0
    assert dropped["rows"] + dropped["dropped"] == cut["rows"]


def test_nothing_left_after_dropping_is_bad_input(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__max_tokens=6, strong__too_long="drop")
    with pytest.raises(BadInput, match="every row is longer than 6 tokens"):
        made.run(stage)


def test_pairs_are_scored_one_by_one(tmp_path: Path) -> None:
    """A row of two candidates has a head of width 1; the model learns which of two sentences is the good one."""
    task = {"kind": "toy", "size": 400, "hard": 0, "n_test": 60, "pairs": True}
    made, student_stage = bench(tmp_path, task=task, strong__epochs=6)
    stage = next(
        s
        for s in made.recipe.graph().values()
        if isinstance(s, Train) and s.learner == made.recipe.strong and not s.labels
    )
    metrics, _ = made.run(stage)
    head = load_file(made.out(stage) / "model" / "head.safetensors")["weight"]
    assert head.shape[0] == 1
    assert metrics["val_accuracy"] > 0.8
    assert student_stage.key != stage.key


def test_a_checkpoint_of_another_plan_starts_over_and_says_so(tmp_path: Path) -> None:
    made, stage = bench(tmp_path)
    made.run(stage)
    unbroken = weights(made.out(stage))
    with pytest.raises(Interrupted):
        made.run(stage, stop=stop_after(3), work="again")
    folder = next((tmp_path / stage.key / "again").glob("step-*"))
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "steps": 999}))
    manifest = json.loads((folder / "manifest.json").read_text())
    state_file = folder / "state.json"
    manifest["files"]["state.json"] = {"sha256": file_sha256(state_file), "bytes": state_file.stat().st_size}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    _, ledger = made.run(stage, work="again")
    assert any("it is of a run of 999 steps" in note for note in ledger.notes)
    assert weights(made.out(stage)) == unbroken


def test_the_receipt_tells_the_scores_of_the_selected_step(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__select="best", strong__evaluate=1, strong__epochs=3)
    metrics, _ = made.run(stage)
    curve = json.loads((made.out(stage) / "curve.json").read_text())
    assert metrics["val_agreement"] == max(point["agreement"] for point in curve)


def test_a_token_budget_counts_every_candidate(tmp_path: Path) -> None:
    task = {"kind": "toy", "size": 120, "n_test": 40, "pairs": True}
    made, stage = bench(tmp_path, task=task, strong__batch_tokens=200, strong__evaluate="never")
    metrics, _ = made.run(stage)
    single, other = bench(tmp_path / "single", strong__batch_tokens=200, strong__evaluate="never")
    assert metrics["steps"] / metrics["rows"] > 1.5 * (
        single.run(other)[0]["steps"] / single.run(other, work="b")[0]["rows"]
    )


def test_a_file_that_changed_after_planning_is_refused(tmp_path: Path) -> None:
    """The key promised other rows: nothing may be stored under it."""
    file = tmp_path / "rows.jsonl"
    rows = [{"text": f"row {i}", "label": i % 2} for i in range(80)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"kind": "file", "path": str(file), "text": "{text}", "label": "label"}
    recipe = Recipe.model_validate(toy_recipe(task=task))
    stage = next(iter(recipe.graph().values()))
    file.write_text("".join(json.dumps({**row, "label": 1 - row["label"]}) + "\n" for row in rows))
    with pytest.raises(BadInput, match="has changed since the run was planned"):
        Bench(recipe, tmp_path).run(stage)
