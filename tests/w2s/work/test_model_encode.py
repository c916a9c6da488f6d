"""Texts to ids to tensors: special tokens kept, cuts counted, padding on the right."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from cluster.errors import BadInput
from w2s.work.encode import Tokenizer
from w2s.work.tiny import byte_tokenizer

BERT, GPT2, LLAMA = (Tokenizer(byte_tokenizer(family), 259) for family in ("bert", "gpt2", "llama"))


@pytest.mark.parametrize(("tokenizer", "extra"), [(BERT, 2), (GPT2, 0), (LLAMA, 1)])
def test_special_tokens_are_added_and_counted(tokenizer, extra):
    rows, truncated = tokenizer.encode(["abc", "é"], 64)
    assert [len(row) for row in rows] == [3 + extra, 2 + extra]
    assert truncated == 0
    assert tokenizer.n_specials == extra


def test_cuts_are_counted_and_keep_the_closing_token():
    rows, truncated = BERT.encode(["a" * 10, "b" * 3, "c" * 8, "d" * 9], 10)
    assert truncated == 2
    assert [len(row) for row in rows] == [10, 5, 10, 10]
    assert all(row[0] == 1 and row[-1] == 2 for row in rows)


def test_an_earlier_cut_leaves_no_trace():
    before = BERT.encode(["hello world"], 64)
    BERT.encode(["hello world"], 5)
    assert BERT.encode(["hello world"], 64) == before


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(alphabet=st.characters(), max_size=30), max_size=5), st.integers(3, 40))
def test_any_text_becomes_at_least_one_token_and_at_most_the_limit(texts, limit):
    for tokenizer in (BERT, GPT2, LLAMA):
        rows, _ = tokenizer.encode(texts, limit)
        assert len(rows) == len(texts)
        assert all(1 <= len(row) <= limit and max(row) < 259 for row in rows)


def test_half_a_surrogate_pair_is_no_crash():
    assert len(GPT2.encode(["a\ud83d"], 8)[0][0]) == 2


def test_no_texts_no_rows():
    assert BERT.encode([], 8) == ([], 0)


def test_no_room_beside_the_special_tokens_is_an_error():
    with pytest.raises(BadInput, match="2 leaves no room beside 2"):
        BERT.encode(["a"], 2)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 258), min_size=1, max_size=20), min_size=1, max_size=6), st.integers(1, 16))
def test_padding_is_on_the_right_and_the_mask_says_where(rows, multiple):
    ids, mask = BERT.pad(rows, multiple)
    assert ids.shape == mask.shape
    assert ids.dtype == mask.dtype == torch.long
    longest = max(map(len, rows))
    assert ids.shape[1] % multiple == 0
    assert longest <= ids.shape[1] < longest + multiple
    for row, its_ids, its_mask in zip(rows, ids.tolist(), mask.tolist(), strict=True):
        assert its_ids[: len(row)] == row
        assert its_mask == [1] * len(row) + [0] * (len(its_mask) - len(row))
        assert set(its_ids[len(row) :]) <= {BERT.pad_id}


def bare(**special: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer("gpt2").backend_tokenizer, **special)


def test_a_tokenizer_without_padding_pads_with_its_end():
    tokenizer = Tokenizer(bare(eos_token="<end>"), 259)
    assert tokenizer.pad_id == 2
    assert tokenizer.encode([""], 8)[0] == [[2]]


def test_a_tokenizer_without_any_special_token_still_pads():
    tokenizer = Tokenizer(bare(), 259)
    assert tokenizer.pad_id == 0
    assert tokenizer.encode([""], 8)[0] == [[0]]


def test_a_pad_token_added_beyond_the_embeddings_is_not_used():
    hf = bare(eos_token="<end>")
    hf.add_special_tokens({"pad_token": "<new>"})
    assert hf.pad_token_id == 259
    assert Tokenizer(hf, 259).pad_id == 2


def test_a_tokenizer_that_prefers_the_left_is_turned_around():
    hf = byte_tokenizer("bert")
    hf.padding_side = hf.truncation_side = "left"
    assert Tokenizer(hf, 259).encode(["abcdef"], 5) == BERT.encode(["abcdef"], 5)
