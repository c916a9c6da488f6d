"""Bounds over a box: the closed form for one layer, and sound for several."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from w2s.loss import one_hot, soft_cross_entropy
from w2s.work.interval import Box, linear, through, worst_cross_entropy, worst_logits


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_worst_logits_of_a_linear_model_are_the_closed_form() -> None:
    """z_y - eps sum m |W_y| for the class meant, z_c + eps sum m |W_c| for the others (Heo et al. 2023)."""
    x_BD, weight_CD, eps, y = numbers(5, 7), numbers(3, 7, seed=1), 0.3, 2
    mask_D = torch.tensor([1.0, 0, 0, 1, 1, 0, 1], dtype=torch.float64)
    found_BC = worst_logits(linear(Box(x_BD, (eps * mask_D).expand_as(x_BD)), weight_CD))[:, y]
    z_BC, reach_C = x_BD @ weight_CD.T, eps * (mask_D * weight_CD.abs()).sum(dim=1)
    sign_C = torch.tensor([1.0, 1, -1], dtype=torch.float64)
    torch.testing.assert_close(found_BC, z_BC + sign_C * reach_C)


def test_each_bound_of_a_linear_layer_is_reached() -> None:
    x_BD, weight_CD, bias_C = numbers(4, 6), numbers(3, 6, seed=1), numbers(3, seed=2)
    box = linear(Box(x_BD, torch.full_like(x_BD, 0.2)), weight_CD, bias_C)
    for c in range(3):
        corner_BD = x_BD + 0.2 * weight_CD[c].sign()
        torch.testing.assert_close(box.upper[:, c], (corner_BD @ weight_CD.T + bias_C)[:, c])


def test_no_input_of_the_box_leaves_the_bounds_of_an_mlp() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    x_BD = numbers(6, 4).float()
    mask_D = torch.tensor([1.0, 1, 0, 1])
    box = through(Box(x_BD, 0.4 * mask_D.expand_as(x_BD)), layers)
    target_BC = torch.softmax(numbers(6, 3, seed=3).float(), dim=1)
    worst_B = worst_cross_entropy(box, target_BC)
    for seed in range(50):
        move_BD = 0.4 * mask_D * (2 * torch.rand(6, 4, generator=torch.Generator().manual_seed(seed)) - 1)
        logits_BC = layers(x_BD + move_BD)
        assert bool((logits_BC <= box.upper + 1e-5).all())
        assert bool((logits_BC >= box.lower - 1e-5).all())
        assert bool((soft_cross_entropy(logits_BC, target_BC) <= worst_B + 1e-5).all())


def test_a_certain_label_gives_the_released_loss_and_a_point_the_plain_one() -> None:
    box, target_BC = Box(numbers(4, 3), numbers(4, 3, seed=1).abs()), one_hot(numbers(4, 3, seed=2))
    chosen_BC = worst_logits(box)[torch.arange(4), target_BC.argmax(dim=1)]
    torch.testing.assert_close(worst_cross_entropy(box, target_BC), soft_cross_entropy(chosen_BC, target_BC))
    soft_BC = torch.softmax(numbers(4, 3, seed=5), dim=1)
    point = Box(box.centre, torch.zeros_like(box.radius))
    torch.testing.assert_close(worst_cross_entropy(point, soft_BC), soft_cross_entropy(box.centre, soft_BC))


def test_attention_is_refused() -> None:
    with pytest.raises(TypeError, match="no bounds through Softmax"):
        through(Box(numbers(1, 2), numbers(1, 2).abs()), nn.Sequential(nn.Softmax(dim=-1)))
