"""From one vector a token to one vector a text. Positions come from the attention mask, never from a pad id.

A pad id is no guide: some decoders pad with their end token, and in GPT-2's vocabulary id 0 is an exclamation mark.
"""

# B texts, T tokens, D width

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Pooling = Literal["last", "mean", "cls"]


def pool(how: Pooling, hidden_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """[B, D]: the last real token, the mean over real tokens (summed in float32), or the first token.

    `mask_BT` is 1 at real tokens; every text has at least one.
    """
    if how == "cls":
        return hidden_BTD[:, 0]
    if how == "last":
        place_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
        last_B = (place_T * (mask_BT != 0)).argmax(dim=1)
        return hidden_BTD[torch.arange(len(hidden_BTD), device=hidden_BTD.device), last_B]
    weight_BT1 = (mask_BT != 0).unsqueeze(-1).float()
    return (hidden_BTD.float() * weight_BT1).sum(dim=1) / weight_BT1.sum(dim=1).clamp(min=1.0)
