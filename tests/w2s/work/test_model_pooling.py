"""Pooling reads the mask and nothing else."""

from __future__ import annotations

import pytest
import torch

from w2s.work.pooling import pool

HIDDEN = torch.arange(2 * 4 * 3, dtype=torch.float32).reshape(2, 4, 3)
MASK = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])


def test_last_is_the_last_real_token():
    assert torch.equal(pool("last", HIDDEN, MASK), torch.stack([HIDDEN[0, 1], HIDDEN[1, 3]]))


def test_last_holds_for_padding_on_the_left_too():
    assert torch.equal(pool("last", HIDDEN, MASK.flip(1)), HIDDEN[:, 3])


def test_mean_is_over_real_tokens():
    torch.testing.assert_close(pool("mean", HIDDEN, MASK), torch.stack([HIDDEN[0, :2].mean(0), HIDDEN[1].mean(0)]))


def test_cls_is_the_first_token():
    assert torch.equal(pool("cls", HIDDEN, MASK), HIDDEN[:, 0])


@pytest.mark.parametrize("how", ["last", "mean", "cls"])
def test_what_stands_in_the_padding_does_not_matter(how):
    other = torch.where(MASK.unsqueeze(-1) == 1, HIDDEN, torch.tensor(1e6))
    assert torch.equal(pool(how, HIDDEN, MASK), pool(how, other, MASK))


def test_a_mean_of_half_precision_is_summed_in_float32():
    hidden = torch.ones(1, 4096, 1, dtype=torch.bfloat16) * 1.0078125
    assert pool("mean", hidden, torch.ones(1, 4096)).item() == 1.0078125
