"""One variant of the training bench, in a process of its own: `python -m bench.variants ORDER RANK`.

ours      the Train stage as a worker runs it: Plain, or Zero 1 to 3 as a rank of a gang
bare      a hand-written loop over the very batches ours takes, padded before the clock starts
trainer   transformers' Trainer: same model, rows, optimizer, schedule, clipping and precision; its own batches

All of them count from the end of the warm-up to the end of the last step, in seconds of the clock and of this process's CPU.
"""

# B rows of a batch, C classes

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.lesson import Lesson, our_loop

LAST = 10  # steps whose mean loss our loop reports


@dataclass(frozen=True)
class Order:
    """What a process is asked to do. `zero` None is our loop on one device, outside any gang."""

    lesson: str
    folder: str
    variant: str
    zero: int | None
    ranks: int
    threads: int
    device: str
    warm_up: int
    steps: int  # counted ones; the warm-up comes before

    @property
    def total(self) -> int:
        return self.warm_up + self.steps


@dataclass(frozen=True)
class Answer:
    """What a process saw over the counted steps. `real` and `padded` are tokens of the global batches."""

    seconds: float
    cpu_seconds: float
    real: int
    padded: int
    peak_bytes: int
    peak_gpu_bytes: int
    loss: float


class Stopwatch:
    """A watch whose clock starts after the warm-up and stops after the last step; curves go nowhere."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._marks: dict[int, tuple[float, float]] = {}

    def scalar(self, name: str, value: float, step: int) -> None: ...

    def note(self, text: str) -> None: ...

    def busy(self) -> AbstractContextManager[None]:
        return nullcontext()

    def progress(self, done: float, total: float, unit: str = "step") -> None:
        if done in (self._order.warm_up, self._order.total):
            if self._order.device == "cuda":
                import torch

                torch.cuda.synchronize()
            self._marks[int(done)] = (time.perf_counter(), time.process_time())

    @property
    def seconds(self) -> tuple[float, float]:
        """(of the clock, of the CPU)."""
        first, last = self._marks[self._order.warm_up], self._marks[self._order.total]
        return last[0] - first[0], last[1] - first[1]


def main(order_file: str, rank: int) -> None:
    """Do the order's variant; the answer goes into a file of this rank."""
    import torch

    order = Order(**json.loads(Path(order_file).read_text()))
    torch.set_num_threads(order.threads)
    lesson = Lesson.read(Path(order.lesson))
    folder = Path(order.folder)
    watch = Stopwatch(order)
    work = {"ours": _ours, "bare": _bare, "trainer": _trainer, "trainer-grouped": _trainer}[order.variant]
    real, padded, loss = work(order, lesson, folder, watch, rank)
    on_gpu = order.device == "cuda"
    answer = Answer(
        *watch.seconds, sum(real[order.warm_up :]), sum(padded[order.warm_up :]),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        torch.cuda.max_memory_allocated() if on_gpu else 0, loss,
    )  # fmt: skip
    (folder / f"answer.{rank}.json").write_text(json.dumps(dataclasses.asdict(answer)))


Counts = tuple[list[int], list[int], float]
"""(real tokens, padded tokens) of every step, and the last loss."""


def _ours(order: Order, lesson: Lesson, folder: Path, watch: Stopwatch, rank: int) -> Counts:
    import torch.distributed as dist

    from w2s.work import train

    machines: dict[str, Any] = {"zero": 0, "offload": "none"}
    if order.zero is not None:
        _join(order, folder, rank)
        machines["zero"] = order.zero
    context = lesson.context(folder, watch, order.device, rank, order.ranks, **machines)
    loss = train.run(context)["loss"]
    if order.zero is not None:
        dist.destroy_process_group()
    return lesson.real, lesson.padded, loss


def _join(order: Order, folder: Path, rank: int) -> None:
    import os

    import torch
    import torch.distributed as dist

    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(order.ranks), "LOCAL_RANK": str(rank)}
    if order.device == "cuda":
        torch.cuda.set_device(rank)
    back_end = "nccl" if order.device == "cuda" else "gloo"
    dist.init_process_group(
        back_end, init_method=f"file://{folder}/rendezvous", rank=rank, world_size=order.ranks
    )  # fmt: skip


def _bare(order: Order, lesson: Lesson, folder: Path, watch: Stopwatch, rank: int) -> Counts:
    """What one would write by hand for just this job."""
    import torch
    from torch.nn.functional import cross_entropy

    from w2s.work import optim
    from w2s.work.scorer import autocast

    loop = our_loop(lesson, lesson.context(folder, watch, order.device))
    learner, model = lesson.learner, loop.stepper.model
    batches = [loop._micros(rows) for rows in loop.steps]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = optim.build(learner.optim, model.trainable())
    recent: list[Any] = []
    for step, (rows, micros) in enumerate(zip(loop.steps, batches, strict=True)):
        optimizer.zero_grad(set_to_none=True)
        for batch in (micro.to(order.device) for micro in micros):
            with autocast(learner.precision, order.device):
                scores = model(batch.input_ids, batch.attention_mask)
            logits_BC = scores.float().view(batch.rows, -1)
            loss = cross_entropy(logits_BC, batch.target_BC, reduction="sum") / len(rows)
            loss.backward()
            recent.append(loss.detach())
        torch.nn.utils.clip_grad_norm_(parameters, learner.optim.clip or float("inf"))
        rate = optim.rate_factor(learner.schedule, step, len(batches))
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        optimizer.step()
        watch.progress(step + 1, len(batches))
    last = sum(len(micros) for micros in batches[-LAST:])
    return lesson.real, lesson.padded, float(sum(recent[-last:])) / min(LAST, len(batches))


def _trainer(order: Order, lesson: Lesson, folder: Path, watch: Stopwatch, rank: int) -> Counts:
    from bench.hf_trainer import train

    loop = our_loop(lesson, lesson.context(folder, watch, order.device))
    return train(order, lesson.learner, loop, folder, watch, grouped=order.variant == "trainer-grouped")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
