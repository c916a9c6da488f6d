"""What rationales add to a loss: against closed forms, finite differences and each other; and alike however a batch is cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.w2s.work import words
from w2s.explain import Explain
from w2s.learner import Learner
from w2s.loss import soft_cross_entropy
from w2s.losses.xent import Config as Xent
from w2s.work.dataset import Batch, Dataset, encode
from w2s.work.explained import Explained, slope, typical_length
from w2s.work.interval import Box, linear, worst_cross_entropy
from w2s.work.model import load
from w2s.work.ranks import Ranks
from w2s.work.replace import Replacer
from w2s.work.stepper import Plain
from w2s.work.table import RowTable

TEXTS = (
    "the old clock was lovely today north", "the red dog was ugly south", "the river was sad again here",
    "was not good north", "the local song was kind now south",
)  # fmt: skip
REASONS = (((18, 24),), ((16, 20),), (), ((0, 12),), ((0, 23),))
SURE = torch.tensor([0.9, 0.2, 0.6, 0.5, 1.0])


class Here:
    """A model with its data: everything a step needs."""

    def __init__(self, model: Any, explain: Explain, weight: list[float] | None = None) -> None:
        self.learner = Learner.model_validate(
            {"model": model, "head": "normal", "optim": {"lr": 1e-3, "clip": None}, "max_tokens": 32}
        )
        self.explain = explain
        self.model, self.tokenizer = load(self.learner, 2, 0)
        with torch.no_grad():
            self.model.head.weight.mul_(30)
        n = len(TEXTS)
        table = RowTable(tuple(f"id {i}" for i in range(n)), tuple((t,) for t in TEXTS), (1, 0, 1, 0, 1), 2, REASONS)
        target = torch.stack([1 - SURE, SURE], dim=1)
        weight_N = None if weight is None else torch.tensor(weight)
        self.data: Dataset = encode(self.tokenizer, table, target, 32, "truncate", weight_N, explain)
        self.stepper = Plain(self.model, self.learner, Xent(), Ranks())
        table_VD: Any = self.model.embedding.weight
        self.typical = typical_length(table_VD)
        self.explained = Explained(
            explain, self.stepper.forward, self.stepper.aside, self.typical, table_VD.shape[-1], self.model
        )
        self.stepper.explained = self.explained

    def batch(self, rows: list[int], step: int = 3) -> Batch:
        found = self.data.batch(rows, self.tokenizer)
        if self.explain.by != "corm":
            return found
        return Replacer(self.explain, self.data, self.tokenizer, seed=0)(found, rows, step)

    def all(self) -> Batch:
        return self.batch(list(range(len(self.data))))


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return words.static(tmp_path_factory.mktemp("static") / "vectors", 12)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return words.bert(tmp_path_factory.mktemp("bert"), 16, 2)


def mask(batch: Batch) -> Tensor:
    assert batch.irrelevant_BT is not None
    return batch.irrelevant_BT


# ---- moves of token vectors


@pytest.mark.parametrize("model", ["static", "bert", "tiny:gpt2", "tiny:llama", "frozen"])
def test_moving_a_vector_onto_another_is_replacing_the_token(model: str, static: Any, bert: str) -> None:
    here = Here(
        {"static": static, "bert": bert, "frozen": bert}.get(model, {"source": model, "width": 16}), Explain(by="pgd")
    )
    batch = here.batch([0, 1])
    other = batch.input_ids.clone()
    other[0, 2], other[1, 3] = batch.input_ids[0, 3], batch.input_ids[1, 1]
    table: Any = here.model.embedding.weight
    table_VD = table.detach()
    shift_BTD = table_VD[other] - table_VD[batch.input_ids]
    moved = here.model(batch.input_ids, batch.attention_mask, shift_BTD)
    torch.testing.assert_close(moved, here.model(other, batch.attention_mask), rtol=1e-4, atol=1e-5)
    still = here.model(batch.input_ids, batch.attention_mask, torch.zeros_like(shift_BTD))
    torch.testing.assert_close(still, here.model(batch.input_ids, batch.attention_mask), rtol=0, atol=0)


def test_a_frozen_body_lets_the_gradient_through_to_the_vectors_alone(bert: str) -> None:
    learner = Learner.model_validate({"model": bert, "head": "normal", "trainable_layers": 0, "max_tokens": 32})
    model, tokenizer = load(learner, 2, 0)
    ids, attention = tokenizer.pad(tokenizer.encode(TEXTS, 32)[0])
    shift = torch.zeros(*ids.shape, 16, requires_grad=True)
    model(ids, attention, shift)[:, 0].sum().backward()
    assert shift.grad is not None
    assert bool(shift.grad.abs().sum() > 0)
    assert all(weight.grad is None for name, weight in model.named_parameters() if name != "head.weight")


# ---- PGD


def ascended(here: Here, batch: Batch, progress: float = 0.9) -> Tensor:
    shift = here.explained._ascended(batch, progress).shift_BTD
    assert shift is not None
    return shift


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_no_token_moves_further_than_it_may_and_relevant_ones_stay(bert: str, steps: int) -> None:
    here = Here(bert, Explain(by="pgd", eps=0.7, steps=steps))
    batch = here.all()
    far_BT = ascended(here, batch).norm(dim=-1)
    assert bool((far_BT <= 0.7 * here.typical * mask(batch) * (1 + 1e-5)).all())
    assert bool((far_BT[mask(batch) > 0] > 0).all())
    half_BT = ascended(here, batch, 0.1).norm(dim=-1)
    assert bool((half_BT <= 0.35 * here.typical * mask(batch) * (1 + 1e-5)).all()), "half of the warm-up is half of eps"


@pytest.mark.parametrize("ball", ["l2", "box"])
def test_ascent_lowers_the_label_and_leaves_every_parameters_gradient_alone(bert: str, ball: Any) -> None:
    here = Here(bert, Explain(by="pgd", eps=0.5, ball=ball))
    batch = here.all()
    moved = replace(batch, shift_BTD=ascended(here, batch))
    assert all(weight.grad is None for weight in here.model.parameters())
    sure = batch.target_BC.argmax(dim=1)
    before, after = (here.stepper.forward(b).log_softmax(dim=1)[torch.arange(5), sure] for b in (batch, moved))
    touched = mask(batch).any(dim=1)
    assert bool((after[touched] < before[touched]).all())
    assert torch.equal(after[~touched], before[~touched]), "the row without a reason is as it was"


@pytest.mark.parametrize("steps", [1, 5])
def test_on_a_linear_model_ascent_in_a_ball_ends_at_its_edge(static: Any, steps: int) -> None:
    """The gradient has one direction throughout: each irrelevant vector ends eps * median against the label's row."""
    here = Here(static, Explain(by="pgd", eps=0.4, steps=steps, warmup=0))
    batch = here.all()
    weight_CD, sure = here.model.head.weight.detach(), batch.target_BC.argmax(dim=1)
    away_BD = weight_CD[1 - sure] - weight_CD[sure]
    expected = 0.4 * here.typical * mask(batch)[..., None] * (away_BD / away_BD.norm(dim=1, keepdim=True))[:, None]
    torch.testing.assert_close(ascended(here, batch), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("opposite", [True, False])
def test_pgd_never_exceeds_ibps_bound_and_meets_it_where_logits_are_opposite(static: Any, opposite: bool) -> None:
    """In the same box, for certain labels; enough steps are two, for the gradient's signs never change."""
    here = Here(static, Explain(by="pgd", ball="box", eps=0.5, steps=2, warmup=0))
    if opposite:
        with torch.no_grad():
            here.model.head.weight[1] = -here.model.head.weight[0]
    batch = here.all()
    batch = replace(batch, target_BC=(batch.target_BC > 0.5).float())
    batch.target_BC[3] = torch.tensor([1.0, 0.0])
    found_B = here.explained.losses(batch, 0.9).parts["perturbed_loss"]
    ibp = Explained(
        Explain(by="ibp", eps=0.5 / 0.9), here.stepper.forward, here.stepper.aside, here.typical, 12, here.model
    )
    bound_B = ibp.losses(batch, 0.9).parts["perturbed_loss"]
    if opposite:
        torch.testing.assert_close(found_B, bound_B, rtol=1e-4, atol=1e-5)
    else:
        touched = mask(batch).any(dim=1)
        assert bool((found_B[touched] < bound_B[touched]).all())


# ---- IBP


def test_ibp_is_the_box_of_the_pooled_vector_and_weighs_as_released(static: Any) -> None:
    here = Here(static, Explain(by="ibp", eps=0.8, alpha=0.9))
    batch, progress = here.all(), 0.25
    found = here.explained.losses(batch, progress)
    radius = 0.8 * progress * here.typical / 12**0.5  # a coordinate of each irrelevant vector
    share_B1 = mask(batch).sum(dim=1, keepdim=True) / batch.attention_mask.sum(dim=1, keepdim=True)
    pooled_BD = here.model.pooled(batch.input_ids, batch.attention_mask)
    box = linear(Box(pooled_BD, (radius * share_B1).expand_as(pooled_BD)), here.model.head.weight)
    worst_B = worst_cross_entropy(box, batch.target_BC)
    torch.testing.assert_close(found.parts["perturbed_loss"], worst_B)
    alpha = 0.9 * (1 - progress / 2)
    clean_B = soft_cross_entropy(here.stepper.forward(batch), batch.target_BC)
    expected_B = alpha * clean_B + (1 - alpha) * worst_B
    expected_B[2] = clean_B[2]  # no reason: its box is a point, and its loss counts whole
    torch.testing.assert_close(found.rows_B, expected_B)


def test_in_a_mean_of_vectors_it_matters_how_many_tokens_are_irrelevant_not_which(static: Any) -> None:
    """So there the negative control is the same student, and is refused (`w2s.explains`)."""
    for explain in (Explain(by="ibp"), Explain(by="gradreg"), Explain(by="pgd")):
        marked, anywhere = (Here(static, explain.model_copy(update={"rationale": r})) for r in ("task", "random"))
        one, other = (here.explained.losses(here.all(), 0.9).rows_B for here in (marked, anywhere))
        assert not torch.equal(mask(marked.all()), mask(anywhere.all()))
        torch.testing.assert_close(one, other)


# ---- Grad-Reg


def test_grad_reg_of_a_linear_model_is_the_closed_form(static: Any) -> None:
    """Each token's gradient of log f_y is (W_y - sum p W) / T."""
    here = Here(static, Explain(by="gradreg", gradient=2.0))
    batch = here.all()
    found = here.explained.losses(batch, 0.0)
    logits_BC = here.stepper.forward(batch)
    weight_CD, sure = here.model.head.weight, batch.target_BC.argmax(dim=1)
    length_B = (weight_CD[sure] - logits_BC.softmax(dim=1) @ weight_CD).norm(dim=1) / batch.attention_mask.sum(dim=1)
    expected_B = mask(batch).sum(dim=1) * length_B
    torch.testing.assert_close(found.parts["slope"], expected_B.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.rows_B, found.parts["clean_loss"] + 2 * expected_B, rtol=1e-4, atol=1e-6)


def test_the_sum_of_logits_would_hold_nothing_back_where_they_are_opposite(static: Any) -> None:
    here = Here(static, Explain(by="gradreg"))
    with torch.no_grad():
        here.model.head.weight[1] = -here.model.head.weight[0]
    batch = here.all()
    shift = here.explained._still(batch)
    logits_BC = here.stepper.forward(replace(batch, shift_BTD=shift))
    assert float(slope(logits_BC.sum(dim=1), shift, mask(batch)).detach().max()) < 1e-5
    assert float(here.explained.losses(batch, 0.0).parts["slope"].max()) > 0.01


def test_grad_regs_gradient_is_that_of_finite_differences(bert: str) -> None:
    """Through attention, twice: of the whole loss by one weight of each kind."""
    here = Here(bert, Explain(by="pgd", eps=1e-9, warmup=0, gradient=3.0))
    here.model.double()
    batch = here.all()

    def total() -> Tensor:
        logits_BC = here.model(batch.input_ids, batch.attention_mask, shift := here.explained._still(batch).double())
        unlikely_B = soft_cross_entropy(logits_BC, (batch.target_BC > 0.5).double() + 1e-3)
        return slope(unlikely_B, shift, mask(batch).double()).sum()

    with sdpa_kernel(SDPBackend.MATH):
        total().backward()  # type: ignore[no-untyped-call]
        for name in ("head.weight", "body.encoder.layer.0.attention.self.query.weight"):
            weight = here.model.get_parameter(name)
            assert weight.grad is not None
            place = (1, 2)
            values = []
            for move in (1e-3, -1e-3):
                with torch.no_grad():
                    weight[place] += move
                values.append(total().item())
                with torch.no_grad():
                    weight[place] -= move
            assert weight.grad[place].item() == pytest.approx((values[0] - values[1]) / 2e-3, rel=0.01)


# ---- all of them

WAYS = [
    Explain(by="corm", prob=0.7), Explain(by="pgd", eps=0.5), Explain(by="pgd", ball="box", gradient=0.5),
    Explain(by="gradreg"), Explain(by="corm", reliability="confidence"), Explain(by="pgd", reliability="confidence"),
]  # fmt: skip


@pytest.mark.parametrize("explain", WAYS, ids=lambda e: f"{e.by}-{e.ball}-{e.reliability}")
@pytest.mark.parametrize("micro", [2, 1])
def test_how_a_batch_is_cut_changes_no_gradient(explain: Explain, micro: int, bert: str) -> None:
    def step(size: int) -> tuple[Any, dict[str, Tensor]]:
        here = Here(bert, explain, [1.0, 2.0, 0.5, 1.0, 3.0])
        pieces = [list(range(i, min(i + size, 5))) for i in range(0, 5, size)]
        stepped = here.stepper.step([here.batch(rows) for rows in pieces], 5, 0.5, 1.0)
        return stepped, {n: p.grad.clone() for n, p, _ in here.stepper.named if p.grad is not None}

    (whole, slopes), (cut, others) = step(5), step(micro)
    assert cut.loss == pytest.approx(whole.loss, rel=1e-5)
    assert set(whole.parts) == set(cut.parts) >= {"clean_loss"}
    for name, value in whole.parts.items():
        assert cut.parts[name] == pytest.approx(value, rel=1e-4)
    for name, gradient in slopes.items():
        torch.testing.assert_close(others[name], gradient, rtol=1e-3, atol=2e-6, msg=name)


@pytest.mark.parametrize("explain", WAYS[:4], ids=lambda e: f"{e.by}-{e.ball}")
def test_the_loss_is_made_of_its_parts(explain: Explain, bert: str) -> None:
    here = Here(bert, explain)
    found = here.explained.losses(here.all(), 0.5)
    parts = found.parts
    expected = parts["clean_loss"] + explain.beta * parts.get("perturbed_loss", torch.zeros(5))
    torch.testing.assert_close(found.rows_B.detach(), expected + explain.slope * parts.get("slope", torch.zeros(5)))
    if "perturbed_loss" in parts:
        torch.testing.assert_close(parts["perturbed_loss"][2], parts["clean_loss"][2]), "a row without a reason"


def test_a_label_that_says_nothing_asks_nothing(bert: str) -> None:
    here = Here(bert, Explain(by="pgd", eps=1.0, reliability="confidence", warmup=0))
    far_BT = ascended(here, here.all()).norm(dim=-1)
    assert float(far_BT[3].max()) == 0, "its label is one half"
    assert float(far_BT[4].max()) > 0.8 * here.typical, "its label is certain"
    assert float(far_BT[0].max()) <= 0.8 * here.typical * (1 + 1e-5)


def test_schedules_are_functions_of_progress() -> None:
    pgd, ibp = Explain(by="pgd", eps=0.4, warmup=0.2), Explain(by="ibp", eps=2.0, alpha=0.8)
    assert [pgd.radius(p) for p in (0, 0.1, 0.2, 0.9)] == pytest.approx([0, 0.2, 0.4, 0.4])
    assert [ibp.radius(p) for p in (0, 0.5, 1.0)] == pytest.approx([0, 1.0, 2.0])
    assert [ibp.clean(p) for p in (0, 0.5, 1.0)] == pytest.approx([0.8, 0.6, 0.4])


def test_numbers_that_do_not_act_are_refused() -> None:
    for fault in ({"by": "corm", "eps": 0.1}, {"by": "gradreg", "beta": 2.0}, {"by": "ibp", "prob": 0.2}):
        with pytest.raises(ValueError, match="has no use for"):
            Explain.model_validate(fault)
    with pytest.raises(ValueError, match="asks for nothing"):
        Explain(by="gradreg", gradient=0)
