"""The Train stage: one loop, top to bottom. Finetunes a learner on a part's rows; resumable at any step."""

# N rows, B rows of a batch, C classes

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from cluster.errors import BadInput, Interrupted, StageFailed
from cluster.job import Context
from w2s import loss as losses
from w2s.explain import Explain
from w2s.labels import LabelTable
from w2s.learner import Learner
from w2s.loss import LossConfig
from w2s.registry import module
from w2s.work import card, out_of_memory, saved, sharded
from w2s.work.batches import Indices, deal, schedule
from w2s.work.compiled import compile_if_asked
from w2s.work.dataset import Batch, Dataset, encode
from w2s.work.evaluate import evaluate
from w2s.work.explained import Explained, check_masks, typical_length
from w2s.work.fitted import fitted
from w2s.work.gauges import Gauges, sizes_to_gauge
from w2s.work.language import TextLoss
from w2s.work.marks import curve_name
from w2s.work.model import Classifier, Tokenizer, load, save, set_training_mode
from w2s.work.optim import rate_factor
from w2s.work.ranks import Ranks
from w2s.work.replace import Replacer
from w2s.work.saved import Progress
from w2s.work.sharded import make_stepper
from w2s.work.stepper import Stepped, Stepper
from w2s.work.swap import swap_space
from w2s.work.table import RowTable, read_part
from w2s.work.unchanged import check_model

LOG_EVERY = 10  # steps between points of the training curves
MOST_OVERFLOWS = 40  # fp16 steps skipped in a row: by then its loss scale has been halved to nothing


def run(context: Context) -> dict[str, Any]:
    """Train, evaluate, select; write `model/` (Hugging Face layout, safetensors) and `curve.json`. Returns final metrics.

    A leg writes `state/` as well, from which the next one begins, and its curve is that of the run so far.
    """
    with swap_space(context) as own:
        return _run(own)


def _run(context: Context) -> dict[str, Any]:
    science = context.science
    learner = Learner.model_validate(science["learner"])
    loss = module("losses", science["loss"]["kind"]).Config.model_validate(science["loss"])
    explain = Explain.model_validate(science["explain"]) if "explain" in science else None
    rows = read_part(context, science["rows"])
    context.watch.note(f"{len(rows)} rows to learn from; loading {learner.model.source}")
    ranks = Ranks.of(context)
    context = fitted(context, learner, ranks)
    start = _start(context)
    with context.watch.busy(), sharded.loading(context.machines, learner, ranks, saved=start is not None):
        model, tokenizer = load(learner, rows.n_outputs, science["seed"], start=start)
        check_model(context, learner.model)
    crowd = losses.hears_a_crowd(loss)
    data = _dataset(context, rows, science["labels"], learner, tokenizer, crowd=crowd, explain=explain)
    held_out = None
    if science["val"] is not None:
        held_out = _dataset(context, read_part(context, science["val"]), science["val_labels"], learner, tokenizer)
    stepper = ready(context, learner, model, loss, ranks, science["seed"])
    if explain is not None:
        stepper.explained = _explained(stepper, model, explain)
    with context.watch.busy():
        gauges = Gauges(learner, ranks, sizes_to_gauge(learner, ranks))
    order = science.get("order")
    seed = science["seed"] if order is None else order
    replacer = Replacer(explain, data, tokenizer, seed) if explain is not None and explain.by == "corm" else None
    loop = Loop(context, learner, stepper, tokenizer, data, held_out, seed=seed, gauges=gauges, replacer=replacer)
    progress, seconds = loop.run()
    metrics = loop.metrics(seconds)

    def publish() -> None:
        if state is not None:  # the first rank's
            save(model, tokenizer, context.out / "model", meta=_meta(science, context), state=state)
            card.write(context.out / "model", card.of_training(context, metrics))
            (context.out / "curve.json").write_text(json.dumps(progress.curve, indent=1))
            if progress.course:
                (context.out / "course.json").write_text(json.dumps(progress.course, indent=1))

    with context.watch.busy():
        loop.hand_on()
        state = stepper.export()
        ranks.together(publish, context.name)
    return metrics


def _explained(stepper: Stepper, model: Classifier, explain: Explain) -> Explained:
    table_VD = stepper.whole(cast("Tensor", model.embedding.weight))
    return Explained(explain, stepper.forward, stepper.aside, typical_length(table_VD), table_VD.shape[-1], model)


def ready(
    context: Context, learner: Learner, model: Classifier | TextLoss, loss: LossConfig | None, ranks: Ranks, seed: int
) -> Stepper:
    """A loaded model, set up as the machine asks, under the stepper that will train it."""
    set_training_mode(model, learner.dropout)
    if context.machines.get("gradient_checkpointing"):
        model.enable_gradient_checkpointing()
    compile_if_asked(context.machines, model, context.device)
    # dropout draws from here, each rank its own; order and head have generators of their own
    torch.manual_seed(seed + ranks.rank)
    with context.watch.busy():
        return make_stepper(context.machines, model, learner, loss, ranks)


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
        gauges: Gauges | None = None,
        replacer: Replacer | None = None,
    ) -> None:
        self.context, self.learner, self.stepper, self.tokenizer = context, learner, stepper, tokenizer
        self.data, self.held_out, self.ranks = data, held_out, stepper.ranks
        self.gauges, self.replacer = gauges or Gauges(learner, stepper.ranks), replacer
        stepper.see_labels(data.target_NC)
        self.lengths = data.lengths
        # rows that are left out are no rest: as many steps as with them
        stretch = 1 + data.unweighted / len(data) if context.science.get("stretched") else 1.0
        self.steps, ends = schedule(
            [length * data.candidates for length in self.lengths],
            seed,
            learner.epochs * stretch,
            batch=learner.batch,
            batch_tokens=learner.batch_tokens,
            bucket=learner.bucket,
        )
        self.begin, self.end = self._span()
        self.evaluations = _evaluation_steps(learner, len(self.steps), ends)
        if saved.leg_of(context) is not None:
            self.evaluations.add(self.end)  # whoever goes on from here, or elsewhere, decides by that
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self._saved_at = self._started = time.monotonic()
        self._tokens = 0
        self._asked_to_stop = self._due = False  # as all ranks agreed after the last step

    def _span(self) -> tuple[int, int]:
        """The first step to do and the one to stop before: of a leg, its own share of all."""
        leg, total = saved.leg_of(self.context), len(self.steps)
        if leg is None:
            return 0, total
        if total < leg.count:
            what = f"a run of {total} steps cannot be cut in {leg.count} legs"
            raise BadInput(self.context.name, what, "train for more epochs or in smaller batches, or cut it in fewer")
        return leg.span(total)

    def run(self) -> tuple[Progress, float]:
        """All steps from where the last checkpoint left. Returns the progress and the seconds spent here."""
        self._resume()
        if not self.progress.course:
            self._follow()
        self._started = time.monotonic()
        self._agree(0.0, {})
        total, progress = len(self.steps), self.progress
        while progress.step < self.end and not self._patience_spent():
            if self._asked_to_stop:
                self._checkpoint()
                raise Interrupted(
                    self.context.name,
                    f"stopped at step {progress.step} of {total}",
                    "the same command goes on from here",
                )
            self._one_step(total)
            if progress.step in self.evaluations:
                self._evaluate()
            self._tell()
            if self._due and progress.step < self.end:
                self._checkpoint()
        if progress.best_step and self.learner.select != "last":  # `best` may be empty: a rank may own no parameter
            self.stepper.load_weights(self.best)
        return progress, time.monotonic() - self._started

    def _one_step(self, total: int) -> None:
        progress = self.progress
        rows = self.steps[progress.step]
        rate = rate_factor(self.learner.schedule, progress.step, total)
        micros = self._micros(rows)
        batch = None if self.learner.batch_tokens else self.learner.batch
        tokens = self.data.real_tokens(rows.tolist())
        with (
            out_of_memory.told(self.context, batch, max(micro.rows for micro in micros)),
            self.gauges.step(tokens, len(rows) * self.data.candidates),
        ):
            stepped = self.stepper.step(micros, self._counts(rows), progress.step / total, rate)
        progress.step += 1
        loss, parts = self._agree(stepped.loss, stepped.parts)
        self._check_finite(loss, stepped, rows)
        self._tokens += tokens
        progress.losses.append(loss)
        if parts:
            progress.parts.append(parts)
        if progress.step % LOG_EVERY == 0 or progress.step == self.end:
            self._tell_step(stepped, (progress.step - 1) / total)

    def _tell_step(self, stepped: Stepped, progress: float) -> None:
        """A point of every training curve."""
        recent = self.progress.losses[-LOG_EVERY:]
        alpha = None if self.stepper.loss is None else losses.coefficient(self.stepper.loss, progress)
        points = {
            "train/loss": sum(recent) / len(recent),
            "train/grad_norm": stepped.grad_norm,
            "train/lr": stepped.lr,
            # what the loss weighed its own part by in the step just done, where it has such a number
            **({} if alpha is None else {"train/alpha": alpha}),
            "train/tokens_per_s": self._tokens / (time.monotonic() - self._started),
            **{f"train/{name}": value for name, value in self._parts().items()},
            **self.gauges.read(),
        }
        learned = self.stepper.learned()
        self._follow()
        flat = {f"train/{name}_{i}": number for name, numbers in learned.items() for i, number in enumerate(numbers)}
        for name, value in (points | flat).items():
            self.context.watch.scalar(name, value, self.progress.step)

    def _follow(self) -> None:
        """A point of what the loss has learned of its own, where it learns anything."""
        learned = self.stepper.learned()
        if learned:
            self.progress.course.append({"step": self.progress.step, **learned})

    def _counts(self, rows: Indices) -> int:
        """What the sum of a step's losses is divided by."""
        return len(rows)

    def _parts(self) -> dict[str, float]:
        """What an explained student's loss was made of, over the last few steps; empty for any other."""
        recent = self.progress.parts[-LOG_EVERY:]
        return {name: sum(parts[name] for parts in recent) / len(recent) for name in (recent[0] if recent else ())}

    def _agree(self, loss: float, parts: Mapping[str, float]) -> tuple[float, dict[str, float]]:
        """After a step, in one message: the loss (and its parts) over all ranks, whether to stop, whether to save."""
        due = self.ranks.first and self._checkpoint_due()  # one clock decides for all
        loss, stop, save_now, *shares = self.ranks.add([loss, float(self.context.stop()), float(due), *parts.values()])
        self._asked_to_stop, self._due = stop > 0, save_now > 0
        return loss, dict(zip(parts, shares, strict=True))

    def _check_finite(self, loss: float, stepped: Stepped, rows: Indices) -> None:
        """fp16 may overflow now and then: such a step changed nothing, and its loss scale is halved for the next."""
        progress = self.progress
        progress.overflows = progress.overflows + 1 if stepped.skipped else 0
        if math.isfinite(loss) and (math.isfinite(stepped.grad_norm) or 0 < progress.overflows <= MOST_OVERFLOWS):
            return
        ids = ", ".join(self.data.ids[i] for i in rows[:8])
        raise StageFailed(
            self.context.name,
            f"loss {loss} and gradient norm {stepped.grad_norm} at step {progress.step - 1}; the batch held rows {ids}",
            "lower optim.lr, or set optim.clip",
        )

    def _micros(self, rows: Indices) -> list[Batch]:
        """This rank's micro-batches of a step."""
        wanted = self.context.machines.get("micro_batch", "auto")
        longest = max(self.lengths[i] for i in rows) * self.data.candidates
        micro = max(1, self.context.machines["tokens_at_once"] // longest) if wanted == "auto" else int(wanted)
        pieces = deal(rows, self.lengths, micro, self.ranks.count)[self.ranks.rank]
        return [self._batch(piece.rows.tolist(), torch.from_numpy(piece.weight_B)) for piece in pieces]

    def _batch(self, rows: list[int], weight_B: Tensor) -> Batch:
        batch = self.data.batch(rows, self.tokenizer, weight_B)
        return batch if self.replacer is None else self.replacer(batch, rows, self.progress.step)

    def _evaluate(self) -> None:
        if self.held_out is None:
            return
        progress = self.progress

        # that it is alive is told batch by batch; how far its rows are is nobody's concern
        point = evaluate(self.stepper, self.held_out, self.tokenizer, lambda rows: self._tell())
        progress.curve.append({"step": progress.step, **point})
        science = self.context.science  # a sample of the truth is labels as well, and held-out rows then need none
        from_truth = science["labels"] is None or (science["val_labels"] is None and self.learner.select != "oracle")
        for mark, value in point.items():
            name = curve_name(mark, from_truth=from_truth, select=self.learner.select)
            self.context.watch.scalar(name, value, progress.step)
        score = point["accuracy"] if self.learner.select == "oracle" else point["agreement"]
        if progress.best_score is None or score > progress.best_score:
            progress.best_score, progress.best_step, progress.worse = score, progress.step, 0
            if self.learner.select != "last":
                self.best = self.stepper.weights()
        else:
            progress.worse += 1

    def _tell(self) -> None:
        self.context.watch.progress(self.progress.step - self.begin, self.end - self.begin)

    def _patience_spent(self) -> bool:
        return self.learner.patience is not None and self.progress.worse >= self.learner.patience

    def _checkpoint_due(self) -> bool:
        every = self.context.machines.get("checkpoint_steps")
        if every and self.progress.step % every == 0:
            return True
        return time.monotonic() - self._saved_at >= 60 * float(self.context.machines.get("checkpoint_minutes", 10))

    def _checkpoint(self) -> None:
        with self.context.watch.busy():
            self._save()

    def _save(self) -> None:
        saved.save(self.context.work, self.context, self.stepper, self.progress, self.best, len(self.steps))
        self._saved_at = time.monotonic()

    def _resume(self) -> None:
        found = saved.find(self.context, self.stepper, len(self.steps))
        if found is not None:
            self.progress, self.best = saved.restore(found, self.context, self.stepper)

    def hand_on(self) -> None:
        """Leave what the next leg begins from, where there is one."""
        saved.hand_on(self.context, self.stepper, self.progress, len(self.steps))

    def metrics(self, seconds: float) -> dict[str, Any]:
        """Final numbers for the receipt."""
        progress = self.progress
        recent = progress.losses[-LOG_EVERY:]
        selected = progress.step if self.learner.select == "last" else progress.best_step
        point = next((p for p in progress.curve if p["step"] == selected), {})
        return {
            "rows": len(self.data) + self.data.unweighted,
            "kept": len(self.data),
            "steps": progress.step,
            "planned_steps": len(self.steps),
            "loss": sum(recent) / len(recent),
            "selected_step": selected,
            "select": self.learner.select,
            "truncated": self.data.truncated,
            "dropped": self.data.dropped,
            **({} if self.data.irrelevant is None else {"explained": sum(map(any, self.data.irrelevant))}),
            **self._parts(),
            "tokens_per_s": self._tokens / seconds if self._tokens and seconds > 0 else None,
            **{f"val_{name}": value for name, value in point.items() if name != "step"},
            **{f"last_{name}": numbers for name, numbers in self.stepper.learned().items()},
        }


def _evaluation_steps(learner: Learner, total: int, epoch_ends: list[int]) -> set[int]:
    """After which steps to evaluate; the last step always, unless never."""
    if learner.evaluate == "never":
        return set()
    if learner.evaluate == "epoch":
        return {*epoch_ends, total}
    return {*range(learner.evaluate, total, learner.evaluate), total}


def _dataset(
    context: Context,
    rows: RowTable,
    labels: Mapping[str, str] | None,
    learner: Learner,
    tokenizer: Tokenizer,
    *,
    crowd: bool = False,
    explain: Explain | None = None,
) -> Dataset:
    """`crowd`: targets are each member's [N, M, C], for a loss that listens to each. `explain`: with masks of irrelevant tokens."""
    weight_N: Tensor | None = None
    if labels is None:
        target_NC = torch.nn.functional.one_hot(torch.tensor(rows.labels), rows.n_classes).float()
    else:
        table = LabelTable.load(context.inputs[labels["key"]]).join(rows.ids, context.name)
        told = table.everyone_NMC() if crowd else table.probs_NC
        target_NC = torch.tensor(told, dtype=torch.float32)
        weight_N = torch.tensor(table.weight_N)
        if not weight_N.any():
            raise BadInput(context.name, f"all {len(rows)} labels have weight 0", "let the filter keep more")
    data = encode(tokenizer, rows, target_NC, learner.max_tokens, learner.too_long, weight_N, explain)
    if data.truncated or data.dropped:
        context.watch.note(
            f"{data.truncated} texts cut to {learner.max_tokens} tokens, {data.dropped} rows dropped as longer"
        )
    if data.unweighted:
        context.watch.note(f"{data.unweighted} rows left out: their labels have weight 0")
    if not len(data):
        raise BadInput(
            context.name,
            f"every row is longer than {learner.max_tokens} tokens",
            "raise max_tokens, or set too_long: truncate",
        )
    check_masks(context, data)
    return data


def _start(context: Context) -> Path | None:
    """Where the adapted model lies that training begins from; None for the pretrained one."""
    start = context.science.get("start")
    return None if start is None else context.inputs[start["key"]] / "model"


def _meta(science: Mapping[str, Any], context: Context) -> dict[str, Any]:
    return {
        "stage": context.key,
        "name": context.name,
        "learner": science["learner"],
        "loss": science["loss"],
        "seed": science["seed"],
    }


__all__ = ["Classifier", "Loop", "Progress", "run"]
