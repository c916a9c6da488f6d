"""A causal language model that writes: greedy decoding as a module, so that whatever scores batches can have them answered."""

# B texts, T tokens of a text, M tokens written at most, V vocabulary

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

NOTHING = -1  # stands where no token was written: after the end


class Writer(nn.Module):
    """Answers each text [B, T] with 2M numbers: the tokens written after it (NOTHING after the end), and their log-probabilities.

    Each token is the most probable next one (temperature 0), up to the `end` token, which is written too, or to M of them.
    `lockstep` writes all M whatever was ended: where every rank of a gang must make as many forward passes as the others.
    Tokens are whole numbers in float32, exact below 2^24.
    """

    def __init__(self, whole: nn.Module, end: int, max_new_tokens: int, *, lockstep: bool = False) -> None:
        super().__init__()
        self.body = whole.requires_grad_(False)
        self._end, self._most, self._lockstep = end, max_new_tokens, lockstep
        known = inspect.signature(whole.forward).parameters
        self._places = (
            "position_ids" in known
        )  # models that count positions from the mask themselves have no such argument
        # the unembedding of a long text's every token would be many times the memory of the rest
        self._options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in known else {}

    def forward(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        # texts come padded on the right; what is written follows the last token of each, so padding goes to the left
        order_BT = attention_mask_BT.argsort(dim=1, stable=True)
        ids_BT, mask_BT = input_ids_BT.gather(1, order_BT), attention_mask_BT.gather(1, order_BT)
        place_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
        tokens_BM = ids_BT.new_full((len(ids_BT), self._most), NOTHING)
        log_probs_BM = torch.zeros((len(ids_BT), self._most), dtype=torch.float32, device=ids_BT.device)
        open_B = torch.ones(len(ids_BT), dtype=torch.bool, device=ids_BT.device)
        past: Any = None
        for step in range(self._most):
            places = {"position_ids": place_BT} if self._places else {}
            told = self.body(
                input_ids=ids_BT,
                attention_mask=mask_BT,
                past_key_values=past,
                use_cache=True,
                **places,
                **self._options,
            )
            past = told.past_key_values
            log_prob_B, best_B = told.logits[:, -1].float().log_softmax(dim=-1).max(dim=-1)
            tokens_BM[open_B, step] = best_B[open_B]
            log_probs_BM[open_B, step] = log_prob_B[open_B]
            open_B = open_B & (best_B != self._end)
            if not (self._lockstep or bool(open_B.any())):
                break
            ids_BT = best_B[:, None]
            mask_BT = torch.cat([mask_BT, torch.ones_like(ids_BT)], dim=1)
            place_BT = place_BT[:, -1:] + 1
        return torch.cat([tokens_BM.float(), log_probs_BM], dim=1)
