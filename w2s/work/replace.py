"""Token CoRM's other text: irrelevant tokens replaced, alike however a batch is cut, whoever trains and wherever it broke off."""

# N rows, B rows of a batch, T tokens, M tokens of all texts learned from

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from cluster.errors import BadInput
from w2s.examples import hash_unit
from w2s.explain import Explain
from w2s.work.dataset import Batch, Dataset
from w2s.work.encode import Tokenizer
from w2s.work.trust import trust


class Replacer:
    """Draws are a function of (seed, step, row id) alone. Random tokens are as frequent as in the texts that are learned from."""

    def __init__(self, explain: Explain, data: Dataset, tokenizer: Tokenizer, seed: int) -> None:
        """Raises BadInput where a mask token is asked for and the tokenizer has none."""
        mask = tokenizer.hf.mask_token_id
        if explain.replace == "mask" and mask is None:
            raise BadInput("method.replace", "the tokenizer has no mask token", "set replace: random")
        self._seed, self._data = seed, data
        self._prob_N = explain.prob * trust(data.target_NC, explain.reliability).double().numpy()
        special = set(tokenizer.hf.all_special_ids)
        kept = [token for row in data.tokens for text in row for token in text if token not in special]
        self._corpus_M = np.asarray([mask] if explain.replace == "mask" else kept, dtype=np.int64)

    def __call__(self, batch: Batch, rows: Sequence[int], step: int) -> Batch:
        """The batch of these rows, with the other texts beside its own."""
        assert batch.irrelevant_BT is not None, "rows without masks have nothing to replace"
        ids_BT, irrelevant_BT = batch.input_ids.numpy().copy(), batch.irrelevant_BT.numpy()
        for place, row in enumerate(rows):
            generator = np.random.default_rng(int(hash_unit("corm", self._seed, step, self._data.ids[row]) * 2**53))
            length = len(self._data.tokens[row][0])  # never the padded one, which depends on who is beside
            chosen = (generator.random(length) < self._prob_N[row]) & (irrelevant_BT[place, :length] > 0)
            others = self._corpus_M[generator.integers(len(self._corpus_M), size=length)]
            ids_BT[place, :length] = np.where(chosen, others, ids_BT[place, :length])
        return dataclasses.replace(batch, replaced_BT=torch.from_numpy(ids_BT))
