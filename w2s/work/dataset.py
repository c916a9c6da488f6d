"""A part's rows as token ids and targets, and the padded tensors of a batch."""

# N rows, B rows of a batch, C classes, K candidates per row (1, or C), T tokens

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from w2s.explain import Explain
from w2s.work.model import Tokenizer
from w2s.work.rationale import Mask, masks
from w2s.work.table import RowTable

NO_LIMIT = 10**9


@dataclass(frozen=True)
class Batch:
    """Padded tokens of B x K texts, B targets (soft class probabilities), and weights: how much a row counts, 0 for padding."""

    input_ids: Tensor  # [B*K, T]
    attention_mask: Tensor  # [B*K, T]
    target_BC: Tensor
    weight_B: Tensor
    candidates: int
    irrelevant_BT: Tensor | None = None  # 1 at tokens that rationales leave out; the rest for an explained student too
    replaced_BT: Tensor | None = None  # the tokens with some of those replaced
    shift_BTD: Tensor | None = None  # what is added to the tokens' vectors

    @property
    def rows(self) -> int:
        return len(self.target_BC)

    def to(self, device: str) -> Batch:
        there: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **there)


@dataclass(frozen=True)
class Dataset:
    """N encoded rows with their targets and weights (all above 0, 1 on average).

    `truncated` and `dropped` count texts over the limit, `unweighted` the rows that were left out for their weight of 0.
    """

    ids: tuple[str, ...]
    tokens: list[list[list[int]]]  # [N][K][<= T]
    target_NC: Tensor
    truth_N: Tensor
    weight_N: Tensor
    truncated: int
    dropped: int
    unweighted: int
    irrelevant: tuple[Mask, ...] | None = field(default=None, kw_only=True)  # [N][<= T]; None where nobody asked

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> list[int]:
        """The longest of each row's texts, in tokens."""
        return [max(len(text) for text in row) for row in self.tokens]

    @property
    def candidates(self) -> int:
        return len(self.tokens[0])

    def batch(self, rows: Sequence[int], tokenizer: Tokenizer, weight_B: Tensor | None = None) -> Batch:
        """The rows as one padded batch, candidates of a row side by side. `weight_B` of 0 marks padding: such a row counts
        for nothing, any other for its own weight times that."""
        flat = [text for row in rows for text in self.tokens[row]]
        input_ids, attention_mask = tokenizer.pad(flat)
        own_B = self.weight_N[list(rows)]
        counts_B = own_B if weight_B is None else weight_B * own_B
        batch = Batch(input_ids, attention_mask, self.target_NC[list(rows)], counts_B, self.candidates)
        if self.irrelevant is None:
            return batch
        irrelevant_BT = torch.zeros(input_ids.shape)
        for place, row in enumerate(rows):
            irrelevant_BT[place, : len(self.irrelevant[row])] = torch.tensor(self.irrelevant[row]).float()
        return replace(batch, irrelevant_BT=irrelevant_BT)

    def real_tokens(self, rows: Sequence[int]) -> int:
        """Tokens of these rows without padding."""
        return sum(len(text) for row in rows for text in self.tokens[row])


def encode(
    tokenizer: Tokenizer,
    rows: RowTable,
    target_NC: Tensor,
    max_tokens: int,
    too_long: str,
    weight_N: Tensor | None = None,
    explain: Explain | None = None,
) -> Dataset:
    """Tokenise a part. `too_long`: truncate, or drop rows with any text over `max_tokens` (counted either way).

    Rows of weight 0 are left out before anything is counted or batched; the others' weights are scaled to a mean of 1, so
    that a loss summed over a batch and divided by its rows is a weighted mean. None: all count alike.

    `explain`: find out which tokens are irrelevant as well. Raises BadInput for a tokenizer that does not tell where they stand.
    """
    weight_N = torch.ones(len(rows)) if weight_N is None else weight_N
    counted = weight_N.nonzero().flatten().tolist()
    flat = [text for i in counted for text in rows.texts[i]]
    k = rows.candidates
    encoded, truncated = tokenizer.encode(flat, NO_LIMIT if too_long == "drop" else max_tokens)
    tokens = {row: encoded[i * k : (i + 1) * k] for i, row in enumerate(counted)}
    kept = [i for i, texts in tokens.items() if too_long != "drop" or max(map(len, texts)) <= max_tokens]
    index = torch.tensor(kept, dtype=torch.long)
    kept_N = weight_N[index].double()
    return Dataset(
        ids=tuple(rows.ids[i] for i in kept),
        tokens=[tokens[i] for i in kept],
        target_NC=target_NC[index],
        truth_N=torch.tensor(rows.labels)[index],
        weight_N=(kept_N / kept_N.mean()).float(),
        truncated=truncated,
        dropped=len(counted) - len(kept),
        unweighted=len(rows) - len(counted),
        irrelevant=None if explain is None else _irrelevant(tokenizer, rows, kept, max_tokens, explain),
    )


def _irrelevant(
    tokenizer: Tokenizer, rows: RowTable, kept: Sequence[int], max_tokens: int, explain: Explain
) -> tuple[Mask, ...]:
    highlights = rows.highlights or ((),) * len(rows)
    texts, marks = [rows.texts[i][0] for i in kept], [highlights[i] for i in kept]
    return tuple(masks(tokenizer, [rows.ids[i] for i in kept], texts, marks, max_tokens, explain))
