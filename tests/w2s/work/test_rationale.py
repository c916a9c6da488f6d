"""Masks of irrelevant tokens: by offsets, in step with the tokens that are read, whatever the tokenizer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from cluster.errors import BadInput
from w2s.explain import Explain
from w2s.work.dataset import encode
from w2s.work.encode import Tokenizer
from w2s.work.rationale import masks
from w2s.work.table import RowTable
from w2s.work.tiny import byte_tokenizer

hf: Any = transformers
TEXTS = ("A café was löwly fine, zeta!", "the dog swims in the old river", "été", "a b c d e f g h")


def trained(kind: str) -> Tokenizer:
    """A tokenizer of the three families, trained on a few sentences: word pieces, byte pairs, and pieces that hold their space."""
    made: Backend
    trainer: Any
    if kind == "wordpiece":
        made = Backend(models.WordPiece(unk_token="[UNK]"))
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=80, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    elif kind == "bytes":
        made = Backend(models.BPE())
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=300, special_tokens=["[PAD]"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
    else:
        made = Backend(models.BPE(unk_token="[UNK]"))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=["[PAD]", "[UNK]"])
    made.train_from_iterator([*TEXTS * 3], trainer)
    if kind == "wordpiece":
        ends = [(word, made.token_to_id(word)) for word in ("[CLS]", "[SEP]")]
        made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return Tokenizer(hf.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]"), 400)


def every() -> dict[str, Any]:
    tiny = {
        f"tiny {family}": lambda family=family: Tokenizer(byte_tokenizer(family), 259)
        for family in ("bert", "gpt2", "llama")
    }
    return tiny | {kind: lambda kind=kind: trained(kind) for kind in ("wordpiece", "bytes", "metaspace")}


@pytest.mark.parametrize("name", every())
@pytest.mark.parametrize("most", [64, 7])
def test_masks_are_in_step_with_the_tokens_and_mark_the_rest(name: str, most: int) -> None:
    """All but the last word is the reason: what is irrelevant spells that word, and nothing else does."""
    _check(every()[name](), most)


def _check(tokenizer: Tokenizer, most: int) -> None:
    reasons = [((0, text.rfind(" ")),) if " " in text else ((0, 1),) for text in TEXTS]
    found = masks(tokenizer, TEXTS, TEXTS, reasons, most, Explain(most=1.0))
    tokens, _ = tokenizer.encode(TEXTS, most)
    for text, row, mask, [(_, end)] in zip(TEXTS, tokens, found, reasons, strict=True):
        assert len(mask) == len(row)
        spans = tokenizer.offsets([text], most)[0]
        inside = [span for span, m in zip(spans, mask, strict=True) if m]
        assert all(span is not None and span[0] >= end for span in inside)
        beyond = [span for span in spans if span is not None and span[0] >= end]
        assert inside == beyond
        if most == 64 and end > 1:
            covered = {place for span in inside if span for place in range(*span)}
            assert covered | {end} >= set(range(end, len(text))), "the whole last word, but for a space before it"
        assert all(not m for m, span in zip(mask, spans, strict=True) if span is None)


def test_nothing_is_perturbed_without_a_reason_or_where_the_reason_is_nearly_nothing() -> None:
    tokenizer, text = Tokenizer(byte_tokenizer("bert"), 259), "abcdefghij"
    assert not any(masks(tokenizer, ["r"], [text], [()], 64, Explain())[0])
    one = masks(tokenizer, ["r"], [text], [((0, 1),)], 64, Explain())[0]
    assert sum(one) == 9, "0.9 of ten tokens is not more than 0.9"
    assert not any(masks(tokenizer, ["r"], [text], [((0, 1),)], 64, Explain(most=0.8))[0])
    assert not any(masks(tokenizer, ["r"], [text], [((8, 9),)], 7, Explain(most=0.9))[0]), "the reason was cut off"


def test_the_control_has_as_many_tokens_elsewhere_and_knows_the_row_alone() -> None:
    tokenizer, text = Tokenizer(byte_tokenizer("bert"), 259), "abcdefghijklmnop"
    task = masks(tokenizer, ["a", "b"], [text, text], [((0, 12),)] * 2, 64, Explain())
    control = Explain(rationale="random")
    both = masks(tokenizer, ["a", "b"], [text, text], [((0, 12),)] * 2, 64, control)
    assert [sum(mask) for mask in both] == [sum(mask) for mask in task] == [4, 4]
    assert both[0] != both[1], "drawn by the row's id"
    assert masks(tokenizer, ["b"], [text], [((0, 12),)], 64, control) == both[1:]
    assert all(mask[0] == mask[-1] == 0 for mask in both), "special tokens are nobody's"


def test_a_data_set_has_masks_where_they_are_asked_for_and_a_batch_pads_them() -> None:
    tokenizer = Tokenizer(byte_tokenizer("bert"), 259)
    rows = RowTable(
        ("a", "b", "c"), (("xyz",), ("x" * 20,), ("zyxw",)), (0, 1, 0), 2, (((0, 1),), ((0, 5),), ((2, 4),))
    )
    target = torch.eye(2)[[0, 1, 0]]
    assert encode(tokenizer, rows, target, 10, "drop").irrelevant is None
    data = encode(tokenizer, rows, target, 10, "drop", None, Explain())
    assert data.ids == ("a", "c"), "the long one was dropped, and its mask with it"
    batch = data.batch([0, 1], tokenizer)
    assert batch.irrelevant_BT is not None
    assert batch.irrelevant_BT.tolist() == [[0, 0, 1, 1, 0, 0], [0, 1, 1, 0, 0, 0]]


def test_a_tokenizer_without_offsets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer(byte_tokenizer("bert"), 259)
    monkeypatch.setattr(type(tokenizer.hf), "is_fast", False)
    with pytest.raises(BadInput, match="does not tell where in a text its tokens stand"):
        tokenizer.offsets(["a"], 8)
