"""Items of three patches: signals that tell the label, easy or hard, and noise that tells nothing.

    easy-only  {|mu| mu_y, xi, xi'}    hard-only  {eps |nu| nu_y, xi, xi'}    both  {|mu| mu_y, eps |nu| nu_y, xi}

y and eps are fair coins of +1 and -1; mu_+, mu_-, nu_+, nu_- are orthonormal; xi ~ N(0, sigma_p^2 I) in the d coordinates
orthogonal to them. The coin eps hides the hard signal from every linear model. Both models sum over patches, so their order does not
matter, and is not drawn.
"""

# N items, P noise patches, D coordinates of noise, V distinct signal patches (row 0: none)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from w2s.bench_theory.cnn.config import Point

EASY, HARD, BOTH = 0, 1, 2
TYPES = ("easy", "hard", "both")
SIGNALS = ("mu+", "mu-", "nu+", "nu-")
"""The coordinates of signals, in order."""


@dataclass(frozen=True)
class Items:
    """Items, those with two noise patches first.

    `signals_V4` are the distinct signal patches in the coordinates SIGNALS; `easy_N` and `hard_N` say which of them an item has.
    `noise_PD`: the first noise patch of every item, then the second of the first P - N items.
    """

    truth_N: Tensor
    type_N: Tensor
    signals_V4: Tensor
    easy_N: Tensor
    hard_N: Tensor
    noise_PD: Tensor

    def __len__(self) -> int:
        return len(self.truth_N)

    def over_patches(self, signal_V: Tensor, noise_P: Tensor) -> Tensor:
        """For each item [N] the sum of a value of each of its patches."""
        count = len(self)
        total_N = signal_V[self.easy_N] + signal_V[self.hard_N] + noise_P[:count]
        total_N[: len(noise_P) - count] += noise_P[count:]
        return total_N

    def to_patches(self, item_N: Tensor) -> tuple[Tensor, Tensor]:
        """The transpose of `over_patches`: a value of each item, given to its patches and summed over equal ones [V], [P]."""
        size = len(self.signals_V4)
        signal_V = torch.bincount(self.easy_N, item_N, size) + torch.bincount(self.hard_N, item_N, size)
        return signal_V, torch.cat([item_N, item_N[: len(self.noise_PD) - len(self)]])


def draw(point: Point, count: int, generator: np.random.Generator) -> Items:
    """So many items, each of a type by chance."""
    shares = (point.p_easy, point.p_hard, point.p_both)
    return _items(point, np.sort(generator.choice(3, size=count, p=shares)), generator)


def draw_each(point: Point, count: int, generator: np.random.Generator) -> Items:
    """So many items of every type."""
    return _items(point, np.repeat([EASY, HARD, BOTH], count), generator)


def _items(point: Point, type_N: np.ndarray, generator: np.random.Generator) -> Items:
    count = len(type_N)
    is_minus_N = generator.integers(0, 2, count)
    is_turned_N = generator.integers(0, 2, count)
    patches = count + int((type_N != BOTH).sum())
    noise_PD = generator.standard_normal((patches, point.dims), dtype=np.float32)
    noise_PD *= np.float32(point.noise)
    easy_N = np.where(type_N == HARD, 0, 1 + is_minus_N)
    hard_N = np.where(type_N == EASY, 0, 3 + 2 * is_minus_N + is_turned_N)
    return Items(
        truth_N=torch.from_numpy(1.0 - 2.0 * is_minus_N).float(),
        type_N=torch.from_numpy(type_N),
        signals_V4=_signals(point),
        easy_N=torch.from_numpy(easy_N),
        hard_N=torch.from_numpy(hard_N),
        noise_PD=torch.from_numpy(noise_PD),
    )


def _signals(point: Point) -> Tensor:
    """None; mu+, mu-; nu+ and its negative, nu- and its negative."""
    found_V4 = torch.zeros(7, 4)
    for place in (0, 1):
        found_V4[1 + place, place] = point.easy_norm
        found_V4[3 + 2 * place, 2 + place] = point.hard_norm
        found_V4[4 + 2 * place, 2 + place] = -point.hard_norm
    return found_V4
