"""How far a row's rationale is trusted: as far as its label is sure."""

# N rows, C classes

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def trust(target_NC: Tensor, reliability: Literal["none", "confidence"]) -> Tensor:
    """[N], in [0, 1]: 1, or by confidence 0 for a label that says nothing (1/C each) up to 1 for a certain one.

    Who does not know the answer does not know the reason (Heo et al. take rationales as right; weak ones are not).
    """
    if reliability == "none":
        return torch.ones(len(target_NC), device=target_NC.device)
    classes = target_NC.shape[-1]
    return ((target_NC.amax(dim=-1) * classes - 1) / (classes - 1)).clamp(0, 1)
