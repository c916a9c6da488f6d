"""A classifier: what learns, what it reads, and that it comes back from disk as it went."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from cluster.errors import BadInput, StageFailed
from tests.conftest import ROOT
from w2s import model_files
from w2s.learner import Learner, ModelRef
from w2s.work import body as bodies
from w2s.work.model import describe, load, restore, save, set_training_mode

FAMILIES = ["bert", "gpt2", "llama"]
TEXTS = ["Is the sky blue?", "No.", "A somewhat longer sentence about nothing at all.", "é 日本 \U0001f600"]


def learner(source="tiny:bert", **fields) -> Learner:
    model = {name: fields.pop(name) for name in ("layers", "width", "depth", "tokenizer") if name in fields}
    return Learner(**{"model": {"source": source, **model}, "max_tokens": 64, "head": "normal", **fields})


def scores(model, tokenizer, texts=TEXTS) -> torch.Tensor:
    with torch.no_grad():
        return model(*tokenizer.pad(tokenizer.encode(texts, 64)[0]))


def backward(model, tokenizer) -> None:
    model(*tokenizer.pad(tokenizer.encode(TEXTS, 64)[0])).square().sum().backward()


class Shelf:
    """Models that lie in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def model_folder(self, model: ModelRef) -> Path:
        return self.folder

    def static_files(self, model: ModelRef) -> tuple[Path, Path]:
        return self.folder / "model.safetensors", self.folder / "tokenizer.json"


# --- the head, and randomness ---


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_depends_on_the_seed_and_the_body_does_not(family):
    (one, _), (same, _), (other, _) = (load(learner(f"tiny:{family}"), 2, seed) for seed in (1, 1, 2))
    assert torch.equal(one.head.weight, same.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)
    assert all(torch.equal(a, b) for a, b in zip(one.body.parameters(), other.body.parameters(), strict=True))


def test_a_zero_head_gives_equal_scores():
    model, tokenizer = load(learner(head="zero"), 3, 0)
    assert torch.equal(scores(model, tokenizer), torch.zeros(4, 3))
    assert model.n_outputs == 3
    assert model.head.bias is None


@pytest.mark.parametrize("family", FAMILIES)
def test_loading_and_reloading_leave_the_global_generator_alone(family, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    model, tokenizer = load(learner(f"tiny:{family}"), 2, 9)
    save(model, tokenizer, tmp_path, {})
    restore(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


# --- what learns ---


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", ["all", 0, 1, 2, 3])
def test_only_what_was_asked_for_gets_a_gradient(family, layers):
    model, tokenizer = load(learner(f"tiny:{family}", depth=3, trainable_layers=layers), 2, 0)
    backward(model, tokenizer)
    named = {weight.name for weight in model.trainable()}
    assert {name for name, p in model.named_parameters() if p.grad is not None} == named
    assert [weight.name for weight in model.trainable() if weight.is_head] == ["head.weight"]
    blocks = bodies.blocks(model.body)
    learning = [any(p.requires_grad for p in block.parameters()) for block in blocks]
    assert learning == [layers == "all" or i >= 3 - layers for i in range(3)]
    assert model.body.get_input_embeddings().weight.requires_grad == (layers == "all")
    if layers == 0:
        assert named == {"head.weight"}
    if family != "bert":
        assert any(name in ("body.norm.weight", "body.ln_f.weight") for name in named) == (layers != 0)


def test_bert_embeddings_are_frozen_with_their_norm():
    model, _ = load(learner(trainable_layers=2), 2, 0)
    assert not any("embeddings" in weight.name for weight in model.trainable())


def test_an_embedding_shared_by_all_layers_is_no_final_norm():
    """MPNet defines its relative positions after its layers; training them would reach back through frozen ones."""
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    body = transformers.AutoModel.from_config(transformers.MPNetConfig(vocab_size=50, **shape))
    bodies.freeze(body, 1)
    names = [name for name, p in body.named_parameters() if p.requires_grad and not name.startswith("pooler")]
    assert names
    assert all(name.startswith("encoder.layer.1.") for name in names)


def test_a_frozen_body_keeps_no_graph():
    model, tokenizer = load(learner(trainable_layers=0), 2, 0)
    found = model(*tokenizer.pad(tokenizer.encode(TEXTS, 64)[0]))
    assert [fn.__class__.__name__ for fn, _ in found.grad_fn.next_functions if fn] == ["TBackward0"]  # the head alone


def test_more_trainable_layers_than_there_are_is_an_error():
    with pytest.raises(BadInput, match="3 asked for, the model has 2"):
        load(learner(trainable_layers=3), 2, 0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", ["all", 1, 0])
def test_gradient_checkpointing_changes_no_gradient_even_without_dropout(family, layers):
    spec = learner(f"tiny:{family}", trainable_layers=layers)
    (plain, tokenizer), (saving, _) = load(spec, 2, 0), load(spec, 2, 0)
    saving.enable_gradient_checkpointing()
    calls = []
    for block in bodies.blocks(saving.body):
        block.register_forward_hook(lambda *_: calls.append(1))
        inner = next(iter(block.children()))
        inner.register_forward_hook(lambda *_: calls.append(2))
    for model in (plain, saving):
        set_training_mode(model, dropout=False)
        backward(model, tokenizer)
    for one, other in zip(plain.trainable(), saving.trainable(), strict=True):
        torch.testing.assert_close(one.parameter.grad, other.parameter.grad)
    recomputed = {"all": 2, 1: 1, 0: 0}[layers]
    assert calls.count(2) - calls.count(1) == recomputed
    assert scores(saving, tokenizer).equal(scores(plain, tokenizer))


def test_dropout_is_off_unless_asked_for():
    model, tokenizer = load(learner(), 2, 0)
    set_training_mode(model, dropout=False)
    assert torch.equal(scores(model, tokenizer), scores(model, tokenizer))
    set_training_mode(model, dropout=True)
    assert not torch.equal(scores(model, tokenizer), scores(model, tokenizer))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tiny_model_can_learn(family):
    model, tokenizer = load(learner(f"tiny:{family}", head="zero"), 2, 0)
    texts = [f"{word} {i}" for i in range(8) for word in ("good", "bad")]
    inputs, truth = tokenizer.pad(tokenizer.encode(texts, 64)[0]), torch.arange(16) % 2
    optimizer = torch.optim.Adam([weight.parameter for weight in model.trainable()], lr=3e-3)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(model(*inputs), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(*inputs).argmax(dim=1) == truth).all()


# --- what it reads ---


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["auto", "last", "mean"])
def test_padding_changes_no_score(family, pooling):
    model, tokenizer = load(learner(f"tiny:{family}", pooling=pooling), 2, 0)
    together = scores(model, tokenizer)
    alone = torch.cat([scores(model, tokenizer, [text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_the_pad_id_in_a_text_is_a_token_like_any_other():
    """Places come from the mask: a decoder whose pad id occurs in the text still reads its last token."""
    model, tokenizer = load(learner("tiny:gpt2"), 2, 0)
    ids = torch.tensor([[5, tokenizer.pad_id, 7, tokenizer.pad_id]])
    with torch.no_grad():
        full, short = model(ids, torch.ones_like(ids)), model(ids[:, :3], torch.ones(1, 3, dtype=torch.long))
        masked = model(ids, torch.tensor([[1, 1, 1, 0]]))
    torch.testing.assert_close(masked, short)
    assert not torch.allclose(masked, full)


@pytest.mark.parametrize(("family", "expected"), [("bert", "mean"), ("gpt2", "last"), ("llama", "last")])
def test_auto_pooling_is_last_for_decoders_and_mean_for_encoders(family, expected):
    assert load(learner(f"tiny:{family}"), 2, 0)[0].pooling == expected


def test_cls_pooling_on_a_decoder_is_refused():
    with pytest.raises(BadInput, match="sees itself alone"):
        load(learner("tiny:gpt2", pooling="cls"), 2, 0)
    assert load(learner(pooling="cls"), 2, 0)[0].pooling == "cls"


@pytest.mark.parametrize("family", FAMILIES)
def test_more_tokens_than_the_model_reads_is_an_error_with_the_limit(family):
    load(learner(f"tiny:{family}", max_tokens=512), 2, 0)
    with pytest.raises(BadInput, match="max_tokens 513, but this model reads at most 512"):
        load(learner(f"tiny:{family}", max_tokens=513), 2, 0)


def test_models_that_count_positions_from_the_pad_id_read_less():
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    shape |= {"vocab_size": 50, "max_position_embeddings": 34, "pad_token_id": 1}
    for config in (transformers.RobertaConfig(**shape), transformers.MPNetConfig(**shape)):
        body = transformers.AutoModel.from_config(config)
        limit = bodies.longest_input(body)
        assert limit == 32
        body(input_ids=torch.full((1, limit), 5))
        with pytest.raises((IndexError, RuntimeError)):
            body(input_ids=torch.full((1, limit + 1), 5))


# --- cutting layers ---


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cut_model_is_the_first_layers_and_stays_cut_on_disk(family, tmp_path):
    whole, tokenizer = load(learner(f"tiny:{family}", depth=3), 2, 0)
    save(whole, tokenizer, tmp_path / "whole", {})
    cut, tokenizer = load(learner("org/model", layers=2), 2, 0, Shelf(tmp_path / "whole"))
    short, _ = load(learner(f"tiny:{family}", depth=2), 2, 0)
    assert torch.equal(scores(cut, tokenizer), scores(short, tokenizer))
    save(cut, tokenizer, tmp_path / "cut", {})
    again, tokenizer = restore(tmp_path / "cut")
    assert again.body.config.num_hidden_layers == 2
    assert torch.equal(scores(again, tokenizer), scores(cut, tokenizer))


def test_per_layer_lists_in_a_config_are_cut_too(tmp_path):
    config = transformers.Qwen2Config(
        vocab_size=300,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=16,
    )
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    body = bodies.load_body(tmp_path, layers=2)
    assert len(body.config.layer_types) == 2
    body.save_pretrained(tmp_path / "cut")
    assert len(bodies.load_body(tmp_path / "cut").layers) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_more_layers_than_there_are_is_an_error(family, tmp_path):
    with pytest.raises(BadInput, match="4 asked for"):
        load(learner(f"tiny:{family}", depth=3, layers=4), 2, 0)
    save(*load(learner(f"tiny:{family}", depth=3), 2, 0), tmp_path, {})
    with pytest.raises(BadInput, match="has 3"):
        load(learner("org/model", layers=4), 2, 0, Shelf(tmp_path))


# --- to disk and back ---


@pytest.mark.parametrize("family", FAMILIES)
def test_it_comes_back_bit_for_bit(family, tmp_path):
    model, tokenizer = load(learner(f"tiny:{family}"), 3, 0)
    save(model, tokenizer, tmp_path, {"task": "sciq", "step": 7})
    again, its_tokenizer = restore(tmp_path)
    assert its_tokenizer.encode(TEXTS, 20) == tokenizer.encode(TEXTS, 20)
    assert its_tokenizer.pad_id == tokenizer.pad_id
    assert torch.equal(scores(again, its_tokenizer), scores(model, tokenizer))
    assert not again.training
    assert describe(tmp_path)["meta"] == {"task": "sciq", "step": 7}


@pytest.mark.parametrize("family", FAMILIES)
def test_anyone_can_read_the_body_with_transformers_alone(family, tmp_path):
    model, tokenizer = load(learner(f"tiny:{family}"), 2, 0)
    save(model, tokenizer, tmp_path, {})
    with bodies.quiet():
        plain = transformers.AutoModel.from_pretrained(tmp_path).eval()
        words = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ids, mask = tokenizer.pad(tokenizer.encode(TEXTS, 64)[0])
    batch = words(TEXTS, padding=True, return_tensors="pt")
    assert torch.equal(batch["input_ids"], ids)
    with torch.no_grad():
        theirs, ours = (m(input_ids=ids, attention_mask=mask).last_hidden_state for m in (plain, model.body))
    assert torch.equal(theirs, ours)
    assert load_file(tmp_path / "head.safetensors")["weight"].shape == (2, 32)
    assert set(load_file(tmp_path / "model.safetensors")) <= set(plain.state_dict())


def test_saving_twice_writes_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        model, tokenizer = load(learner(), 2, 0)
        tokenizer.encode(TEXTS, 4 if name == "one" else 64)  # a tokenizer remembers its last cut
        save(model, tokenizer, tmp_path / name, {"a": 1})
    files = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert {"model.safetensors", "config.json", "tokenizer.json", "head.safetensors", "w2s.json"} <= set(files)
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_weights_that_live_elsewhere_can_be_saved(tmp_path):
    model, tokenizer = load(learner(), 2, 0)
    elsewhere = {name: weight + 1 for name, weight in model.state_dict().items()}
    save(model, tokenizer, tmp_path, {}, state=elsewhere)
    again, _ = restore(tmp_path)
    assert all(torch.equal(weight, elsewhere[name]) for name, weight in again.state_dict().items())


# --- only whole weights leave, and large ones in pieces ---


@pytest.mark.parametrize("family", FAMILIES)
def test_a_large_model_is_cut_into_files_and_read_again(family, tmp_path):
    model, tokenizer = load(learner(f"tiny:{family}"), 2, 0)
    save(model, tokenizer, tmp_path, {}, max_shard_size="40KB")
    names = sorted(file.name for file in tmp_path.glob("*.safetensors"))
    assert len(names) > 3
    assert "model.safetensors" not in names
    assert (tmp_path / "model.safetensors.index.json").is_file()
    again, its_tokenizer = restore(tmp_path)
    assert torch.equal(scores(again, its_tokenizer), scores(model, tokenizer))
    folder = model_files.check(tmp_path, "here")  # whole by the rules for any model folder
    other, _ = load(learner("org/model"), 2, 0, Shelf(folder))
    assert torch.equal(scores(other, tokenizer), scores(model, tokenizer))
    (tmp_path / names[1]).unlink()
    with pytest.raises(BadInput):
        restore(tmp_path)


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        ("body.encoder.layer.1.output.dense.weight", torch.empty(0), r"layer\.1\.output\.dense\.weight is \[0\], not \[32, 128\]"),
        ("body.encoder.layer.1.output.dense.bias", torch.ones(16), r"is \[16\], not \[32\]"),
        ("body.encoder.layer.1.output.dense.bias", None, "is missing"),
        ("body.more", torch.ones(2), "more is unknown"),
        ("head.weight", torch.empty(0), r"head\.weight is \[0\], not \[2, 32\]"),
        ("head.weight", None, r"head\.weight is missing"),
    ],
)  # fmt: skip
def test_weights_that_are_not_whole_are_refused_by_name(name, tensor, said, tmp_path):
    """Shape [0] is what a sharded model leaves where nobody gathered it."""
    model, tokenizer = load(learner(), 2, 0)
    state = {other: weight for other, weight in model.state_dict().items() if other != name}
    if tensor is not None:
        state[name] = tensor
    with pytest.raises(StageFailed, match=said):
        save(model, tokenizer, tmp_path, {}, state=state)
    assert not list(tmp_path.iterdir())


def test_partitioned_weights_are_not_looked_at_when_a_state_is_given(tmp_path):
    model, tokenizer = load(learner("tiny:gpt2"), 2, 0)
    gathered, expected = {n: w.clone() for n, w in model.state_dict().items()}, scores(model, tokenizer)
    for weight in model.parameters():
        weight.data = torch.empty(0)
    with pytest.raises(StageFailed, match="gather"):
        save(model, tokenizer, tmp_path, {})
    save(model, tokenizer, tmp_path, {}, state=gathered)
    again, its_tokenizer = restore(tmp_path)
    assert torch.equal(scores(again, its_tokenizer), expected)


def test_a_mixture_of_experts_is_written_as_its_family_does(tmp_path):
    """In memory the experts are one tensor; in files, other tools expect one each."""
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    shape |= {"vocab_size": 300, "intermediate_size": 16, "num_local_experts": 2}
    torch.manual_seed(0)
    transformers.AutoModel.from_config(transformers.MixtralConfig(**shape)).save_pretrained(tmp_path / "base")
    load(learner("tiny:llama"), 2, 0)[1].save(tmp_path / "base")
    model, tokenizer = load(learner("org/model"), 2, 0, Shelf(tmp_path / "base"))
    save(model, tokenizer, tmp_path / "out", {})
    before, after = (load_file(tmp_path / place / "model.safetensors") for place in ("base", "out"))
    assert before.keys() == after.keys()
    assert any("experts.1.w2" in name for name in after)
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def test_saving_leaves_deepspeed_alone(tmp_path):
    """It takes seconds to import, and speaks; transformers' own saving would do it where accelerate is installed."""
    code = (
        "import sys; from w2s.learner import Learner; from w2s.work.model import load, save, restore\n"
        "save(*load(Learner(model='tiny:gpt2', max_tokens=64), 2, 0), __import__('pathlib').Path(sys.argv[1]), {})\n"
        "assert not {'deepspeed', 'peft'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_a_saved_model_can_be_finetuned_further(tmp_path):
    model, tokenizer = load(learner("tiny:llama"), 2, 0)
    save(model, tokenizer, tmp_path, {})
    again, its_tokenizer = load(learner("org/model"), 2, 0, Shelf(tmp_path))
    assert torch.equal(scores(again, its_tokenizer), scores(model, tokenizer))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_with_a_language_model_head_gives_its_body(family, tmp_path):
    """As hubs offer them: names with a prefix, and a head that is not wanted."""
    base, tokenizer = load(learner(f"tiny:{family}"), 2, 0)
    kind = transformers.AutoModelForMaskedLM if family == "bert" else transformers.AutoModelForCausalLM
    with bodies.quiet():
        whole = kind.from_config(base.body.config)
        whole.base_model.load_state_dict(base.body.state_dict())
        whole.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    model, _ = load(learner("org/model"), 2, 0, Shelf(tmp_path))
    assert torch.equal(scores(model, tokenizer), scores(base, tokenizer))


def test_the_model_library_keeps_its_voice(tmp_path):
    """Silence is for our calls: a user's own settings are as they were."""
    log = transformers.utils.logging
    before = log.get_verbosity(), log.is_progress_bar_enabled()
    save(*load(learner(), 2, 0), tmp_path, {})
    restore(tmp_path)
    assert (log.get_verbosity(), log.is_progress_bar_enabled()) == before


# --- static word vectors ---


@pytest.fixture
def words(tmp_path) -> Shelf:
    tokenizer = load(learner("tiny:llama"), 2, 0)[1]
    tokenizer.save(tmp_path)
    vectors = torch.randn(259, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float16)
    save_file({"table": vectors}, tmp_path / "model.safetensors")
    return Shelf(tmp_path)


STATIC = {"source": "static:./vectors.safetensors", "tokenizer": "./tokenizer.json"}


def test_a_text_is_the_mean_of_its_tokens_vectors(words):
    model, tokenizer = load(learner(**STATIC), 2, 0, words)
    table = load_file(words.folder / "model.safetensors")["table"].float()
    [ids], _ = tokenizer.encode(["héllo"], 64)
    assert len(ids) == 6  # bytes; no begin token
    expected = model.head(table[ids].mean(dim=0, keepdim=True))
    torch.testing.assert_close(scores(model, tokenizer, ["héllo", "something longer"])[:1], expected.detach())


@pytest.mark.parametrize(("layers", "names"), [("all", ["body.embedding.weight", "head.weight"]), (0, ["head.weight"])])
def test_static_vectors_learn_or_not(words, layers, names):
    model, tokenizer = load(learner(**STATIC, trainable_layers=layers), 2, 0, words)
    model.enable_gradient_checkpointing()
    backward(model, tokenizer)
    assert [weight.name for weight in model.trainable()] == names


def test_static_vectors_come_back_bit_for_bit(words, tmp_path):
    model, tokenizer = load(learner(**STATIC), 2, 0, words)
    save(model, tokenizer, tmp_path / "out", {})
    again, its_tokenizer = restore(tmp_path / "out")
    assert torch.equal(scores(again, its_tokenizer), scores(model, tokenizer))
    assert list(load_file(tmp_path / "out" / "model.safetensors")) == ["table"]
    once_more, _ = load(learner(**STATIC), 2, 0, Shelf(tmp_path / "out"))
    assert torch.equal(scores(once_more, tokenizer), scores(model, tokenizer))


@pytest.mark.parametrize("fields", [{"trainable_layers": 1}, {"pooling": "last"}, {"pooling": "cls"}])
def test_static_vectors_have_neither_layers_nor_places(words, fields):
    with pytest.raises(BadInput) as refused:
        load(learner(**STATIC, **fields), 2, 0, words)
    assert refused.value.remedy


@pytest.mark.parametrize("tensors", [{}, {"a": torch.ones(3)}, {"a": torch.ones(300, 2), "b": torch.ones(300, 2)}])
def test_a_file_without_one_table_is_not_word_vectors(words, tensors):
    save_file(tensors, words.folder / "model.safetensors")
    with pytest.raises(BadInput, match="holds"):
        load(learner(**STATIC), 2, 0, words)


def test_a_tokenizer_of_another_model_is_refused(words):
    save_file({"table": torch.ones(100, 4)}, words.folder / "model.safetensors")
    with pytest.raises(BadInput, match="259 tokens"):
        load(learner(**STATIC), 2, 0, words)


# --- folders that are not what they should be ---


@pytest.fixture
def saved(tmp_path) -> Path:
    save(*load(learner(), 2, 0), tmp_path, {})
    return tmp_path


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", "{", "config.json"),
        ("config.json", '{"model_type": "unheard-of"}', "config.json"),
        ("config.json", '{"model_type": "t5"}', "encoder-decoder"),
        ("model.safetensors", "not weights", "cannot be loaded"),
        ("tokenizer.json", "{", "tokenizer"),
        ("head.safetensors", "", "head"),
        ("w2s.json", "{", "w2s.json"),
        ("w2s.json", '{"format": 99}', "format 99"),
    ],
)
def test_a_broken_folder_is_bad_input(saved, file, content, said):
    (saved / file).write_text(content)
    with pytest.raises(BadInput, match=said):
        restore(saved)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "head.safetensors", "w2s.json"])
def test_a_missing_file_is_bad_input(saved, file):
    (saved / file).unlink()
    with pytest.raises(BadInput):
        restore(saved)


def test_weights_missing_from_a_checkpoint_are_never_made_up(saved):
    weights = load_file(saved / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"1 weights are not in its files: encoder\.layer\.1"):
        restore(saved)


def test_a_config_of_another_shape_is_bad_input(saved):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(BadInput, match="cannot be loaded"):
        restore(saved)


def test_code_in_a_model_folder_is_never_run(saved):
    config = json.loads((saved / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}
    (saved / "config.json").write_text(json.dumps(config))
    (saved / "code.py").write_text(f"open({str(saved / 'ran')!r}, 'w')")
    with pytest.raises(BadInput):
        restore(saved)
    assert not (saved / "ran").exists()


def test_nothing_is_printed(capfd, tmp_path):
    model, tokenizer = load(learner(), 2, 0)
    tokenizer.encode(["long " * 2000], 64)
    save(model, tokenizer, tmp_path, {})
    restore(tmp_path)
    assert capfd.readouterr() == ("", "")
