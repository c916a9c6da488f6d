"""Linear heads on vectors: the objective and its gradient, scikit-learn's solution, and to the bit the same in any company."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from w2s.learner import Probe
from w2s.loss import LossConfig
from w2s.losses.confidence import Config as Confidence
from w2s.losses.xent import Config as Xent
from w2s.work.choose_l2 import FOLDS, choose_l2
from w2s.work.fit_heads import Exam, Plan, Trained, fit, plan
from w2s.work.heads import Heads, Lesson

N, D = 300, 20
NEWTON = Plan("lbfgs", 300, 0.05, None, False, True)
ADAM = Plan("adam", 60, 0.05, 20, False, True)


def vectors(candidates: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.logspace(-1, 2, D)
    return torch.randn(N, candidates, D, generator=generator) * spread + 5 * spread


def lesson(seed: int, loss: LossConfig, classes: int = 2, l2: float = 1e-3) -> Lesson:
    generator = torch.Generator().manual_seed(seed)
    target = torch.softmax(2 * torch.randn(N, classes, generator=generator, dtype=torch.float64), dim=-1)
    weight = (torch.rand(N, generator=generator) < 0.5).double()
    return Lesson(target, weight, loss, l2)


def train(x: Tensor, lessons: Sequence[Lesson], how: Plan) -> list[Trained]:
    return fit(x, lessons, [None] * len(lessons), [None] * len(lessons), how)


@pytest.mark.parametrize("candidates,classes", [(1, 2), (1, 5), (3, 3)])
@pytest.mark.parametrize("loss", [Xent(), Confidence(alpha=0.3, warmup=0)], ids=["xent", "confidence"])
def test_the_gradient_is_that_of_the_objective(candidates: int, classes: int, loss: LossConfig) -> None:
    heads = Heads(vectors(candidates), [lesson(i, loss, classes) for i in range(3)], standardise=True)
    generator = torch.Generator().manual_seed(1)
    points = 0.1 * torch.randn(3, heads.size, generator=generator, dtype=torch.float64)
    which = torch.arange(3)
    _, gradient = heads.objective(which, points, 0.5)
    for place in (0, heads.size // 2, heads.size - 1):
        nudge = torch.zeros_like(points)
        nudge[:, place] = 1e-6
        up, down = (heads.objective(which, points + side * nudge, 0.5)[0] for side in (1, -1))
        assert torch.allclose((up - down) / 2e-6, gradient[:, place], atol=1e-6, rtol=1e-5)


def test_the_objective_is_the_weighted_mean_and_the_pull() -> None:
    """Against a formula in numpy on vectors standardised by hand."""
    x, taught = vectors(), lesson(0, Xent(), l2=0.2)
    heads = Heads(x, [taught], standardise=True)
    generator = torch.Generator().manual_seed(1)
    point = 0.1 * torch.randn(1, heads.size, generator=generator, dtype=torch.float64)
    rows = taught.weight_N.numpy() > 0
    raw = x[:, 0].double().numpy()
    z = (raw - raw[rows].mean(0)) / raw[rows].std(0)
    weight_DO, bias_O = point[0, :-2].view(D, 2).numpy(), point[0, -2:].numpy()
    logits = z[rows] @ weight_DO + bias_O
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = -(taught.target_NC.numpy()[rows] * log_p).sum(-1).mean() + 0.2 * (weight_DO**2).sum()
    assert float(heads.objective(torch.tensor([0]), point, 0.0)[0]) == pytest.approx(wanted, rel=1e-12)
    weight_MOD, bias_MO = heads.plain(point)
    assert np.allclose(raw[rows] @ weight_MOD[0].T.numpy() + bias_MO[0].numpy(), logits, atol=1e-9)


def test_scikit_learn_finds_the_same_head() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x, soft = vectors(), lesson(3, Xent(), l2=0.05)
    hard = Lesson(torch.eye(2, dtype=torch.float64)[soft.target_NC.argmax(-1)], soft.weight_N, Xent(), 0.05)
    [found] = train(x, [hard], NEWTON)
    rows = soft.weight_N.numpy() > 0
    z = StandardScaler().fit(x[:, 0].double().numpy()[rows]).transform(x[:, 0].double().numpy())
    # two rows of weights that mirror one another: half the squared norm of a single row's
    c = 1 / (rows.sum() * 0.05)
    model = LogisticRegression(C=c, tol=1e-10, max_iter=5000).fit(z[rows], hard.target_NC.argmax(-1).numpy()[rows])
    ours = x[:, 0].double() @ found.weight_OD.T + found.bias_O
    assert np.allclose((ours[:, 1] - ours[:, 0]).numpy(), model.decision_function(z), atol=1e-4)
    assert found.gradient < 1e-7


LESSONS: dict[str, tuple[list[Lesson], Plan, int]] = {
    "lbfgs": ([lesson(i, Xent(), l2=10.0 ** -(1 + i % 3)) for i in range(20)], NEWTON, 1),
    "adam, alphas": ([lesson(i % 4, Confidence(alpha=0.05 * i)) for i in range(20)], ADAM, 1),
    "adam, mixed": ([lesson(i, Xent() if i % 2 else Confidence(warmup=0.1 * i)) for i in range(8)], ADAM, 1),
    "adam, schedules": (
        [lesson(i % 4, Confidence(alpha=(0.1 * (i % 5), 0.9, 0.05 * i)[: 1 + i % 3], warmup=0.2)) for i in range(20)],
        ADAM,
        1,
    ),
    "candidates": ([lesson(i, Xent(), classes=3) for i in range(18)], NEWTON, 3),
    "five classes": ([lesson(i, Confidence(alpha=0.1 * i), classes=5) for i in range(6)], ADAM, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", LESSONS)
def test_a_head_is_to_the_bit_what_it_is_alone(name: str) -> None:
    lessons, how, candidates = LESSONS[name]
    x = vectors(candidates)
    together = train(x, lessons, how)
    for i in (0, len(lessons) // 2, len(lessons) - 1):
        [alone] = train(x, [lessons[i]], how)
        assert torch.equal(alone.weight_OD, together[i].weight_OD), i
        assert torch.equal(alone.bias_O, together[i].bias_O), i
        assert (alone.steps, alone.loss) == (together[i].steps, together[i].loss)
    assert not torch.equal(together[0].weight_OD, together[1].weight_OD)


def test_a_schedule_that_does_not_change_is_its_number_and_one_that_does_is_not() -> None:
    x, alphas = vectors(), [0.3, (0.3, 0.3), (0.3, 0.9)]
    plain, level, steep = train(x, [lesson(0, Confidence(alpha=alpha)) for alpha in alphas], ADAM)
    assert torch.equal(plain.weight_OD, level.weight_OD)
    assert not torch.equal(plain.weight_OD, steep.weight_OD)


def test_rows_of_weight_zero_are_not_there() -> None:
    x, taught = vectors(), lesson(0, Xent())
    other = x.clone()
    other[taught.weight_N == 0] = 1e3
    target = taught.target_NC.clone()
    target[taught.weight_N == 0] = 0.5
    [one], [two] = train(x, [taught], NEWTON), train(other, [Lesson(target, taught.weight_N, Xent(), 1e-3)], NEWTON)
    # the centre that both subtract first is another: equal to rounding
    assert torch.allclose(one.weight_OD, two.weight_OD, atol=1e-6)


def test_a_weight_of_two_is_two_rows() -> None:
    x, taught = vectors(), lesson(0, Xent())
    doubled = taught.weight_N.clone()
    doubled[:50] *= 2
    [one] = train(x, [Lesson(taught.target_NC, doubled, Xent(), 1e-2)], NEWTON)
    again = torch.cat([x, x[:50]])
    target, weight = (
        torch.cat([taught.target_NC, taught.target_NC[:50]]),
        torch.cat([taught.weight_N, taught.weight_N[:50]]),
    )
    [two] = train(again, [Lesson(target, weight, Xent(), 1e-2)], NEWTON)
    assert torch.allclose(one.weight_OD, two.weight_OD, atol=1e-6)


def test_the_best_is_the_one_that_agrees_most_with_held_out_labels() -> None:
    x, taught = vectors(), lesson(0, Confidence())
    held = (taught.weight_N == 0).double()
    exam = Exam(held, taught.target_NC, taught.target_NC.argmax(-1))
    how = Plan("adam", 60, 0.5, 5, True, True)
    [found] = fit(x, [taught], [exam], [None], how)
    assert [point["step"] for point in found.curve] == list(range(5, 61, 5))
    best = max(found.curve, key=lambda point: (point["agreement"], -point["step"]))
    assert found.selected_step == best["step"]
    logits = x[:, 0].double() @ found.weight_OD.T + found.bias_O
    agreement = (logits.argmax(-1) == taught.target_NC.argmax(-1))[held > 0].double().mean()
    assert float(agreement) == pytest.approx(best["agreement"])


def test_what_is_fixed_goes_by_lbfgs_and_what_changes_by_adam() -> None:
    assert plan(Probe(), Xent(), "epoch", "last").optimizer == "lbfgs"
    assert plan(Probe(), Xent(), "epoch", "best").optimizer == "adam"
    assert plan(Probe(), Confidence(), "epoch", "last").optimizer == "adam"


def test_l2_is_chosen_on_left_out_folds() -> None:
    """Labels without rhyme or reason call for the strongest pull; labels that are a clear function of the vectors for a weak one."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, 1, D, generator=generator)
    noise = (torch.rand(N, generator=generator) < 0.5).long()
    clear = (x[:, 0] @ torch.randn(D, generator=generator) > 0).long()
    ones, folds = torch.ones(N, dtype=torch.float64), torch.arange(N) % FOLDS

    def taught(labels: Tensor) -> Lesson:
        return Lesson(torch.eye(2, dtype=torch.float64)[labels], ones, Confidence(), 0.0)

    both = choose_l2(x, [taught(noise), taught(clear)], folds, standardise=True)
    assert both[0] >= 1.0
    assert both[1] < 0.03
    assert choose_l2(x, [taught(clear)], folds, standardise=True) == both[1:]
