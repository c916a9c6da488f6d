"""A small vocabulary of whole words, and models over it on the disk: word order and highlights without long byte strings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from w2s.tasks import toy
from w2s.work.body import quiet

hf: Any = transformers
DECOYS = ("north", "south")
WORDS = (*toy.GOOD, *toy.BAD, *toy.THINGS, *toy.TRAITS, *toy.TIMES, *toy.PLACES, "the", "was", "not", *DECOYS)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def tokenizer(*, framed: bool) -> Tokenizer:
    """A word a token; `framed` by [CLS] and [SEP]."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if framed:
        ends = [(word, vocabulary[word]) for word in ("[CLS]", "[SEP]")]
        made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return made


def bert(folder: Path, width: int, depth: int) -> str:
    """A BERT with weights of its own, always the same; returns the folder."""
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    config = hf.BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=width, num_hidden_layers=depth, num_attention_heads=2,
        intermediate_size=4 * width, initializer_range=width**-0.5, max_position_embeddings=32,
    )  # fmt: skip
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer(framed=True), **names).save_pretrained(folder)
    return str(folder)


def static(folder: Path, width: int) -> dict[str, str]:
    """Word vectors, always the same; returns what a recipe says of them."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    save_file(
        {"vectors": torch.randn(len(SPECIAL) + len(WORDS), width, generator=generator)}, folder / "vectors.safetensors"
    )
    tokenizer(framed=False).save(str(folder / "tokenizer.json"))
    return {"source": f"static:{folder}/vectors.safetensors", "tokenizer": f"{folder}/tokenizer.json"}
