"""The Write stage: it learns answers and nothing else, can be interrupted and cut like any training, and really learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from cluster.errors import Interrupted
from tests.invariant.comparison import EACH, WHOLE, bitwise, weights
from tests.w2s.puzzles import moves_recipe, write_puzzles
from tests.w2s.work import gang
from tests.w2s.work.run_stage import Bench
from tests.w2s.work.test_adapt import apart, stop_after
from w2s.answers import AnswerTable
from w2s.learner import ModelRef
from w2s.recipe import Recipe
from w2s.stages import Generate, Write
from w2s.work import language
from w2s.work.table import RowTable, read


def bench(folder: Path, family: str = "gpt2", count: int = 40, **changes: Any) -> tuple[Bench, Write]:
    recipe = Recipe.model_validate(moves_recipe(write_puzzles(folder, count), family, **changes))
    made, stage = Bench(recipe, folder / "stages"), student(recipe)
    made.root.mkdir()
    made.prepare(stage)
    return made, stage


def student(recipe: Recipe) -> Write:
    return next(s for s in recipe.graph().values() if isinstance(s, Write) and s.labels is not None)


def part(made: Bench, stage: Write) -> RowTable:
    return read(made.out(stage.rows.rows), stage.science()["rows"], "x")


def surprise(whole: Any, its: Any, prompt: str, answer: str, most: int) -> tuple[float, int]:
    """Nats of an answer and its end after its prompt, in float64 from transformers' logits; and of how many tokens.

    A supervisor that found no end wrote `most` tokens, and no end follows them.
    """
    before = its.hf(prompt)["input_ids"]
    after = [*its.hf(answer, add_special_tokens=False)["input_ids"], its.hf.eos_token_id][:most]
    with torch.no_grad():
        log_probs_TV = whole(input_ids=torch.tensor([before + after])).logits[0].double().log_softmax(dim=-1)
    return -sum(float(log_probs_TV[len(before) - 1 + i, token]) for i, token in enumerate(after)), len(after)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("learned", ["written", "true"])
def test_a_step_is_the_mean_over_answer_tokens_and_no_others(family: str, learned: str, tmp_path: Path) -> None:
    """A first step of all rows, against a sum by hand: of what the supervisor wrote, or of the truth."""
    made, stage = bench(tmp_path, family, strong__batch=4000, strong__optim={"lr": 1e-9})
    if learned == "true":
        stage = replace(stage, labels=None)
    rows = part(made, stage)
    answers = rows.answers
    if stage.labels is not None:
        answers = AnswerTable.load(made.out(stage.labels)).join(rows.ids, "x").texts
        assert answers != rows.answers
    metrics, _ = made.run(stage, machines={"micro_batch": 7})
    whole, its = language.load(stage.learner.model)
    most = stage.max_new_tokens
    found = [surprise(whole, its, texts[0], text, most) for texts, text in zip(rows.texts, answers or (), strict=True)]
    assert metrics["steps"] == 1
    assert metrics["loss"] == pytest.approx(sum(n for n, _ in found) / sum(c for _, c in found), rel=1e-5)
    assert metrics["answer_tokens"] == sum(c for _, c in found)
    assert (metrics["answers_cut"] > 0) == (learned == "written"), "an untrained supervisor knows no end"


def test_broken_and_resumed_is_unbroken(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__dropout=True, strong__epochs=3, strong__batch=4)
    made.run(stage)
    unbroken = weights(made.out(stage))
    for steps in (2, 3):
        with pytest.raises(Interrupted, match="stopped at step"):
            made.run(stage, stop=stop_after(steps), work="again")
    _, ledger = made.run(stage, work="again")
    assert any(note.startswith("resumed at step 5") for note in ledger.notes)
    assert bitwise(weights(made.out(stage)), unbroken)


def test_how_a_batch_is_cut_changes_nothing(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__bucket=False)
    made.run(stage, machines={"micro_batch": 16})
    whole = weights(made.out(stage))
    made.run(stage, machines={"micro_batch": 3}, work="cut")
    assert max(apart(weights(made.out(stage)), whole)) < EACH


def test_long_prompts_are_cut_and_counted(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__max_tokens=40)
    metrics, ledger = made.run(stage)
    assert metrics["truncated"] == len(part(made, stage))
    assert any("prompts lost their beginning to keep within 40 tokens" in note for note in ledger.notes)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_it_learns_twenty_puzzles_by_heart(family: str, tmp_path: Path) -> None:
    """Real learning: what it is then asked it writes exactly, each with its sign of check or mate."""
    made, stage = bench(
        tmp_path, family, count=60,
        strong__model={"source": f"tiny:{family}", "width": 64, "depth": 2}, strong__epochs=110, strong__batch=32,
        strong__optim={"lr": 4e-3},
    )  # fmt: skip
    taught = replace(stage, labels=None)
    rows = part(made, taught)
    assert len(rows) >= 20
    made.run(taught)
    asked = Generate(taught, taught.rows, taught.max_new_tokens)
    metrics, _ = made.run(asked)
    written = AnswerTable.load(made.out(asked)).join(rows.ids, "x")
    assert written.texts == rows.answers
    assert len(set(written.texts)) > 4
    assert metrics["unended"] == 0
    assert metrics["mean_confidence"] > 0.5
    assert all(total <= mean < 0 for total, mean in zip(written.log_probs, written.mean_log_probs, strict=True))


def test_lora_is_merged_into_what_is_saved(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, "llama", strong__lora={"rank": 4}, strong__optim={"lr": 1e-2}, strong__epochs=2)
    made.run(stage)
    base, _ = language.load(stage.learner.model)
    saved = transformers.AutoModelForCausalLM.from_pretrained(made.out(stage) / "model", dtype=torch.float32)
    assert set(saved.state_dict()) == set(base.state_dict())
    moved = [name for name, weight in saved.state_dict().items() if not torch.equal(weight, base.state_dict()[name])]
    assert moved
    assert all("layers" in name for name in moved), "adapters sit in the layers alone"
    made.run(Generate(stage, stage.rows, stage.max_new_tokens))


def test_keys_know_how_long_an_answer_may_be_and_no_held_out_rows(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(moves_recipe(write_puzzles(tmp_path, 30)))
    stage = student(recipe)
    assert replace(stage, max_new_tokens=20).key != stage.key
    assert (stage.val, stage.val_labels) == (None, None)
    hard = Recipe.model_validate(moves_recipe(tmp_path / "puzzles.jsonl", method={"kind": "naive", "labels": "hard"}))
    assert student(hard).key == stage.key, "what is written is certain"


@pytest.mark.slow
def test_a_gang_learns_and_writes_what_one_device_does(tmp_path: Path) -> None:
    """From a folder, so that ZeRO-3 cuts the weights up while they load; then the ranks write in step, an unequal share each."""
    base = tmp_path / "base"
    whole, its = language.load(ModelRef(source="tiny:gpt2"))
    language.save(whole, its, whole.state_dict(), base)
    told = moves_recipe(write_puzzles(tmp_path, 50), strong__model={"source": str(base)}, strong__epochs=4)
    recipe = Recipe.model_validate(told)
    made, stage = Bench(recipe, tmp_path / "stages"), student(recipe)
    made.root.mkdir()
    made.prepare(stage)
    made.run(stage)
    cases = [
        gang.Case("zero0", {"zero": 0, "micro_batch": 3}),
        gang.Case("zero3", {"zero": 3, "micro_batch": 8}),
    ]
    found = gang.run(made.root, told, stage.key, cases, ranks=2)
    alone = weights(made.out(stage))
    for name in ("zero0", "zero3"):
        assert found[name].errors == [None, None]
        whole_gap, each = apart(weights(found[name].out), alone)
        assert whole_gap < WHOLE, name
        assert each < EACH, name
    assert all(fact["held"] < fact["whole"] / 4 for fact in found["zero3"].facts), "no rank held the model"
    asked = next(s for s in recipe.graph().values() if isinstance(s, Generate) and s.model.key == stage.key)
    made.run(asked)
    cut_up = gang.run(
        made.root, told, asked.key, [gang.Case("asked", {"zero": 3}), gang.Case("plain", {"zero": 0})], ranks=2
    )
    expected = AnswerTable.load(made.out(asked))
    for name in ("asked", "plain"):
        assert cut_up[name].errors == [None, None]
        assert AnswerTable.load(cut_up[name].out).join(expected.ids, "x").texts == expected.texts, name
