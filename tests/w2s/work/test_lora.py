"""Adapters: what learns, how they begin, and that what they leave behind is a plain model and peft's own files."""

from __future__ import annotations

import json
import warnings

import peft
import pytest
import torch
import transformers
from pydantic import ValidationError
from safetensors.torch import load_file

from cluster.errors import BadInput, StageFailed
from tests.conftest import toy_recipe
from w2s.learner import Learner, ModelRef
from w2s.recipe import Recipe
from w2s.work import body as bodies
from w2s.work import lora
from w2s.work.model import load, restore, save, set_training_mode

FAMILIES = ["bert", "gpt2", "llama"]
TEXTS = ["Is the sky blue?", "No.", "A somewhat longer sentence about nothing at all.", "é 日本 \U0001f600"]


def learner(family="bert", lora=None, **fields) -> Learner:
    fields = {"max_tokens": 64, "head": "normal", "lora": {"rank": 4} if lora is None else lora, **fields}
    return Learner(**{"model": {"source": f"tiny:{family}"}, **fields})


def scores(model, tokenizer) -> torch.Tensor:
    with torch.no_grad():
        return model(*tokenizer.pad(tokenizer.encode(TEXTS, 64)[0]))


def moved(family, **fields):
    """A model whose adapters have been trained, in effect: away from their start."""
    model, tokenizer = load(learner(family, **fields), 2, 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight, _ in model.trainable():
            if "lora_B" in name:
                weight.normal_(0.0, 0.1, generator=generator)
    return model, tokenizer


# --- what learns, and how it begins ---


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_and_head_learn_and_the_body_stays(family):
    model, tokenizer = load(learner(family), 2, 0)
    names = [weight.name for weight in model.trainable()]
    assert names[-1] == "head.weight"
    assert all(name.endswith((".lora_A.default.weight", ".lora_B.default.weight")) for name in names[:-1])
    assert names == [weight.name for weight in load(learner(family), 2, 1)[0].trainable()]
    frozen = {name: p.clone() for name, p in model.named_parameters() if name not in names}
    inputs, truth = tokenizer.pad(tokenizer.encode(TEXTS, 64)[0]), torch.tensor([0, 1, 0, 1])
    optimizer = torch.optim.Adam([weight.parameter for weight in model.trainable()], lr=1e-2)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(model(*inputs), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(*inputs).argmax(dim=1) == truth).all()
    now = dict(model.named_parameters())
    assert all(torch.equal(weight, now[name]) for name, weight in frozen.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_untrained_adapters_change_nothing(family):
    plain, tokenizer = load(learner(family).model_copy(update={"lora": None}), 2, 0)
    model, _ = load(learner(family), 2, 0)
    assert torch.equal(scores(model, tokenizer), scores(plain, tokenizer))


def test_adapters_come_from_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (dict(load(learner(), 2, seed)[0].named_parameters()) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    name = next(name for name in one if "lora_A" in name)
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


def test_gradient_checkpointing_changes_no_gradient():
    (plain, tokenizer), (saving, _) = moved("llama"), moved("llama")
    saving.enable_gradient_checkpointing()
    for model in (plain, saving):
        set_training_mode(model, dropout=False)
        model(*tokenizer.pad(tokenizer.encode(TEXTS, 64)[0])).square().sum().backward()
    for one, other in zip(plain.trainable(), saving.trainable(), strict=True):
        torch.testing.assert_close(one.parameter.grad, other.parameter.grad)


def test_dropout_acts_on_what_goes_into_the_adapters():
    config = transformers.LlamaConfig(vocab_size=259, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    body = transformers.AutoModel.from_config(config)  # a llama has no dropout of its own
    lora.inject(body, learner(lora={"dropout": 0.5}, dropout=True).lora, 0, ModelRef(source="tiny:llama"))
    for name, weight in body.named_parameters():
        if "lora_B" in name:
            torch.nn.init.ones_(weight)
    ids = torch.tensor([[5, 6, 7]])
    body.train()
    assert not torch.equal(body(ids).last_hidden_state, body(ids).last_hidden_state)
    body.eval()
    assert torch.equal(body(ids).last_hidden_state, body(ids).last_hidden_state)


# --- which layers ---


@pytest.mark.parametrize(("family", "count"), [("bert", 6), ("gpt2", 4), ("llama", 7)])
def test_auto_is_every_linear_layer_of_the_transformer_layers(family, count):
    model, _ = load(learner(family), 2, 0)
    assert len(lora.adapted(model.body)) == 2 * count


@pytest.mark.parametrize(
    ("family", "targets", "found"),
    [("bert", ["query", "value"], 4), ("gpt2", ["attn.c_proj"], 2), ("llama", ["layers.1.self_attn.q_proj"], 1)],
)
def test_targets_are_ends_of_names(family, targets, found):
    model, _ = load(learner(family, lora={"targets": targets}), 2, 0)
    names = lora.adapted(model.body)
    assert len(names) == found
    assert all(name.endswith(tuple(targets)) for name in names)


def test_a_target_that_matches_nothing_is_refused_with_the_names_there_are():
    with pytest.raises(BadInput, match=r"'q_proj' is no linear layer here; there are: .*attention\.self\.query"):
        load(learner(lora={"targets": ["query", "q_proj"]}), 2, 0)


def test_a_model_whose_layers_are_one_shared_layer_has_targets_too():
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    body = transformers.AutoModel.from_config(transformers.AlbertConfig(vocab_size=50, embedding_size=8, **shape))
    assert lora.targets(body, learner().lora)


def test_partitioned_weights_are_adapted_by_their_true_shapes():
    """Under ZeRO-3 a weight is an empty tensor that knows its shape as ds_shape."""
    plain, _ = load(learner("gpt2"), 2, 0)
    body = load(learner("gpt2").model_copy(update={"lora": None}), 2, 0)[0].body
    for weight in body.parameters():
        weight.ds_shape = weight.shape
        weight.data = torch.empty(0)
    lora.inject(body, learner("gpt2").lora, 0, ModelRef(source="tiny:gpt2"))
    wanted = {name: p for name, p in plain.body.named_parameters() if "lora_" in name}
    assert {name: p.shape for name, p in body.named_parameters() if "lora_" in name} == {
        name: p.shape for name, p in wanted.items()
    }


# --- what is left behind ---


@pytest.mark.parametrize("family", FAMILIES)
def test_merging_a_state_dict_is_what_peft_does(family):
    model, tokenizer = moved(family, lora={"rank": 4, "alpha": 7})
    state = {name: weight.clone() for name, weight in model.body.state_dict().items()}
    expected = scores(model, tokenizer)
    ours = lora.merged(model.body, state)
    assert all(torch.equal(weight, state[name]) for name, weight in model.body.state_dict().items()), "nothing is moved"
    theirs = _unloaded(model.body)
    assert ours.keys() == theirs.keys()
    for name, weight in theirs.items():
        assert torch.equal(ours[name], weight), name
    plain, _ = load(learner(family).model_copy(update={"lora": None}), 2, 0)
    plain.body.load_state_dict(ours)
    torch.testing.assert_close(scores(plain, tokenizer), expected, atol=1e-5, rtol=1e-5)


def _unloaded(body) -> dict[str, torch.Tensor]:
    """peft's own merge of the same adapters."""
    for layer in lora.adapted(body).values():
        layer.merge()
    state = body.state_dict()
    kept = {name.replace(".base_layer", ""): weight for name, weight in state.items() if "lora_" not in name}
    return kept


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_is_a_plain_model(family, tmp_path):
    model, tokenizer = moved(family)
    save(model, tokenizer, tmp_path, {})
    again, its_tokenizer = restore(tmp_path)
    torch.testing.assert_close(scores(again, its_tokenizer), scores(model, tokenizer), atol=1e-5, rtol=1e-5)
    assert not lora.adapted(again.body)
    assert not [name for name in load_file(tmp_path / "model.safetensors") if "lora" in name or "base_layer" in name]


@pytest.mark.parametrize("family", FAMILIES)
def test_peft_loads_the_adapters_onto_the_base_model(family, tmp_path):
    model, tokenizer = moved(family)
    save(model, tokenizer, tmp_path / "tuned", {})
    base, _ = load(learner(family).model_copy(update={"lora": None}), 2, 0)
    save(base, tokenizer, tmp_path / "base", {})
    with warnings.catch_warnings(), bodies.quiet():
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to")
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        plain = transformers.AutoModel.from_pretrained(tmp_path / "base")  # a BERT has its pooler here
        tuned = peft.PeftModel.from_pretrained(plain, tmp_path / "tuned" / "adapter").eval()
    ids, mask = tokenizer.pad(tokenizer.encode(TEXTS, 64)[0])
    with torch.no_grad():
        theirs, ours = (m(input_ids=ids, attention_mask=mask).last_hidden_state for m in (tuned, model.body))
    torch.testing.assert_close(theirs, ours)
    about = json.loads((tmp_path / "tuned" / "adapter" / "adapter_config.json").read_text())
    assert about["base_model_name_or_path"] == f"tiny-{family}-32x2"
    assert str(tmp_path) not in json.dumps(about)


def test_the_adapters_name_their_layers_in_full(tmp_path):
    """peft shortens long lists to ends of names; a base model with a pooler has one layer more that ends like that."""
    spec = Learner(model={"source": "tiny:bert", "depth": 5}, max_tokens=64, lora={})
    model, tokenizer = load(spec, 2, 0)
    assert len(model.body.peft_config["default"].target_modules) < 30
    save(model, tokenizer, tmp_path, {})
    about = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert about["target_modules"] == sorted(lora.adapted(model.body))
    assert len(about["target_modules"]) == 30


def test_saving_twice_writes_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        save(*moved("bert"), tmp_path / name, {})
    files = [file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file()]
    assert len(files) >= 7
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_a_gathered_state_is_the_truth_and_the_live_weights_are_not_touched(tmp_path):
    """As after ZeRO-3: what lives in the module is empty, what was gathered is whole."""
    model, tokenizer = moved("gpt2")
    gathered = {name: weight.clone() for name, weight in model.state_dict().items()}
    expected = scores(model, tokenizer)
    for weight in model.parameters():
        weight.data = torch.empty(0)
    with pytest.raises(StageFailed, match=r"\[0\]"):
        save(model, tokenizer, tmp_path / "torn", {})
    save(model, tokenizer, tmp_path / "whole", {}, state=gathered)
    again, its_tokenizer = restore(tmp_path / "whole")
    torch.testing.assert_close(scores(again, its_tokenizer), expected, atol=1e-5, rtol=1e-5)
    assert all(weight.shape == (0,) for weight in model.parameters())
    adapters = load_file(tmp_path / "whole" / "adapter" / "adapter_model.safetensors")
    assert all(weight.numel() for weight in adapters.values())


@pytest.mark.parametrize("part", ["lora_A", "lora_B", "base_layer"])
def test_an_adapter_that_is_not_whole_is_refused_by_name(part, tmp_path):
    model, tokenizer = moved("gpt2")
    state = dict(model.state_dict())
    name = next(name for name in state if part in name and name.endswith("weight"))
    state[name] = torch.empty(0)
    with pytest.raises(StageFailed, match=r"the adapter of h\.0\.attn\.c_attn is not whole"):
        save(model, tokenizer, tmp_path, {}, state=state)


# --- what may be asked for ---


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"trainable_layers": 2}, "trainable_layers"),
        ({"lora": {"dropout": 0.1}}, "dropout: true"),
        ({"lora": {"rank": 0}}, "rank"),
        ({"lora": {"targets": []}}, "no layer is named"),
        ({"model": {"source": "static:./a", "tokenizer": "./b"}}, "static"),
    ],
)
def test_what_does_not_go_together_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        learner(**fields)


def test_adapters_are_science_and_their_absence_changes_no_key():
    keys = [
        set(Recipe.model_validate(toy_recipe(**c)).graph()) for c in ({}, {"strong__lora": None}, {"strong__lora": {}})
    ]
    assert keys[0] == keys[1]
    assert len(keys[0] - keys[2]) > 0
    without = learner().model_copy(update={"lora": None}).identity()
    assert "lora" not in without
    order = [learner(lora={"targets": names}).identity() for names in (["a", "b"], ["b", "a", "a"])]
    assert order[0] == order[1]
