"""AdaptConf: the published weight of the student's own answer, which is never above one half, and the flipped one."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.w2s.losses.batches import cross_entropy, gradient, rows, score, softmax
from w2s.losses.adaptive_confidence import Config, own_weight

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)
T = st.floats(0.05, 5)


def formula(z: np.ndarray, t: np.ndarray, temperature: float, flip: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses, weights, and the target they amount to."""
    eye = np.eye(z.shape[1])
    own, weak = eye[z.argmax(axis=1)], eye[t.argmax(axis=1)]
    c_s, c_w = cross_entropy(own, z), cross_entropy(weak, z)
    a = 1 / (1 + np.exp((c_w - c_s) / temperature))
    a = 1 - a if flip else a
    return (1 - a) * cross_entropy(t, z) + a * c_s, a, (1 - a)[:, None] * t + a[:, None] * own


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), temperature=T, flip=st.booleans())
def test_value_and_gradient(seed, classes, temperature, flip):
    """Gradient: prediction minus mixed target, so nothing flows through the weight or through an argmax."""
    logits, target = rows(seed, classes=classes)
    config = Config(temperature=temperature, direction="flipped" if flip else "published")
    losses, weights, mixed = formula(logits.numpy(), target.numpy(), temperature, flip)
    np.testing.assert_allclose(score(config, logits, target).numpy(), losses, rtol=1e-9)
    np.testing.assert_allclose(own_weight(config, logits, target).numpy(), weights, rtol=1e-9)
    np.testing.assert_allclose(gradient(config, logits, target).numpy(), softmax(logits.numpy()) - mixed, atol=1e-12)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), temperature=T)
def test_published_weights_are_at_most_one_half_and_flipped_ones_at_least(seed, classes, temperature):
    logits, target = rows(seed, classes=classes)
    published = own_weight(Config(temperature=temperature), logits, target)
    flipped = own_weight(Config(temperature=temperature, direction="flipped"), logits, target)
    assert (published <= 0.5).all()
    torch.testing.assert_close(published + flipped, torch.ones_like(published))
    agree = logits.argmax(-1) == target.argmax(-1)
    assert (published[agree] == 0.5).all()


def test_a_sure_student_that_disagrees_follows_its_teacher_unless_flipped():
    logits, target = torch.tensor([[20.0, 0.0]]).double(), torch.tensor([[0.1, 0.9]]).double()
    assert own_weight(Config(), logits, target) < 1e-9
    assert own_weight(Config(direction="flipped"), logits, target) > 1 - 1e-9


def test_a_high_temperature_is_an_even_mixture():
    logits, target = rows(1)
    torch.testing.assert_close(
        own_weight(Config(temperature=1e9), logits, target), torch.full((16,), 0.5, dtype=torch.float64)
    )
