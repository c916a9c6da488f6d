"""The Adapt stage: it reads, it can be interrupted and cut like any training, and students begin where it ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

from cluster.errors import BadInput, Interrupted
from tests.conftest import toy_recipe
from tests.invariant.comparison import EACH, WHOLE, bitwise, distance, weights
from tests.w2s.work import gang
from tests.w2s.work.run_stage import Bench
from w2s.learner import Learner, ModelRef
from w2s.recipe import Recipe
from w2s.stages import Adapt, Predict, Train
from w2s.work import language
from w2s.work.encode import Tokenizer
from w2s.work.table import read


def raw(family: str = "gpt2", **changes: Any) -> dict[str, Any]:
    usual = {
        "strong__model": {"source": f"tiny:{family}", "width": 32, "depth": 2},
        "strong__evaluate": "never",
        "method": {"kind": "generative"},
        "baselines": [],
    }
    return toy_recipe(**{**usual, **changes})


def adapting(recipe: Recipe) -> Adapt:
    return next(stage for stage in recipe.graph().values() if isinstance(stage, Adapt))


def bench(folder: Path, family: str = "gpt2", **changes: Any) -> tuple[Bench, Adapt]:
    recipe = Recipe.model_validate(raw(family, **changes))
    made, stage = Bench(recipe, folder), adapting(recipe)
    made.prepare(stage)
    return made, stage


def apart(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> tuple[float, float]:
    """As `distance`, without the key biases, which GPT-2 keeps in the middle of a longer tensor."""

    def seen(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: torch.cat([tensor.chunk(3)[0], tensor.chunk(3)[2]]) if name.endswith("c_attn.bias") else tensor
            for name, tensor in tensors.items()
        }

    return distance(seen(found), seen(wanted))


def stop_after(steps: int):
    asked = iter(range(10**9))
    return lambda: next(asked) >= steps


def surprise(whole: Any, tokenizer: Tokenizer, texts: list[str]) -> float:
    """Nats a token, by transformers alone."""
    total, count = 0.0, 0
    for text in texts:
        ids = torch.tensor(tokenizer.encode([text], 512)[0])
        with torch.no_grad():
            total += float(whole(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    return total / count


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_it_is_less_surprised_by_other_texts_of_the_kind(family: str, tmp_path: Path) -> None:
    made, stage = bench(tmp_path, family, strong__optim={"lr": 1e-2}, method={"kind": "generative", "epochs": 3})
    metrics, _ = made.run(stage)
    rows = read(made.out(stage.rows.rows), {"name": "test"}, "test")
    texts = [text for row in rows.texts for text in row]
    start, tokenizer = language.load(ModelRef(source=f"tiny:{family}", width=32, depth=2))
    adapted = transformers.AutoModelForCausalLM.from_pretrained(made.out(stage) / "model", dtype=torch.float32).eval()
    before, after = surprise(start, tokenizer, texts), surprise(adapted, tokenizer, texts)
    assert after < 0.8 * before
    assert metrics["loss"] < before, "and its own account is in nats a token as well"
    assert metrics["steps"] == metrics["planned_steps"] > 0


def test_a_step_counts_tokens_and_no_labels(tmp_path: Path) -> None:
    """A first step of all rows is the model's own mean over their tokens, whatever is known of the rows besides."""
    made, stage = bench(tmp_path, strong__batch=4000, strong__optim={"lr": 1e-9})
    metrics, _ = made.run(stage)
    rows = read(made.out(stage.rows.rows), stage.science()["rows"], "strong")
    start, tokenizer = language.load(stage.learner.model)
    assert metrics["steps"] == 1
    assert metrics["loss"] == pytest.approx(surprise(start, tokenizer, [row[0] for row in rows.texts]), rel=1e-5)


def test_candidates_are_read_one_by_one(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, task__pairs=True)
    metrics, ledger = made.run(stage)
    rows = read(made.out(stage.rows.rows), stage.science()["rows"], "strong")
    assert metrics["rows"] == 2 * len(rows)
    assert ledger.notes[0].startswith(f"{2 * len(rows)} texts to read")


def test_broken_and_resumed_is_unbroken(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__dropout=True, method={"kind": "generative", "epochs": 2})
    made.run(stage)
    unbroken = weights(made.out(stage))
    for steps in (3, 5):
        with pytest.raises(Interrupted, match="stopped at step"):
            made.run(stage, stop=stop_after(steps), work="again")
    _, ledger = made.run(stage, work="again")
    assert any(note.startswith("resumed at step 8") for note in ledger.notes)
    assert bitwise(weights(made.out(stage)), unbroken)


def test_how_a_batch_is_cut_changes_nothing(tmp_path: Path) -> None:
    """A step is a mean over its tokens, not over its micro-batches' means."""
    made, stage = bench(tmp_path, strong__bucket=False)
    made.run(stage, machines={"micro_batch": 16})
    whole = weights(made.out(stage))
    made.run(stage, machines={"micro_batch": 3}, work="cut")
    assert max(apart(weights(made.out(stage)), whole)) < EACH
    made.run(stage, machines={"gradient_checkpointing": True, "micro_batch": 16}, work="saving")
    assert bitwise(weights(made.out(stage)), whole)


def test_a_large_vocabulary_makes_micro_batches_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, stage = bench(tmp_path)
    made.run(stage)
    whole = weights(made.out(stage))
    monkeypatch.setattr("w2s.work.adapt.LOGITS_BYTES", 4 * 4 * 259 * 100)  # room for a hundred tokens' logits
    seen: list[int] = []
    forward = language.TextLoss.forward
    monkeypatch.setattr(
        language.TextLoss, "forward", lambda self, ids, mask: seen.append(ids.numel()) or forward(self, ids, mask)
    )
    made.run(stage, work="small")
    assert max(seen) <= 100
    assert max(apart(weights(made.out(stage)), whole)) < EACH


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_student_begins_where_it_ended(family: str, tmp_path: Path) -> None:
    """With a rate of next to nothing, what the student saves is what it began with. Its head reads the adapted words."""
    learner = {"strong__head": "words", "strong__head_words": ["0", "1"], "strong__optim": {"lr": 1e-12}}
    made, stage = bench(tmp_path, family, method={"kind": "generative", "lr": 1e-2}, **learner)
    made.run(stage)
    students = [s for s in made.recipe.graph().values() if isinstance(s, Train) and s.start is not None]
    assert [s.labels is None for s in students] == [False, True], "student and ceiling"
    made.prepare(*students)
    adapted = transformers.AutoModelForCausalLM.from_pretrained(made.out(stage) / "model", dtype=torch.float32)
    pretrained, tokenizer = language.load(stage.learner.model)
    rows = adapted.get_output_embeddings().weight[tokenizer.hf.convert_tokens_to_ids(["0", "1"])].detach()
    for begun in students:
        made.run(begun)
        model = made.out(begun) / "model"
        body = load_file(model / "model.safetensors")
        for name, weight in adapted.base_model.state_dict().items():
            torch.testing.assert_close(body[name], weight, atol=1e-9, rtol=1e-6)
        assert any(not torch.allclose(body[name], w) for name, w in pretrained.base_model.state_dict().items())
        torch.testing.assert_close(load_file(model / "head.safetensors")["weight"], rows, atol=1e-9, rtol=1e-6)
    made.run(next(s for s in made.recipe.graph().values() if isinstance(s, Predict) and s.model in students))


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, "bert")
    with pytest.raises(BadInput, match="Bert predicts no next word"):
        made.run(stage)


def test_keys_know_what_was_read_and_nothing_of_classifiers() -> None:
    stage = adapting(Recipe.model_validate(raw()))
    assert adapting(Recipe.model_validate(raw(strong__head="normal", strong__epochs=5))).key == stage.key
    others = [
        {"method": {"kind": "generative", "lr": 0.1}},
        {"method": {"kind": "generative", "epochs": 2}},
        {"seeds": [1]},
    ]
    keys = {adapting(Recipe.model_validate(raw(**other))).key for other in [*others, {"strong__batch": 8}]}
    assert len({stage.key, *keys}) == 5
    graph = Recipe.model_validate(raw()).graph().values()
    ceiling = next(s for s in graph if isinstance(s, Train) and s.start is not None and s.labels is None)
    plain = replace(ceiling, start=None)
    assert plain.key in {s.key for s in graph}, "the plain ceiling is kept beside it"
    assert "start" not in plain.science()


@pytest.mark.slow
def test_a_gang_reads_what_one_device_reads(tmp_path: Path) -> None:
    """From a folder, so that ZeRO-3 cuts the weights up while they load; its unembedding is tied, and is one weight to all."""
    base = tmp_path / "base"
    whole, tokenizer = language.load(ModelRef(source="tiny:gpt2"))
    language.save(whole, tokenizer, whole.state_dict(), base)
    told = raw(strong__model={"source": str(base)}, method={"kind": "generative", "epochs": 2})
    recipe = Recipe.model_validate(told)
    made, stage = Bench(recipe, tmp_path / "stages"), adapting(recipe)
    made.root.mkdir()
    made.prepare(stage)
    made.run(stage)
    cases = [
        gang.Case("zero0", {"zero": 0, "micro_batch": 3}),
        gang.Case("zero3", {"zero": 3, "micro_batch": 8}),
        gang.Case("stopped", {"zero": 3, "micro_batch": 8}, stop_after=3, work="kept"),
        gang.Case("resumed", {"zero": 3, "micro_batch": 8}, work="kept"),
    ]
    found = gang.run(made.root, told, stage.key, cases, ranks=2)
    alone = weights(made.out(stage))
    assert max(apart(load_file(base / "model.safetensors"), alone)) > 100 * WHOLE, "training moved it"
    for name in ("zero0", "zero3"):
        assert found[name].errors == [None, None]
        whole_gap, each = apart(weights(found[name].out), alone)
        assert whole_gap < WHOLE, name
        assert each < EACH, name
    assert all(fact["held"] < fact["whole"] / 4 for fact in found["zero3"].facts), "no rank held the model"
    assert any("resumed at step 3" in note for note in found["resumed"].notes)
    assert bitwise(weights(found["resumed"].out), weights(found["zero3"].out))


def test_what_cannot_be_adapted_says_so_when_it_is_planned() -> None:
    for strong, match in (
        ({"strong__trainable_layers": 0}, "leaves nothing that could be adapted"),
        ({"strong__model": {"source": "static:./x.safetensors", "tokenizer": "./y.json"}}, "is no language model"),
    ):
        with pytest.raises(BadInput, match=match):
            Recipe.model_validate(raw(**strong)).goals()
    probing = {"model": "tiny:gpt2", "probe": {}}
    with pytest.raises(BadInput, match="not an adapted one"):
        Recipe.model_validate({**raw(), "strong": Learner.model_validate(probing).dump()}).goals()
