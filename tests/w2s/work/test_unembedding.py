"""A head made of words begins as the language model's own judgement of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from pydantic import ValidationError
from safetensors.torch import load_file

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.invariant.comparison import student
from tests.w2s.work import gang
from tests.w2s.work.run_stage import Bench
from w2s.learner import Learner, ModelRef
from w2s.recipe import Recipe
from w2s.work import language, model, tiny
from w2s.work.unembedding import word_ids

TEXTS = ["Is the sky blue?", "No.", "A somewhat longer sentence about nothing at all."]
WORDS = ("0", "1")
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def learner(source: str, **fields: Any) -> Learner:
    return Learner.model_validate(
        {"model": source, "max_tokens": 64, "head": "words", "head_words": list(WORDS), **fields}
    )


def folder(kind: str, place: Path) -> Path:
    """A language model as other tools write it: tied or not, in shards, a body alone, under another name in its files."""
    tokenizer = tiny.byte_tokenizer("gpt2")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        if kind.startswith("gpt2"):
            whole = tiny.build_language_model(ModelRef(source="tiny:gpt2", width=16))[0]
        else:
            name = "GPTNeoX" if kind == "pythia" else "Llama"
            ids = {"vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
            config = getattr(transformers, f"{name}Config")(**SHAPE, **ids, tie_word_embeddings=kind == "llama-tied")
            whole = getattr(transformers, f"{name}ForCausalLM")(config)
    (whole.base_model if kind == "gpt2-body" else whole).save_pretrained(
        place, max_shard_size="20KB" if kind == "llama-shards" else "1GB"
    )
    tokenizer.save_pretrained(place)
    return place


def expected(place: Path, words: tuple[str, ...] = WORDS) -> torch.Tensor:
    """transformers' own next-token logits of the words after each text, one text at a time."""
    whole = transformers.AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    with torch.no_grad():
        found = [whole(**tokenizer(text, return_tensors="pt")).logits[0, -1, ids] for text in TEXTS]
    return torch.stack(found)


def scores(made: Learner, outputs: int) -> torch.Tensor:
    classifier, tokenizer = model.load(made, outputs, 0)
    with torch.no_grad():
        found: torch.Tensor = classifier(*tokenizer.pad(tokenizer.encode(TEXTS, 64)[0]))
    return found


@pytest.mark.parametrize("kind", ["gpt2", "gpt2-body", "llama", "llama-tied", "llama-shards", "pythia"])
def test_an_untrained_head_gives_the_models_own_logits(kind: str, tmp_path: Path) -> None:
    place = folder(kind, tmp_path / "model")
    found = scores(learner(str(place)), 2)
    torch.testing.assert_close(found, expected(place), atol=1e-5, rtol=1e-5)
    assert found.std() > 0.01, "not the zeros of any other head"


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_model_built_in_code_has_an_unembedding_too(family: str, tmp_path: Path) -> None:
    whole, tokenizer = language.load(ModelRef(source=f"tiny:{family}"))
    language.save(whole, tokenizer, whole.state_dict(), tmp_path)
    torch.testing.assert_close(scores(learner(f"tiny:{family}"), 2), expected(tmp_path), atol=1e-5, rtol=1e-5)


def test_candidates_take_one_word(tmp_path: Path) -> None:
    place = folder("llama", tmp_path / "model")
    found = scores(learner(str(place), head_words=["1"]), 1)
    torch.testing.assert_close(found, expected(place, ("1",)), atol=1e-5, rtol=1e-5)


def test_a_word_is_one_token() -> None:
    _, tokenizer = language.load(ModelRef(source="tiny:gpt2"))
    assert word_ids(["0", "1"], tokenizer) == tokenizer.hf.convert_tokens_to_ids(["0", "1"])
    with pytest.raises(BadInput, match="' no' is 3 tokens to this model: 'Ġ', 'n', 'o'"):
        word_ids([" no", "1"], tokenizer)
    with pytest.raises(BadInput, match="'' is 0 tokens to this model: none"):
        word_ids(["", "1"], tokenizer)


def test_what_writes_no_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Bert predicts no next word"):
        model.load(learner("tiny:bert"), 2, 0)
    with pytest.raises(BadInput, match="2 words for a head of 3: '0', '1'"):
        model.load(learner("tiny:gpt2"), 3, 0)
    place = tmp_path / "body"
    model.save(*model.load(Learner(model=ModelRef(source="tiny:llama"), max_tokens=64), 2, 0), place, {})
    with pytest.raises(BadInput, match=r"holds no unembedding \(lm_head.weight\)"):
        model.load(learner(str(place)), 2, 0)


@pytest.mark.parametrize(
    "fields,match",
    [
        ({"head": "zero"}, "go together"),
        ({"head_words": None}, "go together"),
        ({"head_words": ["1", "1"]}, "are not different words"),
        ({"pooling": "mean"}, "not pooling: mean"),
        ({"probe": {}}, "needs a language model"),
        ({"model": {"source": "static:./x.safetensors", "tokenizer": "./y.json"}}, "needs a language model"),
    ],
)
def test_a_learner_says_no_at_once(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        learner("tiny:gpt2", **fields)


def test_other_heads_have_the_keys_they_had() -> None:
    plain = Learner(model=ModelRef(source="tiny:gpt2"))
    assert "head_words" not in plain.identity()
    assert learner("tiny:gpt2").identity()["head_words"] == list(WORDS)


@pytest.mark.slow
def test_a_gang_whose_weights_are_cut_up_starts_from_the_same_head(tmp_path: Path) -> None:
    """ZeRO-3 cuts the body up while it loads; the head is read from files. Learning rate 0: what is saved is the start."""
    place = folder("llama", tmp_path / "model")
    raw = toy_recipe(
        baselines=[],
        method={"kind": "naive"},
        strong__model={"source": str(place)},
        strong__head="words",
        strong__head_words=list(WORDS),
        strong__optim={"lr": 1e-12},
    )
    recipe = Recipe.model_validate(raw)
    bench, stage = Bench(recipe, tmp_path / "stages"), student(recipe)
    bench.root.mkdir()
    bench.prepare(stage)
    found = gang.run(bench.root, raw, stage.key, [gang.Case("zero3", {"zero": 3})], ranks=2)["zero3"]
    assert found.errors == [None, None]
    assert all(fact["held"] < fact["whole"] / 4 for fact in found.facts), "no rank held the body"
    whole = transformers.AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    rows = whole.get_output_embeddings().weight[tokenizer.convert_tokens_to_ids(list(WORDS))].detach()
    head = load_file(found.out / "model" / "head.safetensors")["weight"]
    torch.testing.assert_close(head, rows, atol=1e-8, rtol=0)
