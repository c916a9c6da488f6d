"""Guesses matched to a prior: where to part rows so that each class's share among them comes nearest to a wanted share.

`cut` parts two classes by one threshold, exactly. `offsets` serves any number of classes: a guess is argmax(z + b), and the
b is sought for which the shares are right. That is a transport problem (rows to classes, by highest sum of z), b its prices:

1. Sinkhorn's steps on the smoothed problem while its temperature falls: near the answer for well-spread predictions;
2. the exact cut, class by class, the others' prices held: right to a row or two, whatever the predictions' scale;
3. single rows along cheapest chains of classes, from the fullest class to the emptiest, while that helps: right to a row;
4. the prices in the middle of those that give this assignment, so that rounding flips no guess.

How near, for batches of up to 512 rows and 10 classes: with rows of equal weight and no ties, every share within one row
(the best rounding to whole rows: no class has a row more than another has too few). Rows with equal differences between two
classes can only be parted where the prices of others do it: logits rounded to bfloat16 were within two rows, a coarse grid
is off by as many rows as are tied. Where weights differ, within the heaviest row's. The steps are a fixed number, so in
batches of thousands that lie along one direction (20,000 rows, 10 classes) a share may be off by some tenths of a percent.

All in float64, with a number of steps that depends on shapes alone; rows of share 0 are never looked at.
"""

# N rows, C classes

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FAR = 1e30  # stands for infinity where infinities would be subtracted
SMOOTH_STEPS = 40
COLDEST = 1e-2  # last temperature of the smoothed problem, as a share of the first
SWEEPS = 3
CHAINS = 3  # moves along chains, for each class


def cut(margin_N: Tensor, share_N: Tensor, prior: Tensor) -> Tensor:
    """The margin above which the rows' shares add up as near to `prior` as any cut between unequal rows allows.

    It lies halfway between its neighbours, so that a micro-batch whose sums round otherwise falls on the same side; it is
    infinite where all rows, or none, lie above it. Rows of share 0 change nothing.
    """
    import torch

    # sorted behind all others, and equal: no cut lies between them
    margin_N, order_N = torch.where(share_N > 0, margin_N, -torch.inf).sort(descending=True)
    # cut k has the first k rows above it: k = 0 .. N
    above = torch.cat([share_N.new_zeros(1), share_N.gather(0, order_N).cumsum(0)])
    end = margin_N.new_full((1,), torch.inf)
    upper, lower = torch.cat([end, margin_N]), torch.cat([margin_N, -end])
    distance = torch.where(upper > lower, (above - prior).abs(), torch.inf)
    nearest_1 = distance.argmin(dim=0, keepdim=True)
    return (upper.gather(0, nearest_1) + lower.gather(0, nearest_1)).squeeze(0) / 2


def offsets(logits_NC: Tensor, share_N: Tensor, prior_C: Tensor) -> Tensor:
    """The offsets b [C], float64, for which argmax(logits + b) gives each class as near to its prior share as it can.

    `share_N` says what part of the whole each row is; `prior_C` adds up to 1.
    """
    import torch

    logits_NC, share_N, prior_C = logits_NC.double(), share_N.double(), prior_C.double()
    logits_NC = torch.where(share_N[:, None] > 0, logits_NC - logits_NC.amax(dim=-1, keepdim=True), 0.0)
    b_C = _smooth(logits_NC, share_N, prior_C)
    b_C = _sweeps(logits_NC, share_N, prior_C, b_C)
    assigned_NC = _chains(logits_NC, share_N, prior_C, _assigned(logits_NC, b_C))
    middle_C = _middle(_costs(logits_NC, share_N, assigned_NC), assigned_NC, share_N)
    b_C = _better(logits_NC, share_N, prior_C, b_C, middle_C)
    return _sweeps(logits_NC, share_N, prior_C, b_C)


def _smooth(logits_NC: Tensor, share_N: Tensor, prior_C: Tensor) -> Tensor:
    """Offsets for which softmax((z + b) / T) has nearly the prior's shares, at a low temperature T."""
    import torch

    tiny = torch.finfo(torch.float64).tiny
    spread = (share_N * (logits_NC.amax(dim=-1) - logits_NC.amin(dim=-1))).sum().clamp(min=1e-9)
    log_prior_C = prior_C.clamp(min=1e-12).log()
    b_C = torch.zeros_like(prior_C)
    for step in range(SMOOTH_STEPS):
        temperature = spread * COLDEST ** (step / (SMOOTH_STEPS - 1))
        soft_C = (share_N[:, None] * ((logits_NC + b_C) / temperature).softmax(dim=-1)).sum(dim=0)
        b_C = b_C + temperature * (log_prior_C - soft_C.clamp(min=tiny).log())
    return b_C


def _sweeps(logits_NC: Tensor, share_N: Tensor, prior_C: Tensor, b_C: Tensor) -> Tensor:
    """The best offsets met while each class in turn is cut exactly against the others as they then stand."""
    import torch

    eye_CC = torch.eye(len(prior_C), dtype=b_C.dtype, device=b_C.device)
    best_C = b_C
    for _ in range(SWEEPS):
        for itself_C, prior in zip(eye_CC, prior_C, strict=True):
            others_N = (logits_NC + b_C - FAR * itself_C).amax(dim=-1)
            lead_N = (logits_NC * itself_C).sum(dim=-1) - others_N
            # an infinite cut becomes one that lies just outside all rows
            lowest = torch.where(share_N > 0, lead_N, FAR).amin() - 1
            highest = torch.where(share_N > 0, lead_N, -FAR).amax() + 1
            threshold = torch.minimum(torch.maximum(cut(lead_N, share_N, prior), lowest), highest)
            b_C = torch.where(itself_C > 0, -threshold, b_C)
        best_C = _better(logits_NC, share_N, prior_C, best_C, b_C)
    return best_C


def _chains(logits_NC: Tensor, share_N: Tensor, prior_C: Tensor, assigned_NC: Tensor) -> Tensor:
    """The assignment [N, C] after rows have moved, each to the next class of the cheapest chain from fullest to emptiest.

    An assignment that is the best for its own shares stays so: along a cheapest chain no cheaper exchange appears.
    """
    import torch

    classes = len(prior_C)
    eye_CC = torch.eye(classes, dtype=logits_NC.dtype, device=logits_NC.device)
    slack = 1e-12 * (logits_NC.amax() - logits_NC.amin())  # rows this near to each other are tied, and move together
    for _ in range(CHAINS * classes):
        excess_C = _shares(assigned_NC, share_N) - prior_C
        cost_CC = _costs(logits_NC, share_N, assigned_NC)
        away_CC = _cheapest(cost_CC)
        # the row of the fullest class, the column of the emptiest: distances from the one and to the other
        start_C, goal_C = _one_hot(excess_C), _one_hot(-excess_C)
        from_start_C, to_goal_C = start_C @ away_CC, away_CC @ goal_C
        through_CC = from_start_C[:, None] + cost_CC + to_goal_C[None]
        link_CC = (through_CC <= from_start_C @ goal_C + slack) * (1 - eye_CC)
        loss_NC = _own(logits_NC, assigned_NC)[:, None] - logits_NC
        goes_NC = (assigned_NC @ link_CC) * (loss_NC <= assigned_NC @ cost_CC + slack)
        # several cheapest chains at once are a tie: a row takes the first
        moved_NC = torch.where(goes_NC.amax(dim=-1, keepdim=True) > 0, _one_hot(goes_NC), assigned_NC)
        helps = (_shares(moved_NC, share_N) - prior_C).square().sum() < excess_C.square().sum()
        assigned_NC = torch.where(helps, moved_NC, assigned_NC)
    return assigned_NC


def _middle(cost_CC: Tensor, assigned_NC: Tensor, share_N: Tensor) -> Tensor:
    """Offsets in the interior of all those that give this assignment.

    They must satisfy b_c <= b_a + cost(a, c). Distances from any one class do; the mean over classes does with room to
    spare wherever there is room.
    """
    full_C = (_shares(assigned_NC, share_N) > 0).to(cost_CC.dtype)
    mean_C = full_C @ _cheapest(cost_CC) / full_C.sum().clamp(min=1)
    return mean_C - (1 - full_C)  # a class without rows has no distances of its own: a step down keeps it empty


def _costs(logits_NC: Tensor, share_N: Tensor, assigned_NC: Tensor) -> Tensor:
    """The least that moving one row from a class to another takes off the sum of z [from, to]; 0 on the diagonal."""
    import torch

    loss_NC = _own(logits_NC, assigned_NC)[:, None] - logits_NC
    member_NC = (assigned_NC * share_N[:, None]) > 0
    # class by class: N * C * C numbers at once are too many where many heads are trained on many rows
    rows_CC = [torch.where(member_N[:, None], loss_NC, FAR).amin(dim=0) for member_N in member_NC.unbind(dim=-1)]
    cost_CC = torch.stack(rows_CC)
    return cost_CC * (1 - torch.eye(cost_CC.shape[-1], dtype=cost_CC.dtype, device=cost_CC.device))


def _cheapest(cost_CC: Tensor) -> Tensor:
    """The cost of the cheapest chain of moves between any two classes [from, to]."""
    import torch

    links = 1
    while links < cost_CC.shape[-1] - 1:  # chains of twice as many links each time
        cost_CC = torch.minimum(cost_CC, (cost_CC[:, :, None] + cost_CC[None]).amin(dim=1))
        links *= 2
    return cost_CC


def _better(logits_NC: Tensor, share_N: Tensor, prior_C: Tensor, first_C: Tensor, second_C: Tensor) -> Tensor:
    """Whichever offsets bring the shares nearer to the prior; the first, where they are equal."""
    import torch

    def off(b_C: Tensor) -> Tensor:
        return (_shares(_assigned(logits_NC, b_C), share_N) - prior_C).square().sum()

    return torch.where(off(second_C) < off(first_C), second_C, first_C)


def _assigned(logits_NC: Tensor, b_C: Tensor) -> Tensor:
    return _one_hot(logits_NC + b_C)


def _one_hot(scores: Tensor) -> Tensor:
    import torch

    return torch.zeros_like(scores).scatter(-1, scores.argmax(dim=-1, keepdim=True), 1.0)


def _own(logits_NC: Tensor, assigned_NC: Tensor) -> Tensor:
    return (logits_NC * assigned_NC).sum(dim=-1)


def _shares(assigned_NC: Tensor, share_N: Tensor) -> Tensor:
    return (assigned_NC * share_N[:, None]).sum(dim=0)
