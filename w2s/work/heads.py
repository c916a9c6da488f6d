"""Many linear heads on the same vectors, trained at once, each to the bit as if it were trained alone.

All heads see one matrix of vectors; which rows a head learns from is told by weights. What would let a head's numbers depend
on its company is kept out: matrix products are done in blocks of a fixed shape, everything else element by element.
"""

# N rows, K texts a row (1, or candidates), D width, C classes, O outputs (C, or 1 for candidates), M heads, A of them, P = O * (D + 1)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from w2s import loss as losses
from w2s.loss import LossConfig, Statistics

BLOCKS = (48, 24, 8, 4)  # columns of every matrix product, the first that this processor's kernels treat alike
AT_ONCE = 64  # heads whose losses are computed together
DEAD = 1e-12  # a feature that varies less than that is left as it is


@dataclass(frozen=True)
class Lesson:
    """What one head learns: targets [N, C] ([N, M, C] of a crowd), weights of the rows [N] (0: not its rows), a loss, and the
    pull towards zero."""

    target_NC: Tensor
    weight_N: Tensor
    loss: LossConfig
    l2: float


class Heads:
    """M heads as one objective. Points are the heads' weights and biases in standardised space, [M, O * (D + 1)]."""

    def __init__(self, vectors_NKD: Tensor, lessons: Sequence[Lesson], *, standardise: bool) -> None:
        rows, self._candidates, self._width = vectors_NKD.shape
        self._classes = lessons[0].target_NC.shape[-1]
        self.outputs = self._classes if self._candidates == 1 else 1
        flat_SD = vectors_NKD.reshape(-1, self._width).double()
        self._middle_D = flat_SD.mean(dim=0)
        self._flat_SD = flat_SD - self._middle_D  # S = N * K; near zero, so that variances do not cancel
        self._across_DS = self._flat_SD.T.contiguous()
        self._target_MNC = torch.stack([lesson.target_NC.double() for lesson in lessons])
        self._weight_MN = torch.stack([lesson.weight_N.double() for lesson in lessons])
        self._l2_M = torch.tensor([lesson.l2 for lesson in lessons], dtype=torch.float64)
        self._losses = [lesson.loss for lesson in lessons]
        known = [losses.label_statistics(lesson.loss, lesson.target_NC[lesson.weight_N > 0]) for lesson in lessons]
        self._known = [{name: value.double() for name, value in each.items()} for each in known]
        first = [losses.beginning(lesson.loss, lesson.target_NC[lesson.weight_N > 0]) for lesson in lessons]
        self.learned = [{name: value.double() for name, value in each.items()} for each in first]
        self._told: list[Statistics] = [{} for _ in lessons]  # the slopes of what losses learn, of the last objective
        self._block = _block(self._flat_SD, self._across_DS)
        self._mean_MD, self._scale_MD = self._standard(standardise)
        assert rows == self._weight_MN.shape[1]

    @property
    def size(self) -> int:
        """Numbers of a point."""
        return self.outputs * (self._width + 1)

    def objective(self, which: Tensor, points_AP: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """Losses [A] and gradients [A, P] of some heads: the weighted mean over rows, and l2 times the squared weights."""
        weight_ADO, bias_AO = self._parts(points_AP)
        logits_ANC = self._logits(which, weight_ADO, bias_AO)
        values_A, slopes_ANC = self._rows(which, logits_ANC, progress)
        gradient_AP = self._back(which, slopes_ANC)
        pull_A = self._l2_M[which]
        values_A = values_A + pull_A * (weight_ADO**2).sum(dim=(1, 2))
        gradient_AP[:, : -self.outputs] += (2 * pull_A[:, None, None] * weight_ADO).flatten(1)
        return values_A, gradient_AP

    def advance(self, progress: float) -> None:
        """Losses that learn something of their own do so, from the slopes of the last objective."""
        for i, (loss, told) in enumerate(zip(self._losses, self._told, strict=True)):
            if self.learned[i]:
                self.learned[i] = losses.advanced(loss, self.learned[i], told, progress)

    def logits(self, points_MP: Tensor) -> Tensor:
        """[M, N, C] of all heads."""
        return self._logits(torch.arange(len(points_MP)), *self._parts(points_MP))

    def plain(self, points_MP: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [M, O, D] and biases [M, O] that act on the vectors as they came."""
        which = torch.arange(len(points_MP))
        raw_MDO, bias_MO = self._raw(which, *self._parts(points_MP))
        shift_MO = (self._middle_D[None, :, None] * raw_MDO).sum(dim=1)
        return raw_MDO.transpose(1, 2).contiguous(), bias_MO - shift_MO

    def _standard(self, standardise: bool) -> tuple[Tensor, Tensor]:
        """Each head's mean and spread of every feature over its own rows, weighted."""
        count = len(self._weight_MN)
        if not standardise:
            ones_MD = torch.ones(count, self._width, dtype=torch.float64)
            return -self._middle_D.expand(count, -1), ones_MD
        share_MS = self._weight_MN.repeat_interleave(self._candidates, dim=1)
        share_MS = share_MS / share_MS.sum(dim=1, keepdim=True)
        mean_MD = _product(self._block, self._across_DS, share_MS.T).T
        square_MD = _product(self._block, (self._across_DS**2).contiguous(), share_MS.T).T
        scale_MD = (square_MD - mean_MD**2).clamp(min=0).sqrt()
        return mean_MD, torch.where(scale_MD > DEAD, scale_MD, 1.0)

    def _parts(self, points_AP: Tensor) -> tuple[Tensor, Tensor]:
        weight_ADO = points_AP[:, : -self.outputs].unflatten(1, (self._width, self.outputs))  # type: ignore[no-untyped-call]
        return weight_ADO, points_AP[:, -self.outputs :]

    def _raw(self, which: Tensor, weight_ADO: Tensor, bias_AO: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and biases that act on the centred vectors."""
        raw_ADO = weight_ADO / self._scale_MD[which, :, None]
        return raw_ADO, bias_AO - (self._mean_MD[which, :, None] * raw_ADO).sum(dim=1)

    def _logits(self, which: Tensor, weight_ADO: Tensor, bias_AO: Tensor) -> Tensor:
        raw_ADO, shift_AO = self._raw(which, weight_ADO, bias_AO)
        flat = _product(self._block, self._flat_SD, raw_ADO.permute(1, 0, 2).reshape(self._width, -1))  # [S, A * O]
        scores_ASO = flat.view(-1, len(which), self.outputs).transpose(0, 1) + shift_AO[:, None, :]
        return scores_ASO.reshape(len(which), -1, self._classes).contiguous()

    def _back(self, which: Tensor, slopes_ANC: Tensor) -> Tensor:
        """Gradients [A, P] from the slopes in the logits."""
        slopes_ASO = slopes_ANC.reshape(len(which), -1, self.outputs)
        columns = slopes_ASO.transpose(0, 1).reshape(len(self._flat_SD), -1)
        raw_ADO = (
            _product(self._block, self._across_DS, columns).view(self._width, len(which), self.outputs).transpose(0, 1)
        )
        bias_AO = slopes_ASO.sum(dim=1)
        weight_ADO = (raw_ADO - self._mean_MD[which, :, None] * bias_AO[:, None, :]) / self._scale_MD[which, :, None]
        return torch.cat([weight_ADO.flatten(1), bias_AO], dim=1)

    def _rows(self, which: Tensor, logits_ANC: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """Each head's mean loss over its rows [A] and its slopes in the logits [A, N, C]."""
        values_A, slopes_ANC = logits_ANC.new_empty(len(which)), torch.empty_like(logits_ANC)
        for some in self._alike(which):
            heads = which[some]
            base = self._losses[int(heads[0])]
            losses_A = [self._losses[i] for i in heads.tolist()]
            numbers = {name: _stacked([getattr(loss, name) for loss in losses_A]) for name in _numbers(base)}
            each = [self._known[i] | self.learned[i] for i in heads.tolist()]
            known = {name: torch.stack([one[name] for one in each]) for name in each[0]}
            together: Any = torch.func.vmap(
                torch.func.grad_and_value(_mean_loss(base, progress), argnums=0), in_dims=(0, 0, 0, 0, 0)
            )
            slopes, values = together(logits_ANC[some], self._target_MNC[heads], self._weight_MN[heads], numbers, known)
            slopes_ANC[some], values_A[some] = slopes, values
            self._hear(heads, logits_ANC[some], known, progress)
        return values_A, slopes_ANC

    def _hear(self, heads: Tensor, logits_ANC: Tensor, known: Statistics, progress: float) -> None:
        """What the losses of these heads would learn from: mean slopes over each head's rows."""
        for place, head in enumerate(heads.tolist()):
            if self.learned[head]:
                weight_N = self._weight_MN[head]
                own = {name: value[place] for name, value in known.items()}
                loss, target_NC = self._losses[head], self._target_MNC[head]
                told = losses.slopes(loss, logits_ANC[place], target_NC, weight_N, progress, own)
                self._told[head] = {name: value / weight_N.sum() for name, value in told.items()}

    def _alike(self, which: Tensor) -> list[Tensor]:
        """Places in `which` of heads whose losses differ in numbers alone, some at a time."""
        groups: dict[str, list[int]] = {}
        for place, head in enumerate(which.tolist()):
            config = self._losses[head]
            rest = {name: value for name, value in config.dump().items() if name not in _numbers(config)}
            groups.setdefault(repr((rest, _numbers(config))), []).append(place)
        return [torch.tensor(part) for places in groups.values() for part in _cut(places)]


def _mean_loss(base: LossConfig, progress: float) -> Any:
    """The mean loss of one head's rows as a function of its logits; the numbers of its config are tensors."""

    def mean(logits_NC: Tensor, target_NC: Tensor, weight_N: Tensor, numbers: Any, known: Any) -> Tensor:
        config = base.model_copy(update=numbers)
        told = losses.statistics(config, logits_NC.detach(), target_NC, weight_N)
        rows_N = losses.compute(config, logits_NC, target_NC, progress, {**known, **told})
        return (rows_N * weight_N).sum() / weight_N.sum()

    return mean


def _numbers(config: LossConfig) -> dict[str, int]:
    """The fields that are numbers, or tuples of them (how many; 0 for a single one)."""
    found = {name: 0 for name, value in config if isinstance(value, float)}
    tuples = {name: value for name, value in config if isinstance(value, tuple) and value}
    return found | {name: len(v) for name, v in tuples.items() if all(isinstance(item, float) for item in v)}


def _stacked(values: Sequence[float] | Sequence[tuple[float, ...]]) -> Tensor | tuple[Tensor, ...]:
    """One number of every head as a tensor [A]; tuples of equal length as a tuple of such."""
    if isinstance(values[0], tuple):
        return tuple(_stacked(each) for each in zip(*values, strict=True))  # type: ignore[misc]
    return torch.tensor(values, dtype=torch.float64)


def _cut(places: list[int]) -> list[list[int]]:
    return [places[i : i + AT_ONCE] for i in range(0, len(places), AT_ONCE)]


def _product(block: int, left: Tensor, right: Tensor) -> Tensor:
    """left @ right, so many columns at a time, the last ones filled up with zeros: a column's sums are made in one order,
    whichever columns stand beside it."""
    columns = right.shape[1]
    short = -columns % block
    filled = torch.cat([right, right.new_zeros(right.shape[0], short)], dim=1) if short else right
    parts = [left @ filled[:, start : start + block] for start in range(0, columns + short, block)]
    return parts[0][:, :columns] if len(parts) == 1 else torch.cat(parts, dim=1)[:, :columns]


def _block(flat_SD: Tensor, across_DS: Tensor) -> int:
    """How many columns a product may have for each to come out the same wherever it stands, tried on the very matrices.

    Kernels cut columns into pieces of what fits their registers (16 into 12 and 4 on AVX2), and sum a rest in another order.
    """
    generator = torch.Generator().manual_seed(0)
    for block in BLOCKS:
        columns = [
            torch.randn(matrix.shape[1], 1, generator=generator, dtype=matrix.dtype) for matrix in (flat_SD, across_DS)
        ]
        tried = [
            matrix @ column.expand(-1, block).contiguous()
            for matrix, column in zip((flat_SD, across_DS), columns, strict=True)
        ]
        if all(torch.equal(found, found[:, :1].expand(-1, block)) for found in tried):
            return block
    return 1
