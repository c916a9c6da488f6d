"""Language models: what they lose on a text, what of them learns, and that they come back from disk as they went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from cluster.errors import BadInput
from w2s.learner import Learner, ModelRef
from w2s.work import language
from w2s.work.language import TextLoss

TEXTS = ["Is the sky blue?", "No.", "x", "A somewhat longer sentence about nothing at all."]
FAMILIES = ["gpt2", "llama"]


def loaded(family: str, **fields: Any) -> tuple[TextLoss, Any]:
    learner = Learner.model_validate({"model": {"source": f"tiny:{family}", "depth": 3}, "max_tokens": 64, **fields})
    return language.load_to_learn(learner, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_of_a_text_is_transformers_own(family: str, tmp_path: Path) -> None:
    """Its mean over the predicted tokens, times their number; padding and neighbours change nothing."""
    model, tokenizer = loaded(family)
    language.save(model.body, tokenizer, model.body.state_dict(), tmp_path)
    whole = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    with torch.no_grad():
        found = model(*tokenizer.pad(tokenizer.encode(TEXTS, 64)[0]))[:, 0]
        for text, loss in zip(TEXTS, found, strict=True):
            ids = torch.tensor(tokenizer.encode([text], 64)[0])
            wanted = whole(input_ids=ids, labels=ids).loss * (ids.shape[1] - 1) if ids.shape[1] > 1 else torch.zeros(())
            torch.testing.assert_close(loss, wanted, atol=1e-4, rtol=1e-5)


def test_a_text_of_one_token_teaches_nothing_and_breaks_nothing() -> None:
    model, tokenizer = loaded("gpt2")
    model(*tokenizer.pad(tokenizer.encode(["x"], 64)[0])).sum().backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_it_comes_back_as_it_went(family: str, tmp_path: Path) -> None:
    model, tokenizer = loaded(family)
    with torch.no_grad():  # other weights than any that are built in code
        for weight in model.parameters():
            weight.add_(torch.linspace(-0.1, 0.1, weight.numel()).view(weight.shape))
    language.save(model.body, tokenizer, model.body.state_dict(), tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert ("lm_head.weight" in names) == (family == "llama"), "what is tied is written once"
    again, _ = language.load(ModelRef(source=str(tmp_path)))
    assert all(torch.equal(one, again.state_dict()[name]) for name, one in model.body.state_dict().items())
    body = transformers.AutoModel.from_pretrained(tmp_path, dtype=torch.float32)
    assert all(torch.equal(one, body.state_dict()[name]) for name, one in model.body.base_model.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", ["all", 1, 2])
def test_what_learns(family: str, layers: Any) -> None:
    model, tokenizer = loaded(family, trainable_layers=layers)
    model(*tokenizer.pad(tokenizer.encode(TEXTS, 64)[0])).sum().backward()
    named = [weight.name for weight in model.trainable()]
    assert {name for name, weight in model.named_parameters() if weight.grad is not None} == set(named)
    assert len(named) == len(set(named)), "a tied weight learns once"
    embeddings = [name for name in named if "embed" in name or "wte" in name or "lm_head" in name]
    assert bool(embeddings) == (layers == "all")
    learning = [any(w.requires_grad for w in block.parameters()) for block in blocks(model)]
    assert learning == [layers == "all" or i >= 3 - layers for i in range(3)]


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_are_merged_into_what_is_written(family: str, tmp_path: Path) -> None:
    model, tokenizer = loaded(family, lora={"rank": 2})
    assert all(".lora_" in weight.name for weight in model.trainable())
    before, _ = language.load(ModelRef(source=f"tiny:{family}", depth=3))
    with torch.no_grad():
        for weight in model.trainable():
            weight.parameter.add_(0.05)
        found = model(*tokenizer.pad(tokenizer.encode(TEXTS, 64)[0]))
    language.save(model.body, tokenizer, model.body.state_dict(), tmp_path)
    again, _ = language.load(ModelRef(source=str(tmp_path)))
    with torch.no_grad():
        merged = TextLoss(again)(*tokenizer.pad(tokenizer.encode(TEXTS, 64)[0]))
    torch.testing.assert_close(merged, found, atol=1e-3, rtol=1e-4)
    moved = [name for name, one in before.state_dict().items() if not torch.equal(one, again.state_dict()[name])]
    assert moved
    assert not any("lm_head" in name or "wte" in name or "embed" in name for name in moved)


def test_what_is_no_language_model_is_refused() -> None:
    with pytest.raises(BadInput, match="Bert predicts no next word"):
        language.load(ModelRef(source="tiny:bert"))
    with pytest.raises(BadInput, match="is no language model"):
        language.load(ModelRef(source="static:./x.safetensors", tokenizer="./y.json"))
    with pytest.raises(BadInput, match="reads at most 512"):
        loaded("gpt2", max_tokens=513)


def test_the_body_is_the_one_a_classifier_has() -> None:
    """And the global generator is left alone."""
    from w2s.work.model import load

    torch.manual_seed(5)
    state = torch.get_rng_state()
    model, _ = loaded("llama")
    assert torch.equal(torch.get_rng_state(), state)
    classifier, _ = load(Learner(model=ModelRef(source="tiny:llama", depth=3), max_tokens=64), 2, 0)
    other = classifier.body.state_dict()
    assert all(torch.equal(one, other[name]) for name, one in model.body.base_model.state_dict().items())


def blocks(model: TextLoss) -> Any:
    from w2s.work import body as bodies

    return bodies.blocks(model.body)
