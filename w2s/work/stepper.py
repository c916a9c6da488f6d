"""One interface, two ways to step a model: `Plain` on one device, and `Zero` (its own file) on a gang of them.

What a global batch is, how its micro-batches add up and what a loss may know of it stand here once, for both.
"""

# B rows of a micro-batch, G rows of the global batch, C classes

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from w2s import loss as losses
from w2s.learner import Learner
from w2s.loss import LossConfig
from w2s.work import optim
from w2s.work.dataset import Batch
from w2s.work.explained import Explained
from w2s.work.language import TextLoss
from w2s.work.model import Classifier, Weight
from w2s.work.ranks import Ranks
from w2s.work.scorer import Scorer, plain_scores

Trainable: TypeAlias = Classifier | TextLoss


@dataclass(frozen=True)
class Stepped:
    """One optimizer step. `loss` is this rank's share of the global batch's mean loss: the ranks' shares add up to it.

    `grad_norm` is the global one before clipping; `skipped` says that fp16 overflowed and nothing was changed. `parts` are like
    shares of what the loss is made of, where it tells.
    """

    loss: float
    grad_norm: float
    lr: float
    skipped: bool = False
    parts: dict[str, float] = field(default_factory=dict)


class Stepper(Scorer):
    """What `train.py` asks of a model and its optimizer.

    Named tensors (`weights`, `state`) are whole parameters, whatever lies where: each parameter is written by the one rank
    that `owns` it, so what was saved by any gang can be read by any other. `loss` None: the model's one output [B, 1] is
    each row's loss already.
    """

    def __init__(self, model: Trainable, learner: Learner, loss: LossConfig | None, ranks: Ranks) -> None:
        super().__init__(model, learner, ranks)
        self.loss = loss
        self.named: list[Weight] = model.trainable()
        self.names = {weight.name for weight in self.named}
        self.explained: Explained | None = None  # for a student that is told reasons as well
        self._of_labels: losses.Statistics = {}
        self._learned: losses.Statistics = {}  # by the loss itself, beside the model

    def learned(self) -> dict[str, list[float]]:
        """What the loss has learned so far, by name; empty for a loss that learns nothing."""
        return {name: value.flatten().tolist() for name, value in self._learned.items()}

    def see_labels(self, target_MC: Tensor) -> None:
        """Before the first step: all the labels [M, C] that will be learned from, for what the loss must know of them.

        Every rank sees them all, so nobody need be asked.
        """
        if self.loss is None:
            return
        found = losses.label_statistics(self.loss, target_MC)
        self._of_labels = {name: value.to(self.device) for name, value in found.items()}
        first = losses.beginning(self.loss, target_MC)
        self._learned = {name: value.double().to(self.device) for name, value in first.items()}

    def step(self, micros: Sequence[Batch], rows: int, progress: float, rate: float) -> Stepped:
        """One optimizer step on this rank's micro-batches of a global batch, whose losses are summed and divided by `rows`."""
        micros = [micro.to(self.device) for micro in micros]
        if self.explained is not None:
            return self._explained_step(self.explained, micros, rows, progress, rate)
        alone = self.loss is None or not losses.needs_statistics(self.loss)
        statistics = self._of_labels | self._learned if alone else None
        if statistics is None and len(micros) > 1:
            statistics = self._first_pass(micros)
        total, slopes = 0.0, list[losses.Statistics]()
        self._begin()
        for number, micro in enumerate(micros, start=1):
            logits_BC = self.forward(micro)
            if statistics is None:
                statistics = self._statistics(logits_BC.detach(), micro.target_BC, micro.weight_B)
            loss_B = self._losses(logits_BC, micro, progress, statistics)
            share = (loss_B * micro.weight_B).sum() / rows
            if self._learned:
                assert self.loss is not None
                told = (logits_BC.detach(), micro.target_BC, micro.weight_B, progress, statistics)
                slopes.append(losses.slopes(self.loss, *told))
            self._backward(share, last=number == len(micros))
            total += share.item()
        norm = self._update(rate)
        overflowed = self.learner.precision == "fp16" and not math.isfinite(norm)
        if slopes and not overflowed:
            self._advance(slopes, rows, progress)
        return Stepped(total, norm, self.learner.optim.lr * rate, skipped=overflowed)

    def aside(self, batch: Batch) -> Tensor:
        """Logits [B, C] in fp32 by the model itself: for a slope in something other than its parameters, which a gang's engine
        would take for the beginning of a backward pass."""
        return plain_scores(self.model, batch, self.learner.precision, self.device).float()

    def _explained_step(
        self, explained: Explained, micros: Sequence[Batch], rows: int, progress: float, rate: float
    ) -> Stepped:
        """The same where rationales add to each row's loss."""
        total, parts = 0.0, dict[str, float]()
        self._begin()
        for number, micro in enumerate(micros, start=1):
            found = explained.losses(micro, progress)
            share = (found.rows_B * micro.weight_B).sum() / rows
            self._backward(share, last=number == len(micros))
            total += share.item()
            for name, part_B in found.parts.items():
                parts[name] = parts.get(name, 0.0) + float((part_B * micro.weight_B).sum() / rows)
        norm = self._update(rate)
        overflowed = self.learner.precision == "fp16" and not math.isfinite(norm)
        return Stepped(total, norm, self.learner.optim.lr * rate, overflowed, parts)

    def _advance(self, slopes: Sequence[losses.Statistics], rows: int, progress: float) -> None:
        """The loss learns from the step just done: from all rows of the global batch, alike on every rank."""
        assert self.loss is not None
        mean: losses.Statistics = {}
        for name, first in slopes[0].items():
            own = torch.stack([each[name].double() for each in slopes]).sum(dim=0)
            mean[name] = torch.stack(self.ranks.gather(own.reshape(1, -1))).sum(dim=0).reshape(first.shape) / rows
        self._learned = losses.advanced(self.loss, self._learned, mean, progress)

    def _losses(self, logits_BC: Tensor, micro: Batch, progress: float, statistics: losses.Statistics) -> Tensor:
        if self.loss is None:
            return logits_BC[:, 0]
        return losses.compute(self.loss, logits_BC, micro.target_BC, progress, statistics)

    def _first_pass(self, micros: Sequence[Batch]) -> losses.Statistics:
        """Statistics of the global batch from predictions alone, so that no two micro-batch graphs live at once."""
        with _same_dropout(self.device), torch.no_grad():
            logits_GC = torch.cat([self.forward(micro) for micro in micros])
        target_GC = torch.cat([micro.target_BC for micro in micros])
        return self._statistics(logits_GC, target_GC, torch.cat([micro.weight_B for micro in micros]))

    def _statistics(self, logits_GC: Tensor, target_GC: Tensor, weight_G: Tensor) -> losses.Statistics:
        """Over all ranks' rows, and all labels; alike on every rank, since every rank computes them from the same rows in the
        same order.
        """
        assert self.loss is not None, "a model's own loss needs to know of no other row"
        classes = logits_GC.shape[-1]
        target_GT = target_GC.flatten(1).to(logits_GC.dtype)
        packed = torch.cat([logits_GC, target_GT, weight_G.to(logits_GC.dtype)[:, None]], dim=-1)
        everyone = torch.cat(self.ranks.gather(packed))
        targets = everyone[:, classes:-1].reshape(-1, *target_GC.shape[1:])
        batch = losses.statistics(self.loss, everyone[:, :classes], targets, everyone[:, -1])
        return self._of_labels | self._learned | batch

    def owns(self, index: int) -> bool:
        """Whether this rank writes the learning parameter of this place in `named`."""
        return index % self.ranks.count == self.ranks.rank

    def owned(self) -> list[str]:
        """The names of the parameters this rank writes."""
        return [weight.name for i, weight in enumerate(self.named) if self.owns(i)]

    @property
    @abstractmethod
    def layout(self) -> str:
        """Who trains here, for people: `1 device`, `2 ranks under ZeRO-3`."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything a resumed run needs beyond the weights: named tensors (this rank's share), and JSON."""
        tensors = {f"rng/cpu/{self.ranks.rank}": torch.get_rng_state()}
        if self.device == "cuda":
            tensors[f"rng/cuda/{self.ranks.rank}"] = torch.cuda.get_rng_state()
        if self.ranks.first:
            tensors |= {f"loss/{name}": value.cpu() for name, value in self._learned.items()}
        return tensors | self._optimizer_state(), self._numbers()

    def load_state(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """What `state` gave, of all ranks together. A gang of another size keeps its own random numbers (dropout)."""
        rank = self.ranks.rank
        if f"rng/cpu/{rank}" in tensors:
            torch.set_rng_state(tensors[f"rng/cpu/{rank}"])
        if f"rng/cuda/{rank}" in tensors and self.device == "cuda":
            torch.cuda.set_rng_state(tensors[f"rng/cuda/{rank}"])
        self._learned = {name: tensors[f"loss/{name}"].to(self.device) for name in self._learned}
        self._load_optimizer_state(tensors)
        self._load_numbers(numbers)

    @abstractmethod
    def whole(self, weight: Tensor) -> Tensor:
        """One of the model's weights, put together on every rank: for looking at before the first step. All ranks ask together."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """The learning parameters this rank owns, by name, copied to the CPU."""

    @abstractmethod
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set the learning parameters; each rank reads those it owns, and shows them to the others."""

    @abstractmethod
    def export(self) -> dict[str, Tensor] | None:
        """The whole model's state on the first rank's CPU, frozen parts included; None on the others."""

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _backward(self, share: Tensor, *, last: bool) -> None: ...

    @abstractmethod
    def _update(self, rate: float) -> float:
        """Clip, step. Returns the global gradient norm before clipping."""

    @abstractmethod
    def _optimizer_state(self) -> dict[str, Tensor]:
        """`optim/NAME/SLOT` of the parameters this rank owns, copied to the CPU."""

    @abstractmethod
    def _load_optimizer_state(self, tensors: Mapping[str, Tensor]) -> None: ...

    @abstractmethod
    def _numbers(self) -> dict[str, Any]:
        """What else the optimizer needs, as JSON: the loss scale of fp16."""

    @abstractmethod
    def _load_numbers(self, numbers: Mapping[str, Any]) -> None: ...


class Plain(Stepper):
    """One model on one device."""

    def __init__(self, model: Trainable, learner: Learner, loss: LossConfig | None, ranks: Ranks) -> None:
        super().__init__(model.to(ranks.device), learner, loss, ranks)
        assert ranks.count == 1, "several devices are the Zero stepper's"
        self._parameters = [weight.parameter for weight in self.named]
        self._optimizer = optim.build(learner.optim, self.named)
        self._scaler = torch.amp.GradScaler(self.device, enabled=learner.precision == "fp16")

    @property
    def layout(self) -> str:
        return "1 device"

    def _begin(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)

    def _backward(self, share: Tensor, *, last: bool) -> None:
        self._scaler.scale(share).backward()  # type: ignore[no-untyped-call]

    def _update(self, rate: float) -> float:
        self._scaler.unscale_(self._optimizer)
        limit = self.learner.optim.clip
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, float("inf") if limit is None else limit)
        set_rate(self._optimizer, rate)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return float(norm)

    def _scores(self, batch: Batch) -> Tensor:
        return plain_scores(self.model, batch, self.learner.precision, self.device)

    def whole(self, weight: Tensor) -> Tensor:
        return weight.detach()

    def weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach().to("cpu", copy=True) for name, parameter, _ in self.named}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter, _ in self.named:
                parameter.copy_(weights[name])

    def export(self) -> dict[str, Tensor] | None:
        return {name: tensor.detach().cpu() for name, tensor in self.model.state_dict().items()}

    def _optimizer_state(self) -> dict[str, Tensor]:
        return {
            f"optim/{name}/{slot}": torch.as_tensor(value).detach().to("cpu", copy=True)
            for name, parameter, _ in self.named
            for slot, value in self._optimizer.state.get(parameter, {}).items()
        }

    def _load_optimizer_state(self, tensors: Mapping[str, Tensor]) -> None:
        places = {id(parameter): name for name, parameter, _ in self.named}
        slots: dict[str, dict[str, Tensor]] = {}
        for key in tensors:
            if key.startswith("optim/"):
                _, name, slot = key.split("/")
                slots.setdefault(name, {})[slot] = tensors[key]
        order = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        state = {i: slots[places[id(p)]] for i, p in enumerate(order) if places[id(p)] in slots}
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})

    def _numbers(self) -> dict[str, Any]:
        return {"scaler": self._scaler.state_dict()} if self._scaler.is_enabled() else {}

    def _load_numbers(self, numbers: Mapping[str, Any]) -> None:
        if self._scaler.is_enabled() and "scaler" in numbers:
            self._scaler.load_state_dict(dict(numbers["scaler"]))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Every group's learning rate as a share of its own base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * rate


class _same_dropout(AbstractContextManager[None]):
    """What runs inside draws the random numbers that what follows will draw again: both passes see one dropout mask."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._restore: list[Callable[[], None]] = []

    def __enter__(self) -> None:
        cpu = torch.get_rng_state()
        self._restore = [lambda: torch.set_rng_state(cpu)]
        if self._device == "cuda":
            cuda = torch.cuda.get_rng_state()
            self._restore.append(lambda: torch.cuda.set_rng_state(cuda))

    def __exit__(self, *exc: object) -> None:
        for restore in self._restore:
            restore()
