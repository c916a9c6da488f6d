"""Tiny models: the same weights in every process, at every depth."""

from __future__ import annotations

import pytest
import torch

from cluster.errors import BadInput
from w2s.learner import ModelRef
from w2s.work.tiny import build


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("width", [8, 10, 48])
def test_every_even_width_runs(family, width):
    body, tokenizer = build(ModelRef(source=f"tiny:{family}", width=width, depth=1))
    found = body(input_ids=torch.tensor([tokenizer("hello")["input_ids"]])).last_hidden_state
    assert found.shape[-1] == width
    assert torch.isfinite(found).all()
    assert found.std() > 0.1  # signals do not die in a narrow model


def test_an_odd_width_is_bad_input():
    with pytest.raises(BadInput, match="even width"):
        build(ModelRef(source="tiny:llama", width=9))


def test_weights_do_not_depend_on_the_seed_of_the_process():
    torch.manual_seed(1)
    one, _ = build(ModelRef(source="tiny:bert"))
    torch.manual_seed(2)
    two, _ = build(ModelRef(source="tiny:bert"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_weights_stay_what_they_were():
    """Changing how they are drawn changes every result on tiny models: raise a VERSION when this fails on purpose."""
    body, _ = build(ModelRef(source="tiny:gpt2", width=8, depth=1))
    assert body.wte.weight[0, :4].tolist() == pytest.approx([-0.1573, -0.5048, 0.2914, -0.2123], abs=1e-4)


def test_layers_keep_the_first_of_a_deeper_model():
    deep, _ = build(ModelRef(source="tiny:llama", depth=4, layers=2))
    shallow, _ = build(ModelRef(source="tiny:llama", depth=2))
    assert deep.config.num_hidden_layers == 2
    assert all(torch.equal(a, b) for a, b in zip(deep.parameters(), shallow.parameters(), strict=True))
