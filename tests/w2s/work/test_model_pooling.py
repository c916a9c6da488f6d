"""Pooling reads the mask and nothing else; nor does any model look at ids to find where a text ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import tokenizers
import torch
import transformers
from torch import nn

from w2s.learner import Learner, ModelRef
from w2s.work import language, model
from w2s.work.encode import Tokenizer
from w2s.work.hidden import Reader
from w2s.work.next_word import NextWord
from w2s.work.pooling import pool

HIDDEN = torch.arange(2 * 4 * 3, dtype=torch.float32).reshape(2, 4, 3)
MASK = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])


def test_last_is_the_last_real_token():
    assert torch.equal(pool("last", HIDDEN, MASK), torch.stack([HIDDEN[0, 1], HIDDEN[1, 3]]))


def test_last_holds_for_padding_on_the_left_too():
    assert torch.equal(pool("last", HIDDEN, MASK.flip(1)), HIDDEN[:, 3])


def test_mean_is_over_real_tokens():
    torch.testing.assert_close(pool("mean", HIDDEN, MASK), torch.stack([HIDDEN[0, :2].mean(0), HIDDEN[1].mean(0)]))


def test_cls_is_the_first_token():
    assert torch.equal(pool("cls", HIDDEN, MASK), HIDDEN[:, 0])


@pytest.mark.parametrize("how", ["last", "mean", "cls"])
def test_what_stands_in_the_padding_does_not_matter(how):
    other = torch.where(MASK.unsqueeze(-1) == 1, HIDDEN, torch.tensor(1e6))
    assert torch.equal(pool(how, HIDDEN, MASK), pool(how, other, MASK))


def test_a_mean_of_half_precision_is_summed_in_float32():
    hidden = torch.ones(1, 4096, 1, dtype=torch.bfloat16) * 1.0078125
    assert pool("mean", hidden, torch.ones(1, 4096)).item() == 1.0078125


# --- whole models, on a text with a token of id 0 in it ---


Door: TypeAlias = "Callable[[Shelf], tuple[nn.Module, Tokenizer]]"


class Shelf:
    """One model, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def model_folder(self, model: ModelRef) -> Path:
        return self.folder

    def static_files(self, model: ModelRef) -> tuple[Path, Path]:
        raise AssertionError("not word vectors")


VOCABULARY = ["!", "what", "a", "film", "it", "was", "long", "and", "<|endoftext|>"]
TEXTS = ["what a film ! !", "! it was long and it was a long film !", "! !"]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A small GPT-2 with its vocabulary's two oddities: "!" is token 0, and there is an end but no padding."""
    folder = tmp_path_factory.mktemp("gpt2")
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, "it"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    end = VOCABULARY[-1]
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=end, bos_token=end).save_pretrained(folder)
    shape = {"vocab_size": len(VOCABULARY), "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.GPT2Config(**shape, bos_token_id=8, eos_token_id=8, initializer_range=0.5)
        transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return Shelf(folder)


def classifier(shelf: Shelf) -> tuple[nn.Module, Tokenizer]:
    return model.load(Learner(model="org/gpt2", head="normal", max_tokens=32), 2, 0, shelf)


def reader(shelf: Shelf) -> tuple[nn.Module, Tokenizer]:
    body, tokenizer, how = model.load_body(Learner(model="org/gpt2", max_tokens=32), shelf)
    return Reader(body, how, (1, 2), "gpt2").eval(), tokenizer


def next_word(shelf: Shelf) -> tuple[nn.Module, Tokenizer]:
    whole, tokenizer = language.load(ModelRef(source="org/gpt2"), shelf)
    return NextWord(whole, [0, 3, 6]), tokenizer


def text_loss(shelf: Shelf) -> tuple[nn.Module, Tokenizer]:
    whole, tokenizer = language.load(ModelRef(source="org/gpt2"), shelf)
    return language.TextLoss(whole), tokenizer


@pytest.mark.parametrize("door", [classifier, reader, next_word, text_loss])
def test_an_exclamation_mark_is_a_word_like_any_other(door: Door, shelf: Shelf) -> None:
    """A stand-alone "!" (token id 0) must not move the read-out position, nor be left out as if it were padding.

    The released code counts the ids other than 0 to find a text's last token. Asked about each text alone, without padding
    and without a mask's help, a model must say what it says of it in a batch.
    """
    asked, tokenizer = door(shelf)
    rows, _ = tokenizer.encode(TEXTS, 32)
    assert rows[2] == [0, 0]
    with torch.no_grad():
        together = asked(*tokenizer.pad(rows))
        alone = torch.cat([asked(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long)) for row in rows])
        torch.testing.assert_close(together, alone)
        fewer = [[token for token in row if token != 0] or [8] for row in rows]
        without = torch.cat([asked(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long)) for row in fewer])
    assert (together - without).flatten(1).abs().amax(dim=1).min() > 1e-3, "it is read"


def test_a_classifier_reads_the_exclamation_mark_that_ends_a_text(shelf: Shelf) -> None:
    """Against transformers' own states, at the last place; counting ids other than 0 would read two places before it."""
    asked, tokenizer = classifier(shelf)
    ids, mask = tokenizer.pad(tokenizer.encode(TEXTS[:1] * 2 + TEXTS[1:2], 32)[0])
    plain = transformers.GPT2Model.from_pretrained(shelf.folder).eval()
    with torch.no_grad():
        states = plain(input_ids=ids[:1, :5]).last_hidden_state[0]
        found = asked(ids, mask)[0]
    torch.testing.assert_close(found, asked.head(states[4]))
    counted = int((ids[0, :5] != 0).sum()) - 1
    assert counted == 2
    assert not torch.allclose(found, asked.head(states[counted]), atol=1e-3)
