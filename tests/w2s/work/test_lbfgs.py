"""L-BFGS for many problems: the minimum where it is known, and no problem knows of another."""

from __future__ import annotations

import torch
from torch import Tensor

from w2s.work.lbfgs import minimise

M, P = 7, 12


def bowls(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Quadratics 1/2 x'Ax - b'x [M] with condition numbers up to 1e4, and their minima."""
    generator = torch.Generator().manual_seed(seed)
    turned = torch.linalg.qr(torch.randn(M, P, P, generator=generator, dtype=torch.float64)).Q
    sizes = torch.logspace(0, 4, P, dtype=torch.float64)
    matrix = turned @ torch.diag_embed(sizes.expand(M, P)) @ turned.transpose(1, 2)
    right = torch.randn(M, P, generator=generator, dtype=torch.float64)
    return matrix, right, torch.linalg.solve(matrix, right)


def test_the_lowest_point_of_each_is_found() -> None:
    matrix, right, lowest = bowls(0)

    def evaluate(which: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        pulled = (matrix[which] @ points[..., None]).squeeze(-1)
        values = (0.5 * points * pulled - right[which] * points).sum(-1)
        return values, pulled - right[which]

    found = minimise(evaluate, torch.zeros(M, P, dtype=torch.float64), 500)
    assert (found.points_MP - lowest).abs().max() < 2e-6, (
        "values tell no finer: their rounding over the least curvature"
    )
    assert found.gradient_M.max() < 1e-4
    assert found.steps_M.max() < 400, "the steepest way down takes tens of thousands"


def test_a_valley_that_bends() -> None:
    """Rosenbrock's, from several starts: not convex, and no line search of one problem decides another's."""

    def evaluate(which: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        x, y = points[:, 0], points[:, 1]
        bend = y - x**2
        values = (1 - x) ** 2 + 100 * bend**2
        return values, torch.stack([-2 * (1 - x) - 400 * x * bend, 200 * bend], dim=-1)

    starts = torch.tensor([[-1.2, 1.0], [0.0, 0.0], [3.0, -2.0], [1.0, 1.0]], dtype=torch.float64)
    together = minimise(evaluate, starts, 300)
    assert (together.points_MP - 1).abs().max() < 1e-6
    for i in range(len(starts)):
        alone = minimise(lambda which, points: evaluate(which, points), starts[i : i + 1], 300)
        assert torch.equal(alone.points_MP[0], together.points_MP[i])
        assert alone.steps_M[0] == together.steps_M[i]


def test_steps_are_counted_and_kept_to() -> None:
    matrix, right, _ = bowls(1)

    def evaluate(which: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        pulled = (matrix[which] @ points[..., None]).squeeze(-1)
        return (0.5 * points * pulled - right[which] * points).sum(-1), pulled - right[which]

    assert (minimise(evaluate, torch.zeros(M, P, dtype=torch.float64), 3).steps_M == 3).all()
    at_rest = minimise(evaluate, torch.linalg.solve(matrix, right), 10)
    assert (at_rest.steps_M <= 1).all()
