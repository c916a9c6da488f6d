"""The Train stage: one loop, top to bottom. Finetunes a learner on a part's rows; resumable at any step."""

# N rows, B rows of a batch, C classes

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cluster.errors import BadInput, Interrupted, StageFailed
from cluster.job import Context
from w2s.labels import LabelTable
from w2s.learner import Learner
from w2s.registry import module
from w2s.work import checkpoint
from w2s.work.batches import micro_batches, schedule
from w2s.work.checkpoint import Checkpoint
from w2s.work.dataset import Batch, Dataset, encode
from w2s.work.evaluate import evaluate
from w2s.work.model import Classifier, Tokenizer, load, save, set_training_mode
from w2s.work.optim import rate_factor
from w2s.work.stepper import Plain, Stepper
from w2s.work.table import RowTable, read_part
from w2s.work.unchanged import check_model

AUTO_TOKENS = 16_384  # padded tokens held in memory at once when micro_batch is auto
LOG_EVERY = 10  # steps between points of the training curves


@dataclass
class Progress:
    """Where a run is, beyond weights and optimizer: all of it JSON."""

    step: int = 0
    curve: list[dict[str, Any]] = field(default_factory=list)
    best_score: float | None = None
    best_step: int = 0
    worse: int = 0  # evaluations since the best
    losses: list[float] = field(default_factory=list)


def run(context: Context) -> dict[str, Any]:
    """Train, evaluate, select; write `model/` (Hugging Face layout, safetensors) and `curve.json`. Returns final metrics."""
    science = context.science
    learner = Learner.model_validate(science["learner"])
    loss = module("losses", science["loss"]["kind"]).Config.model_validate(science["loss"])
    rows = read_part(context, science["rows"])
    context.watch.note(f"{len(rows)} rows to learn from; loading {learner.model.source}")
    model, tokenizer = load(learner, rows.n_outputs, science["seed"])
    check_model(context, learner.model)
    data = _dataset(context, rows, science["labels"], learner, tokenizer)
    held_out = None
    if science["val"] is not None:
        held_out = _dataset(context, read_part(context, science["val"]), science["val_labels"], learner, tokenizer)
    set_training_mode(model, learner.dropout)
    if context.machines.get("gradient_checkpointing"):
        model.enable_gradient_checkpointing()
    torch.manual_seed(science["seed"])  # dropout draws from here; order and head have generators of their own
    stepper = Plain(model, learner, loss, context.device)
    loop = Loop(context, learner, stepper, tokenizer, data, held_out, seed=science["seed"])
    progress, seconds = loop.run()
    save(model, tokenizer, context.out / "model", meta=_meta(science, context))
    (context.out / "curve.json").write_text(json.dumps(progress.curve, indent=1))
    return loop.metrics(seconds)


class Loop:
    """The training loop over a stepper: order, schedule, evaluation, selection, checkpoints."""

    def __init__(
        self,
        context: Context,
        learner: Learner,
        stepper: Stepper,
        tokenizer: Tokenizer,
        data: Dataset,
        held_out: Dataset | None,
        *,
        seed: int,
    ) -> None:
        self.context, self.learner, self.stepper, self.tokenizer = context, learner, stepper, tokenizer
        self.data, self.held_out = data, held_out
        self.lengths = data.lengths
        self.steps, ends = schedule(
            [length * data.candidates for length in self.lengths],
            seed,
            learner.epochs,
            batch=learner.batch,
            batch_tokens=learner.batch_tokens,
            bucket=learner.bucket,
        )
        self.evaluations = _evaluation_steps(learner, len(self.steps), ends)
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self._saved_at = self._started = time.monotonic()
        self._tokens = 0

    def run(self) -> tuple[Progress, float]:
        """All steps from where the last checkpoint left. Returns the progress and the seconds spent here."""
        self._resume()
        self._started = time.monotonic()
        total, progress = len(self.steps), self.progress
        while progress.step < total and not self._patience_spent():
            if self.context.stop():
                self._checkpoint()
                raise Interrupted(
                    self.context.name,
                    f"stopped at step {progress.step} of {total}",
                    "the same command goes on from here",
                )
            self._one_step(total)
            if progress.step in self.evaluations:
                self._evaluate()
            self.context.watch.progress(progress.step, total)
            if self._checkpoint_due() and progress.step < total:
                self._checkpoint()
        if self.learner.select != "last" and self.best:
            self.stepper.load_weights(self.best)
        return progress, time.monotonic() - self._started

    def _one_step(self, total: int) -> None:
        progress = self.progress
        rows = self.steps[progress.step]
        rate = rate_factor(self.learner.schedule, progress.step, total)
        stepped = self.stepper.step(self._micros(rows), progress.step / total, rate)
        if not (math.isfinite(stepped.loss) and math.isfinite(stepped.grad_norm)):
            ids = ", ".join(self.data.ids[i] for i in rows[:8])
            raise StageFailed(
                self.context.name,
                f"loss {stepped.loss} and gradient norm {stepped.grad_norm} at step {progress.step}; the batch held rows {ids}",
                "lower optim.lr, or set optim.clip",
            )
        self._tokens += self.data.real_tokens(rows.tolist())
        progress.step += 1
        progress.losses.append(stepped.loss)
        if progress.step % LOG_EVERY == 0 or progress.step == total:
            recent = progress.losses[-LOG_EVERY:]
            self.context.watch.scalar("train/loss", sum(recent) / len(recent), progress.step)
            self.context.watch.scalar("train/grad_norm", stepped.grad_norm, progress.step)
            self.context.watch.scalar("train/lr", stepped.lr, progress.step)
            self.context.watch.scalar(
                "train/tokens_per_s", self._tokens / (time.monotonic() - self._started), progress.step
            )

    def _micros(self, rows: np.ndarray[Any, np.dtype[np.int64]]) -> list[Batch]:
        wanted = self.context.machines.get("micro_batch", "auto")
        longest = max(self.lengths[i] for i in rows) * self.data.candidates
        micro = max(1, AUTO_TOKENS // longest) if wanted == "auto" else int(wanted)
        return [self.data.batch(piece.tolist(), self.tokenizer) for piece in micro_batches(rows, self.lengths, micro)]

    def _evaluate(self) -> None:
        if self.held_out is None:
            return
        progress = self.progress
        point = evaluate(self.stepper, self.held_out, self.tokenizer)
        progress.curve.append({"step": progress.step, **point})
        for name, value in point.items():
            self.context.watch.scalar(f"eval/{name}", value, progress.step)
        score = point["accuracy"] if self.learner.select == "oracle" else point["agreement"]
        if progress.best_score is None or score > progress.best_score:
            progress.best_score, progress.best_step, progress.worse = score, progress.step, 0
            if self.learner.select != "last":
                self.best = self.stepper.weights()
        else:
            progress.worse += 1

    def _patience_spent(self) -> bool:
        return self.learner.patience is not None and self.progress.worse >= self.learner.patience

    def _checkpoint_due(self) -> bool:
        every = self.context.machines.get("checkpoint_steps")
        if every and self.progress.step % every == 0:
            return True
        return time.monotonic() - self._saved_at >= 60 * float(self.context.machines.get("checkpoint_minutes", 10))

    def _checkpoint(self) -> None:
        tensors, numbers = self.stepper.state()
        tensors |= {f"weights/{name}": value for name, value in self.stepper.weights().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        state = {"progress": vars(self.progress), "stepper": numbers, "steps": len(self.steps)}
        checkpoint.save(
            self.context.work, self.context.key, Checkpoint(self.progress.step, tensors, state), self.context.still_mine
        )
        self._saved_at = time.monotonic()

    def _resume(self) -> None:
        found = checkpoint.latest(self.context.work, self.context.key, self.context.watch.note)
        if found is None:
            return
        fault = self._foreign(found)
        if fault:
            self.context.watch.note(
                f"checkpoint of step {found.step} passed over: {fault}; starting from the beginning"
            )
            return
        self.stepper.load_weights(_below("weights/", found.tensors))
        self.best = _below("best/", found.tensors)
        inner = {name: value for name, value in found.tensors.items() if not name.startswith(("weights/", "best/"))}
        self.stepper.load_state(inner, dict(found.state["stepper"]))
        self.progress = Progress(**found.state["progress"])
        self.context.watch.note(f"resumed at step {self.progress.step} of {len(self.steps)}")

    def _foreign(self, found: Checkpoint) -> str:
        """Why a whole checkpoint is not this code's to continue: written by a version that trained otherwise."""
        names = {name.removeprefix("weights/") for name in found.tensors if name.startswith("weights/")}
        if found.state.get("steps") != len(self.steps):
            return f"it is of a run of {found.state.get('steps')} steps, this one has {len(self.steps)}"
        if set(found.state.get("progress", {})) != set(vars(self.progress)) or names != set(self.stepper.weights()):
            return "another version of this code wrote it"
        return ""

    def metrics(self, seconds: float) -> dict[str, Any]:
        """Final numbers for the receipt."""
        progress = self.progress
        recent = progress.losses[-LOG_EVERY:]
        selected = progress.step if self.learner.select == "last" else progress.best_step
        point = next((p for p in progress.curve if p["step"] == selected), {})
        return {
            "rows": len(self.data),
            "steps": progress.step,
            "planned_steps": len(self.steps),
            "loss": sum(recent) / len(recent),
            "selected_step": selected,
            "select": self.learner.select,
            "truncated": self.data.truncated,
            "dropped": self.data.dropped,
            "tokens_per_s": self._tokens / seconds if self._tokens and seconds > 0 else None,
            **{f"val_{name}": value for name, value in point.items() if name != "step"},
        }


def _evaluation_steps(learner: Learner, total: int, epoch_ends: list[int]) -> set[int]:
    """After which steps to evaluate; the last step always, unless never."""
    if learner.evaluate == "never":
        return set()
    if learner.evaluate == "epoch":
        return {*epoch_ends, total}
    return {*range(learner.evaluate, total, learner.evaluate), total}


def _dataset(
    context: Context, rows: RowTable, labels: Mapping[str, str] | None, learner: Learner, tokenizer: Tokenizer
) -> Dataset:
    if labels is None:
        target_NC = torch.nn.functional.one_hot(torch.tensor(rows.labels), rows.n_classes).float()
    else:
        table = LabelTable.load(context.inputs[labels["key"]]).join(rows.ids, context.name)
        target_NC = torch.tensor(table.probs_NC, dtype=torch.float32)
    data = encode(tokenizer, rows, target_NC, learner.max_tokens, learner.too_long)
    if data.truncated or data.dropped:
        context.watch.note(
            f"{data.truncated} texts cut to {learner.max_tokens} tokens, {data.dropped} rows dropped as longer"
        )
    if not len(data):
        raise BadInput(
            context.name,
            f"every row is longer than {learner.max_tokens} tokens",
            "raise max_tokens, or set too_long: truncate",
        )
    return data


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _meta(science: Mapping[str, Any], context: Context) -> dict[str, Any]:
    return {
        "stage": context.key,
        "name": context.name,
        "learner": science["learner"],
        "loss": science["loss"],
        "seed": science["seed"],
    }


__all__ = ["Classifier", "Loop", "Progress", "run"]
