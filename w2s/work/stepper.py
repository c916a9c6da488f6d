"""One interface, two ways to step a model. `Plain` is one device; ZeRO joins it here."""

# B rows of a micro-batch, G rows of the global batch, C classes

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from w2s import loss as losses
from w2s.learner import Learner
from w2s.loss import LossConfig
from w2s.work import optim
from w2s.work.dataset import Batch
from w2s.work.model import Classifier


@dataclass(frozen=True)
class Stepped:
    """One optimizer step: mean loss over the global batch, gradient norm before clipping, learning rate used."""

    loss: float
    grad_norm: float
    lr: float


class Stepper(Protocol):
    """What `train.py` asks of a model and its optimizer."""

    def step(self, micros: Sequence[Batch], progress: float, rate: float) -> Stepped:
        """One optimizer step on a global batch cut into micro-batches."""
        ...

    def scores(self, batch: Batch) -> Tensor:
        """Logits [B, C] in fp32, without gradient."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """The learning parameters by name, copied to the CPU."""
        ...

    def load_weights(self, weights: dict[str, Tensor]) -> None: ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything a resumed run needs beyond the weights: named tensors, and JSON."""
        ...

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None: ...


class Plain:
    """One model on one device. Gradients of micro-batches add up to the gradient of the global batch's mean loss."""

    def __init__(self, model: Classifier, learner: Learner, loss: LossConfig, device: str) -> None:
        self.model = model.to(device)
        self.learner, self.loss, self.device = learner, loss, device
        self._named = model.trainable()
        self._parameters = [parameter for _, parameter, _ in self._named]
        self._optimizer = optim.build(learner.optim, self._named)

    def step(self, micros: Sequence[Batch], progress: float, rate: float) -> Stepped:
        micros = [micro.to(self.device) for micro in micros]
        rows = sum(micro.rows for micro in micros)
        self._optimizer.zero_grad(set_to_none=True)
        whole = len(micros) == 1 or not losses.needs_statistics(self.loss)
        statistics = None if whole else self._first_pass(micros)
        total = 0.0
        for micro in micros:
            logits_BC = self._forward(micro)
            if losses.needs_statistics(self.loss) and whole:
                statistics = self._statistics(logits_BC.detach(), micro.target_BC)
            loss_B = losses.compute(self.loss, logits_BC, micro.target_BC, progress, statistics)
            share = loss_B.sum() / rows
            share.backward()  # type: ignore[no-untyped-call]
            total += share.item()
        limit = self.learner.optim.clip
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, float("inf") if limit is None else limit)
        for group in self._optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        self._optimizer.step()
        return Stepped(total, float(norm), self.learner.optim.lr * rate)

    def _first_pass(self, micros: Sequence[Batch]) -> losses.Statistics:
        """Statistics of the global batch from predictions alone, so that no two micro-batch graphs live at once."""
        with _same_dropout(self.device), torch.no_grad():
            logits_GC = torch.cat([self._forward(micro) for micro in micros])
        return self._statistics(logits_GC, torch.cat([micro.target_BC for micro in micros]))

    def _statistics(self, logits_GC: Tensor, target_GC: Tensor) -> losses.Statistics:
        return losses.statistics(self.loss, logits_GC, target_GC, torch.ones_like(target_GC[:, 0]))

    def _forward(self, batch: Batch) -> Tensor:
        with self._autocast():
            scores = self.model(batch.input_ids, batch.attention_mask)
        logits: Tensor = scores.float()
        return logits.view(batch.rows, batch.candidates) if batch.candidates > 1 else logits

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.learner.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)

    def scores(self, batch: Batch) -> Tensor:
        training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            logits_BC = self._forward(batch.to(self.device))
        self.model.train(training)
        return logits_BC.cpu()

    def weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach().to("cpu", copy=True) for name, parameter, _ in self._named}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter, _ in self._named:
                parameter.copy_(weights[name])

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {"rng/cpu": torch.get_rng_state()}
        if self.device == "cuda":
            tensors["rng/cuda"] = torch.cuda.get_rng_state()
        state = self._optimizer.state_dict()["state"]
        numbers: dict[str, Any] = {}
        for index, slots in state.items():
            for slot, value in slots.items():
                if isinstance(value, Tensor):
                    tensors[f"optim/{index}/{slot}"] = value.detach().to("cpu", copy=True)
                else:
                    numbers[f"optim/{index}/{slot}"] = value
        return tensors, numbers

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        torch.set_rng_state(tensors["rng/cpu"])
        if "rng/cuda" in tensors and self.device == "cuda":
            torch.cuda.set_rng_state(tensors["rng/cuda"])
        state: dict[int, dict[str, Any]] = {}
        for name, value in (*tensors.items(), *numbers.items()):
            if name.startswith("optim/"):
                _, index, slot = name.split("/")
                state.setdefault(int(index), {})[slot] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})


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
