"""How sure a prediction or a label is, and where its quantiles lie: for the losses that part rows by that."""

# B rows, N values, C classes

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from w2s.loss import Number


def sureness(probs_BC: Tensor) -> Tensor:
    """How far each row's highest probability lies above 1 / C [B]. With two classes, |p - 0.5|."""
    return probs_BC.amax(dim=-1) - 1 / probs_BC.shape[-1]


def quantile(values_N: Tensor, share: Number, count: Number | None = None) -> Tensor:
    """The value below which `share` of the `count` smallest lie (of all, when not given), between neighbours linearly.

    As `torch.quantile`, for any N. Put +inf where a value is not to count, and give the number of those that do.
    """
    import torch

    values_N = values_N.sort().values
    count = len(values_N) if count is None else count
    rank = torch.as_tensor(share * (count - 1), dtype=values_N.dtype, device=values_N.device).clamp(min=0)
    below = rank.floor()
    places_2 = torch.stack([below, rank.ceil()]).long()
    lower, upper = values_N.gather(0, places_2)
    return torch.lerp(lower, upper, rank - below)
