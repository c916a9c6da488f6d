"""Texts to token ids to padded tensors: one behaviour for every tokenizer, whatever its own settings say."""

# B texts, T tokens

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cluster.errors import BadInput

Span = tuple[int, int]
"""[start, end) in characters of a text."""


class Tokenizer:
    """A Hugging Face tokenizer that pads and cuts on the right, counts what it cuts, and never warns.

    `specials` False leaves out begin, end and class tokens (static word vectors average content only). `rows` is how
    many ids the model has embeddings for.
    """

    def __init__(self, hf: Any, rows: int, *, specials: bool = True) -> None:
        if hf.vocab_size > rows:
            raise BadInput(
                "model",
                f"its tokenizer has {hf.vocab_size} tokens and its weights {rows}",
                "take both from the same model",
            )
        hf.padding_side = hf.truncation_side = "right"
        if hf.pad_token is None and hf.eos_token is not None:  # GPT-2 was trained without padding
            hf.pad_token = hf.eos_token
        self.hf, self.specials = hf, specials
        usable = [i for i in (hf.pad_token_id, hf.eos_token_id) if i is not None and i < rows]
        self.pad_id: int = usable[0] if usable else 0  # what stands there is masked out
        starts = [i for i in (hf.bos_token_id, hf.eos_token_id, self.pad_id) if i is not None and i < rows]
        self._empty: int = starts[0]
        self.n_specials: int = hf.num_special_tokens_to_add(pair=False) if specials else 0

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[list[list[int]], int]:
        """Token ids of each text, special tokens included, and how many texts were cut to `max_tokens`.

        Never empty: a text without tokens is one begin (or end, or pad) token. Raises BadInput when the special tokens
        alone fill `max_tokens`.
        """
        if max_tokens <= self.n_specials:
            raise BadInput(
                "max_tokens", f"{max_tokens} leaves no room beside {self.n_specials} special tokens", "raise max_tokens"
            )
        if not texts:
            return [], 0
        clean = [_encodable(text) for text in texts]
        rows = self._ids(clean)
        long = [i for i, row in enumerate(rows) if len(row) > max_tokens]
        if long:
            cut = self._ids([clean[i] for i in long], truncation=True, max_length=max_tokens)
            for i, row in zip(long, cut, strict=True):
                rows[i] = row
        return [row or [self._empty] for row in rows], len(long)

    def offsets(self, texts: Sequence[str], max_tokens: int) -> list[list[Span | None]]:
        """Where in its text each of the tokens stands that `encode` gives; None for one without a place there (a special one).

        Raises BadInput for a tokenizer that does not know (one written in Python).
        """
        if not self.hf.is_fast:
            what = "its tokenizer does not tell where in a text its tokens stand"
            raise BadInput("model", what, "take a model that has a tokenizer.json")
        if not texts:
            return []
        found = self.hf(
            [_encodable(text) for text in texts],
            add_special_tokens=self.specials,
            truncation=True,
            max_length=max_tokens,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_attention_mask=False,
            verbose=False,
        )
        pairs = zip(found["offset_mapping"], found["special_tokens_mask"], strict=True)
        return [
            [None if special or start == end else (start, end) for (start, end), special in zip(*row, strict=True)]
            or [None]
            for row in pairs
        ]

    def pad(self, rows: Sequence[Sequence[int]], multiple_of: int = 1) -> tuple[Tensor, Tensor]:
        """(input_ids_BT, attention_mask_BT), int64, padded on the right to the longest, up to `multiple_of`."""
        length = -(-max(len(row) for row in rows) // multiple_of) * multiple_of
        ids_BT = torch.full((len(rows), length), self.pad_id, dtype=torch.long)
        mask_BT = torch.zeros((len(rows), length), dtype=torch.long)
        for i, row in enumerate(rows):
            ids_BT[i, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask_BT[i, : len(row)] = 1
        return ids_BT, mask_BT

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and its companions; the same files however often it has encoded."""
        backend = getattr(self.hf, "backend_tokenizer", None)
        if backend is not None:  # it remembers the last call's cut
            backend.no_truncation()
            backend.no_padding()
        self.hf.save_pretrained(str(folder))

    def _ids(self, texts: list[str], **cut: Any) -> list[list[int]]:
        plain = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
        found: list[list[int]] = self.hf(texts, add_special_tokens=self.specials, **plain, **cut)["input_ids"]
        return found


def _encodable(text: str) -> str:
    # half a surrogate pair is a legal str and no legal UTF-8; the tokenizers' core refuses it
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return text
