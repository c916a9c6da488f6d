"""What rationales add to each row's loss, while a model is trained (the four ways of `w2s.explain`).

A move of the token vectors is a tensor `shift_BTD` of a batch, which the classifier adds to its embedding's output. So one path
serves every architecture, and the gradient with respect to it is that with respect to the vectors.
"""

# B rows of a micro-batch, T tokens, D width, C classes

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cluster.errors import BadInput
from cluster.job import Context
from w2s.explain import Explain
from w2s.loss import one_hot, soft_cross_entropy
from w2s.work import interval
from w2s.work.dataset import Batch, Dataset
from w2s.work.interval import Box
from w2s.work.model import Classifier
from w2s.work.trust import trust

Forward: TypeAlias = Callable[[Batch], Tensor]
TINY = 1e-24  # under a root, so that it has a slope where there is no gradient


@dataclass(frozen=True)
class Losses:
    """Each row's loss, and the parts that curves and receipts tell [B]: the loss on the text as it is, and what was added."""

    rows_B: Tensor
    parts: dict[str, Tensor]


class Explained:
    """The loss of rows with masks. `forward` gives a batch's logits, to be learned from; `aside` gives them to look at the slope in
    a shift, with nothing to be learned; `typical` is the median length of a token's vector, as the
    model was before the first step; `width` its coordinates."""

    def __init__(
        self, explain: Explain, forward: Forward, aside: Forward, typical: float, width: int, model: Classifier
    ) -> None:
        self.explain, self._forward, self._aside, self._model = explain, forward, aside, model
        self._typical, self._width = typical, width

    def losses(self, batch: Batch, progress: float) -> Losses:
        """Cross-entropy to the labels and what the rationales add. A row with an empty mask has x' = x."""
        explain = self.explain
        shift_BTD = self._still(batch) if explain.slope else None
        with _twice_differentiable() if explain.slope else nullcontext():
            logits_BC = self._forward(batch if shift_BTD is None else replace(batch, shift_BTD=shift_BTD))
        clean_B = soft_cross_entropy(logits_BC, batch.target_BC)
        parts = {"clean_loss": clean_B}
        rows_B = clean_B
        if explain.by in ("corm", "pgd"):
            other = self._replaced(batch) if explain.by == "corm" else self._ascended(batch, progress)
            parts["perturbed_loss"] = soft_cross_entropy(self._forward(other), batch.target_BC)
            rows_B = clean_B + explain.beta * parts["perturbed_loss"]
        if explain.by == "ibp":
            parts["perturbed_loss"] = interval.worst_cross_entropy(self._bounds(batch, progress), batch.target_BC)
            share_B = torch.where(_mask(batch).any(dim=1), explain.clean(progress), 1.0)
            rows_B = share_B * clean_B + (1 - share_B) * parts["perturbed_loss"]
        if shift_BTD is not None:
            parts["slope"] = slope(_unlikely(logits_BC, batch.target_BC), shift_BTD, _mask(batch))
            rows_B = rows_B + explain.slope * self._trust(batch) * parts["slope"]
        return Losses(rows_B, {name: part.detach() for name, part in parts.items()})

    def _replaced(self, batch: Batch) -> Batch:
        assert batch.replaced_BT is not None, "whoever made the batch draws"
        return replace(batch, input_ids=batch.replaced_BT)

    def _ascended(self, batch: Batch, progress: float) -> Batch:
        """Moved to where the label is less likely: `steps` equal steps along the gradient from no move at all.

        Parameters' gradients are left alone. A gradient of 0 (a head that has learned nothing) moves nothing.
        """
        explain = self.explain
        reach_BT = self._reach(batch, progress)
        shift_BTD = self._still(batch)
        for _ in range(explain.steps if reach_BT.any() else 0):
            loss_B = _unlikely(self._aside(replace(batch, shift_BTD=shift_BTD)), batch.target_BC)
            (uphill_BTD,) = torch.autograd.grad(loss_B.sum(), shift_BTD)
            move = _box if explain.ball == "box" else _ball
            shift_BTD = move(shift_BTD.detach(), uphill_BTD, reach_BT, explain.steps).requires_grad_()
        return replace(batch, shift_BTD=shift_BTD.detach())

    def _reach(self, batch: Batch, progress: float) -> Tensor:
        """How far each token may be moved [B, T]: its vector, or each coordinate of it where moves are counted by those."""
        length = self.explain.radius(progress) * self._typical
        if self.explain.ball == "box" or self.explain.by == "ibp":
            length /= self._width**0.5
        return length * self._trust(batch)[:, None] * _mask(batch)

    def _bounds(self, batch: Batch, progress: float) -> Box:
        """The logits of all texts whose irrelevant vectors lie in their boxes. Exact: a mean of vectors, then a linear layer."""
        pooled_BD = self._model.pooled(batch.input_ids, batch.attention_mask)
        reach_B1 = self._reach(batch, progress).sum(dim=1, keepdim=True) / batch.attention_mask.sum(dim=1, keepdim=True)
        return interval.linear(Box(pooled_BD, reach_B1.expand_as(pooled_BD)), self._model.head.weight)

    def _still(self, batch: Batch) -> Tensor:
        shape = (*batch.input_ids.shape, self._width)
        return torch.zeros(shape, device=batch.input_ids.device, requires_grad=True)

    def _trust(self, batch: Batch) -> Tensor:
        return trust(batch.target_BC, self.explain.reliability)


def slope(unlikely_B: Tensor, shift_BTD: Tensor, irrelevant_BT: Tensor) -> Tensor:
    """[B]: the summed lengths of the gradient of log f_y at irrelevant tokens, differentiable itself; `unlikely_B` is -log f_y.

    The released code differentiates the sum of all logits, which in a net of two opposite logits is 0 everywhere and holds
    nothing back (Ross et al. 2017 take log-probabilities too).
    """
    (gradient_BTD,) = torch.autograd.grad(unlikely_B.sum(), shift_BTD, create_graph=True)
    length_BT = (gradient_BTD.square().sum(dim=-1) + TINY).sqrt()
    return (irrelevant_BT * length_BT).sum(dim=1)


def _unlikely(logits_BC: Tensor, target_BC: Tensor) -> Tensor:
    """[B]: minus the log-probability of the label's most likely class, which is what gradients are taken of.

    Not the cross-entropy to a soft label: that has no slope wherever the student says what the label says, so the better it has
    learned to lean on a decoy, the less would be held against it.
    """
    return soft_cross_entropy(logits_BC, one_hot(target_BC))


def check_masks(context: Context, data: Dataset) -> None:
    """Tell how much of an explained student's data may be perturbed; nothing to do for any other's.

    Raises BadInput where nothing may: the student would be a naive one under another name.
    """
    if data.irrelevant is None:
        return
    explained, tokens = sum(map(any, data.irrelevant)), sum(map(sum, data.irrelevant))
    of = data.real_tokens(range(len(data)))
    context.watch.note(f"{explained} of {len(data)} rows have irrelevant tokens: {tokens} of {of}")
    if not explained:
        what = "no row has a highlight that leaves some of its tokens out, and not nearly all"
        raise BadInput(context.name, what, "take a task whose rows have highlights, or raise method.most")


def typical_length(table_VD: Tensor) -> float:
    """The median length of a token's vector."""
    return float(table_VD.detach().float().norm(dim=-1).median())


def _mask(batch: Batch) -> Tensor:
    assert batch.irrelevant_BT is not None, "the data set of an explained student has masks"
    return batch.irrelevant_BT


def _ball(shift_BTD: Tensor, uphill_BTD: Tensor, reach_BT: Tensor, steps: int) -> Tensor:
    """A step along each token's gradient, of a length of reach / steps; back to the ball where that leaves it."""
    reach_BT1 = reach_BT[..., None]
    length_BT1 = uphill_BTD.norm(dim=-1, keepdim=True)
    moved_BTD = shift_BTD + reach_BT1 / steps * uphill_BTD / length_BT1.clamp(min=torch.finfo(uphill_BTD.dtype).tiny)
    far_BT1 = moved_BTD.norm(dim=-1, keepdim=True)
    return torch.where(far_BT1 > reach_BT1, moved_BTD * (reach_BT1 / far_BT1), moved_BTD)


def _box(shift_BTD: Tensor, uphill_BTD: Tensor, reach_BT: Tensor, steps: int) -> Tensor:
    """The same, coordinate by coordinate (as released)."""
    reach_BT1 = reach_BT[..., None]
    return (shift_BTD + reach_BT1 / steps * uphill_BTD.sign()).clamp(-reach_BT1, reach_BT1)


def _twice_differentiable() -> AbstractContextManager[None]:
    """Attention whose gradient has a gradient: the fused kernels' has none."""
    return sdpa_kernel(SDPBackend.MATH)
