"""A causal language model asked for one of a few words: their log-probabilities as what comes next after each text."""

# B texts, T tokens, D width, V vocabulary, W words

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from w2s.work.pooling import pool


class NextWord(nn.Module):
    """Answers with log-probabilities [B, W] of some tokens, each as the next after a text's last real token.

    The model's own forward pass makes the logits, whatever it does to them, but at the last token alone: its unembedding is
    shown one position a text, since all of them would be many times the memory of the rest.
    """

    def __init__(self, whole: nn.Module, tokens: Sequence[int]) -> None:
        super().__init__()
        self.body = whole.requires_grad_(False)
        self._tokens = list(tokens)
        cached = "use_cache" in inspect.signature(whole.forward).parameters
        self._options: dict[str, Any] = {"use_cache": False} if cached else {}
        self._mask_BT = torch.empty(0)
        cast("Any", whole).get_output_embeddings().register_forward_pre_hook(self._last_alone)

    def forward(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        self._mask_BT = attention_mask_BT
        told = self.body(input_ids=input_ids_BT, attention_mask=attention_mask_BT, **self._options)
        logits_BV: Tensor = told.logits[:, 0].float()
        return logits_BV.log_softmax(dim=-1)[:, self._tokens]

    def _last_alone(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden_BTD, *others = inputs
        return (pool("last", hidden_BTD, self._mask_BT).unsqueeze(1), *others)
