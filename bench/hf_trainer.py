"""transformers' Trainer on our model and rows, doing nothing but train: no evaluation, saving, logging or progress bar."""

# B rows of a batch, C classes, T tokens

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from w2s.learner import Learner
from w2s.work import optim

if TYPE_CHECKING:
    from bench.variants import Counts, Order, Stopwatch


class WithLoss(nn.Module):
    """The shape Trainer expects of a model: labels in, loss out. Dropout stays as the learner has it, whatever it asks."""

    def __init__(self, model: nn.Module, dropout: bool) -> None:
        super().__init__()
        self.model, self._dropout = model, dropout
        self._losses: deque[Tensor] = deque(maxlen=10)  # as many as our loop's reported loss is the mean of

    def train(self, mode: bool = True) -> WithLoss:
        # Trainer switches dropout on at every step; ours would then do less work than it
        super().train(mode and self._dropout)
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        loss = cross_entropy(self.model(input_ids, attention_mask).float(), labels)
        self._losses.append(loss.detach())
        return {"loss": loss}

    @property
    def last_loss(self) -> float:
        return float(sum(self._losses)) / len(self._losses)


class Texts(torch.utils.data.Dataset[dict[str, Any]]):
    """Rows as Trainer's users have them: token ids and a label each, padded when a batch is made."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, row: int) -> dict[str, Any]:
        ids = self._data.tokens[row][0]
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "label": self._data.target_NC[row].tolist()}


class Counting:
    """The usual collator, and how many tokens each of its batches had."""

    def __init__(self, tokenizer: Any) -> None:
        self._collate = DataCollatorWithPadding(tokenizer)
        self.real: list[int] = []
        self.padded: list[int] = []

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        self.real.append(sum(len(row["input_ids"]) for row in rows))
        batch = self._collate(rows)
        self.padded.append(batch["input_ids"].numel())
        return batch


class Clock(TrainerCallback):
    """Tells the stopwatch of every step."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._watch.progress(state.global_step, state.max_steps)


def train(order: Order, learner: Learner, loop: Any, folder: Path, watch: Stopwatch, *, grouped: bool) -> Counts:
    """`order.total` steps of the loop's model on its rows, padded to the longest of random batches or of grouped ones."""
    assert loop.data.candidates == 1, "a row of several texts is beyond the usual collator"
    model = WithLoss(loop.stepper.model, learner.dropout)
    optimizer = optim.build(learner.optim, loop.stepper.model.trainable())
    collate = Counting(loop.tokenizer.hf)
    trainer = Trainer(
        model=model,
        args=_arguments(order, learner, folder, grouped),
        train_dataset=Texts(loop.data),
        data_collator=collate,
        optimizers=(optimizer, LambdaLR(optimizer, lambda at: optim.rate_factor(learner.schedule, at, order.total))),
        callbacks=[Clock(watch)],
    )
    trainer.train()
    # its loader fetches one batch ahead
    return collate.real[: order.total], collate.padded[: order.total], model.last_loss


def _arguments(order: Order, learner: Learner, folder: Path, grouped: bool) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=learner.batch,
        max_steps=order.total,
        max_grad_norm=learner.optim.clip or 0.0,
        train_sampling_strategy="group_by_length" if grouped else "random",
        bf16=learner.precision == "bf16",
        fp16=learner.precision == "fp16",
        use_cpu=order.device == "cpu",
        dataloader_pin_memory=order.device == "cuda",
        remove_unused_columns=False,
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
    )
