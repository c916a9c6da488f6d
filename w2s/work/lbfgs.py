"""L-BFGS for many small problems at once (Liu & Nocedal 1989): each goes its own way, as if it were alone.

Nothing of one problem enters another's numbers: steps, line searches and ends are told apart by problem.
"""

# M problems, A of them still moving, P numbers of a point, H pairs of history

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

HISTORY = 10
ENOUGH = 1e-4  # of the decrease that the slope promises (Armijo)
HALF = 0.5
LEAST_STEP = 1e-10
LEVEL = 1e-14  # of a value: what rounding may make of it
CURVED = 1e-12  # a pair of less curvature than that says nothing

Evaluate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(which problems [A], points [A, P]) -> values [A], gradients [A, P]."""


@dataclass(frozen=True)
class Minimum:
    """Where each problem ended: points [M, P], values [M], steps taken [M], largest element of the gradient [M]."""

    points_MP: Tensor
    values_M: Tensor
    steps_M: Tensor
    gradient_M: Tensor


def minimise(evaluate: Evaluate, start_MP: Tensor, steps: int, tolerance: float = 1e-8) -> Minimum:
    """Go downhill until no gradient has an element above `tolerance`, nothing is gained any more, or `steps` are done.

    Any smooth objective; the lowest point is found where it is convex.
    """
    state = _State(start_MP, *evaluate(torch.arange(len(start_MP)), start_MP))
    state.finish(tolerance, steps)
    while len(state.moving):
        which = state.moving
        trial_AP = state.points[which] + state.lengths[which, None] * state.directions[which]
        state.judge(which, trial_AP, *evaluate(which, trial_AP))
        state.finish(tolerance, steps)
    return Minimum(state.points, state.values, state.taken, _largest(state.gradients))


class _State:
    """Where every problem stands."""

    def __init__(self, points_MP: Tensor, values_M: Tensor, gradients_MP: Tensor) -> None:
        count, size = points_MP.shape
        self.points, self.values, self.gradients = points_MP.clone(), values_M.clone(), gradients_MP.clone()
        self.taken = torch.zeros(count, dtype=torch.long)
        self.directions = -gradients_MP
        self.lengths = 1.0 / gradients_MP.abs().sum(dim=-1).clamp(min=1.0)
        self._moves = points_MP.new_zeros(HISTORY, count, size)
        self._bends = points_MP.new_zeros(HISTORY, count, size)
        self._pairs = torch.zeros(count, dtype=torch.long)  # pairs remembered so far; the last HISTORY are kept
        self._stuck = torch.zeros(count, dtype=torch.bool)
        self.moving = torch.arange(count)

    def finish(self, tolerance: float, steps: int) -> None:
        """Leave alone those that have arrived, cannot move, or have had their steps."""
        steep = _largest(self.gradients) > tolerance
        self.moving = torch.nonzero(steep & ~self._stuck & (self.taken < steps)).flatten()

    def judge(self, which: Tensor, trial_AP: Tensor, values_A: Tensor, gradients_AP: Tensor) -> None:
        """Take the trial points that go down far enough; try half the length for the others."""
        slope_A = _dot(self.gradients[which], self.directions[which])
        good_A = values_A <= self.values[which] + ENOUGH * self.lengths[which] * slope_A
        # near the bottom values differ by rounding alone: there a smaller gradient is what counts
        level_A = (values_A - self.values[which]).abs() <= LEVEL * self.values[which].abs()
        good_A |= level_A & (_largest(gradients_AP) < _largest(self.gradients[which]))
        self.lengths[which[~good_A]] *= HALF
        self._stuck[which] = (~good_A) & (self.lengths[which] < LEAST_STEP)
        taken = which[good_A]
        if len(taken):
            self._take(taken, trial_AP[good_A], values_A[good_A], gradients_AP[good_A])

    def _take(self, which: Tensor, points_AP: Tensor, values_A: Tensor, gradients_AP: Tensor) -> None:
        move_AP, bend_AP = points_AP - self.points[which], gradients_AP - self.gradients[which]
        level_A = self.values[which] - values_A <= LEVEL * self.values[which].abs()
        self._stuck[which] = level_A & (_largest(gradients_AP) >= _largest(self.gradients[which]))
        self.points[which], self.values[which], self.gradients[which] = points_AP, values_A, gradients_AP
        self.taken[which] += 1
        telling_A = _dot(move_AP, bend_AP) > CURVED * _dot(bend_AP, bend_AP)
        told = which[telling_A]
        slot = self._pairs[told] % HISTORY
        self._moves[slot, told], self._bends[slot, told] = move_AP[telling_A], bend_AP[telling_A]
        self._pairs[told] += 1
        self._aim(which)

    def _aim(self, which: Tensor) -> None:
        """The two-loop recursion, for each problem over its own pairs, newest first and then oldest first."""
        gradient_AP = self.gradients[which]
        towards_AP, pairs_A = gradient_AP.clone(), self._pairs[which]
        seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for age in range(HISTORY):
            there_A = (pairs_A > age).to(towards_AP.dtype)
            slot = (pairs_A - 1 - age).clamp(min=0) % HISTORY
            move_AP, bend_AP = self._moves[slot, which], self._bends[slot, which]
            inverse_A = there_A / _dot(move_AP, bend_AP).clamp(min=torch.finfo(bend_AP.dtype).tiny)
            share_A = inverse_A * _dot(move_AP, towards_AP)
            towards_AP = towards_AP - share_A[:, None] * bend_AP
            seen.append((move_AP, bend_AP, inverse_A, share_A))
        move_AP, bend_AP, _, _ = seen[0]
        bent_A = _dot(bend_AP, bend_AP)
        scale_A = torch.where(
            bent_A > 0, _dot(move_AP, bend_AP) / bent_A.clamp(min=torch.finfo(bent_A.dtype).tiny), 1.0
        )
        towards_AP = scale_A[:, None] * towards_AP
        for move_AP, bend_AP, inverse_A, share_A in reversed(seen):
            towards_AP = towards_AP + (share_A - inverse_A * _dot(bend_AP, towards_AP))[:, None] * move_AP
        down_A = _dot(towards_AP, gradient_AP) > 0
        self._pairs[which[~down_A]] = 0  # a direction that does not go down: begin anew from the gradient
        self.directions[which] = torch.where(down_A[:, None], -towards_AP, -gradient_AP)
        first = 1.0 / gradient_AP.abs().sum(dim=-1).clamp(min=1.0)
        self.lengths[which] = torch.where(down_A & (pairs_A > 0), 1.0, first)


def _largest(points_AP: Tensor) -> Tensor:
    return points_AP.abs().amax(dim=-1)


def _dot(left_AP: Tensor, right_AP: Tensor) -> Tensor:
    return (left_AP * right_AP).sum(dim=-1)
