"""Sizes are counted without weights, and are what real models turn out to have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cluster.sizes import textbook
from w2s import sizes as remembered
from w2s.learner import Learner
from w2s.work import model as models
from w2s.work.sizes import count, measure, sizes_of

ROWS, TOKENS = 6, 48


def learner(family: str, **changes: Any) -> Learner:
    source = {"source": f"tiny:{family}", "width": 64, "depth": 4}
    return Learner.model_validate({"model": source, "max_tokens": 128, **changes})


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    ids_BT = torch.randint(3, 200, (ROWS, TOKENS), generator=torch.Generator().manual_seed(0))
    mask_BT = torch.ones_like(ids_BT)
    mask_BT[1, 30:] = 0
    return ids_BT, mask_BT


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "bf16"},
        {"trainable_layers": 1},
        {"trainable_layers": 0},
        {"lora": {"rank": 4}},
        {"dropout": True},
    ],
    ids=lambda changes: next(iter(changes), "all"),
)
def test_a_count_is_what_a_real_model_has(family: str, changes: dict[str, Any]) -> None:
    """Parameters exactly; what autograd keeps of a real forward pass on another shape than was probed, within 2 %."""
    chosen = learner(family, **changes)
    counted = count(chosen, None)
    model, _ = models.load(chosen, 2, seed=0)
    models.set_training_mode(model, chosen.dropout)
    assert counted.counted
    assert counted.parameters == sum(weight.numel() for weight in model.parameters())
    assert counted.learning == sum(weight.parameter.numel() for weight in model.trainable())
    real = measure(model, *batch(), chosen.precision)
    assert counted.plain.bytes(ROWS, TOKENS) == pytest.approx(real, rel=0.02, abs=1000)
    model.enable_gradient_checkpointing()
    real = measure(model, *batch(), chosen.precision)
    assert counted.checkpointed.bytes(ROWS, TOKENS) == pytest.approx(real, rel=0.02, abs=1000)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_checkpointing_keeps_the_input_of_every_layer_and_little_more(family: str) -> None:
    """The mask as well, which autograd's hooks do not see: it grows with tokens squared."""
    counted = count(learner(family), None)
    inputs = 4 * ROWS * TOKENS * 64 * 4  # layers x rows x tokens x width x bytes
    assert inputs <= counted.checkpointed.bytes(ROWS, TOKENS) < 2 * inputs
    assert counted.checkpointed.square > 0.5
    plain, layer = counted.plain.bytes(ROWS, TOKENS), counted.layer.bytes(ROWS, TOKENS)
    assert counted.checkpointed.bytes(ROWS, TOKENS) + 4 * layer == pytest.approx(plain, rel=0.01)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("trainable", ["all", 1])
def test_flops_are_what_is_multiplied(family: str, trainable: Any) -> None:
    """The formula against torch's own counter over a real forward and backward pass."""
    chosen = learner(family, trainable_layers=trainable)
    counted = count(chosen, None)
    model, _ = models.load(chosen, 2, seed=0)
    # the counter does not know the host's fused attention
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        scores = model(*batch())
        forward = counter.get_total_flops()
        scores.sum().backward()
    assert counted.forward_flops(TOKENS) * ROWS * TOKENS == pytest.approx(forward, rel=0.05)
    assert counted.train_flops(TOKENS) * ROWS * TOKENS == pytest.approx(counter.get_total_flops(), rel=0.10)


def test_an_architecture_that_cannot_be_counted_falls_back_on_the_textbook(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = models.load(learner("bert"), 2, seed=0)
    real = sizes_of(model, "fp32")
    monkeypatch.setattr(model.body, "forward", lambda **_: int("looks at values"))
    guessed = sizes_of(model, "fp32")
    assert real.counted
    assert not guessed.counted
    assert guessed.parameters == real.parameters
    assert guessed.plain == textbook("fp32", 64, 4)[0]
    assert 0.5 < guessed.plain.bytes(8, 128) / real.plain.bytes(8, 128) < 2


def test_a_saved_model_and_word_vectors_are_counted_from_their_files(tmp_path: Path) -> None:
    from w2s.work.static import save_vectors

    model, tokenizer = models.load(learner("gpt2"), 2, seed=0)
    models.save(model, tokenizer, tmp_path / "model", {})
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")  # weights are never read
    local = Learner.model_validate({"model": str(tmp_path / "model")})
    assert count(local, tmp_path / "model").parameters == sum(weight.numel() for weight in model.parameters())
    cut = Learner.model_validate({"model": {"source": str(tmp_path / "model"), "layers": 2}})
    assert count(cut, tmp_path / "model").depth == 2

    save_vectors(tmp_path / "v.safetensors", torch.zeros(500, 16), "table")
    vectors = {"source": f"static:{tmp_path}/v.safetensors", "tokenizer": f"{tmp_path}/t.json"}
    static = count(Learner.model_validate({"model": vectors, "trainable_layers": 0}), tmp_path / "v.safetensors")
    assert (static.parameters, static.learning, static.embedding) == (500 * 16 + 32, 32, 500 * 16)


def test_a_model_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    one, other = learner("bert"), learner("llama", precision="bf16")
    absent = Learner.model_validate({"model": "nobody/has-this-model"})
    first = remembered.sizes_of([one, other, one, absent], cache=tmp_path, on_count=told.append)
    assert told == ["counting parameters of tiny-bert-64x4, tiny-llama-64x4"]
    assert first[one] == count(one, None)
    assert first[absent] is None
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    assert remembered.sizes_of([one, other, absent], cache=tmp_path, on_count=told.append) == first
    assert len(told) == 1
    faster = one.model_copy(update={"epochs": 9.0})
    assert remembered.sizes_of([faster], cache=tmp_path)[faster] == first[one], "how long it trains changes no size"


def test_what_cannot_be_counted_does_not_stop_a_plan(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nothing-known"}))
    broken = Learner.model_validate({"model": str(tmp_path)})
    assert remembered.sizes_of([broken], cache=tmp_path / "cache") == {broken: None}


def test_a_damaged_memory_is_counted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = learner("bert")
    known = count(fine, None)
    asked: list[int] = []
    monkeypatch.setattr(remembered, "_count", lambda requests: asked.append(1) or [known.to_json()])
    for _ in range(2):
        assert remembered.sizes_of([fine], cache=tmp_path)[fine] == known
    assert len(asked) == 1
    [file] = (tmp_path / "sizes").glob("*.json")
    file.write_text('{"half": ')
    assert remembered.sizes_of([fine], cache=tmp_path)[fine] == known
    assert len(asked) == 2


def test_remembering_loads_no_torch() -> None:
    code = "import sys, w2s.sizes, w2s.fit; sys.exit(bool({'torch', 'ray', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
