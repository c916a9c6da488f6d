"""What the training bench trains, prepared once: the ceiling stage of a recipe as JSON, its rows, and what its steps hold."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import BadInput, from_record
from cluster.events import Event
from cluster.job import Context, Watch
from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from w2s import bridge
from w2s.commands.fetch import ensure
from w2s.learner import Learner
from w2s.recipe import Recipe
from w2s.stages import Stage, Train, walk

MOST_EPOCHS = 1000  # of a learner


@dataclass(frozen=True)
class Lesson:
    """One training stage as a worker would get it; plain JSON, so that every variant's process reads the same."""

    key: str
    name: str
    science: dict[str, Any]
    machines: dict[str, Any]
    inputs: dict[str, str]
    real: list[int]  # tokens of each of our steps, without padding
    padded: list[int]  # and with it

    def save(self, file: Path) -> None:
        file.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def read(cls, file: Path) -> Lesson:
        return cls(**json.loads(file.read_text()))

    @property
    def learner(self) -> Learner:
        return Learner.model_validate(self.science["learner"])

    def context(
        self, folder: Path, watch: Watch, device: str, rank: int = 0, ranks: int = 1, **machines: Any
    ) -> Context:
        """What the stage's function receives, its results in a fresh `folder`."""
        for name in ("out", "work"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        return Context(
            key=self.key, name=self.name, science=self.science, machines={**self.machines, **machines},
            inputs={key: Path(place) for key, place in self.inputs.items()}, out=folder / "out", work=folder / "work",
            watch=watch, device=device, rank=rank, ranks=ranks,
        )  # fmt: skip


def prepare(recipe: Recipe, folder: Path, steps: int) -> Lesson:
    """The recipe's ceiling, cut to `steps` steps without evaluation, and its rows in a store under `folder`.

    The ceiling learns from the truth with cross-entropy: all that other trainers can do as well.
    """
    stage = ceiling(recipe)
    for _ in ensure(recipe, [*stage.inputs(), stage], lambda text: None):
        pass
    store = Store.open(folder / "store")
    run_inline(recipe, stage.inputs(), store)
    inputs = {needed.key: str(store.path(needed.key)) for needed in stage.inputs()}
    batches = len(planned(_lesson(recipe, stage, inputs), folder))
    if steps > MOST_EPOCHS * batches:
        what = f"{steps} steps, and an epoch of these rows has {batches}"
        raise BadInput("--steps", what, "take more rows, or fewer steps")
    lesson = _lesson(recipe, _changed(stage, epochs=steps / batches), inputs)
    counted = planned(lesson, folder)
    assert len(counted) == steps, f"{len(counted)} steps where {steps} were asked for"
    return dataclasses.replace(lesson, real=[real for real, _ in counted], padded=[padded for _, padded in counted])


def ceiling(recipe: Recipe) -> Train:
    """The strong learner's stage that learns from the truth; evaluation, which others would do otherwise, left out."""
    found = next(
        stage
        for stage in recipe.graph().values()
        if isinstance(stage, Train) and stage.learner == recipe.strong and stage.labels is None
    )
    return _changed(dataclasses.replace(found, val=None), epochs=1.0, evaluate="never", select="last", patience=None)


def run_inline(recipe: Recipe, stages: Sequence[Stage], store: Store) -> None:
    """Do these stages and all they need in this process. Raises the first failure."""
    jobs = bridge.jobs(recipe, walk(*stages).values())
    with store.leases() as leases:
        summary = Scheduler(store, InlinePool(store.url), leases, _silent).run(jobs, [stage.key for stage in stages])
    for ended in summary.failures.values():
        raise from_record(ended.error)


def planned(lesson: Lesson, folder: Path) -> list[tuple[int, int]]:
    """(real, padded) tokens of every step of our loop on one device."""
    loop = our_loop(lesson, lesson.context(folder / "look", Silent(), "cpu"))
    return [
        (loop.data.real_tokens(rows.tolist()), sum(micro.input_ids.numel() for micro in loop._micros(rows)))
        for rows in loop.steps
    ]


def our_loop(lesson: Lesson, context: Context) -> Any:
    """`w2s.work.train.Loop` as the stage builds it, on one device: its model, its rows, its steps."""
    import torch

    from w2s.registry import module
    from w2s.work import train
    from w2s.work.fitted import fitted
    from w2s.work.model import load, set_training_mode
    from w2s.work.ranks import Ranks
    from w2s.work.stepper import Plain
    from w2s.work.table import read_part

    learner, seed = lesson.learner, lesson.science["seed"]
    ranks = Ranks.of(context)
    context = fitted(context, learner, ranks)
    rows = read_part(context, lesson.science["rows"])
    model, tokenizer = load(learner, rows.n_outputs, seed)
    data = train._dataset(context, rows, None, learner, tokenizer)
    set_training_mode(model, learner.dropout)
    if context.machines.get("gradient_checkpointing"):
        model.enable_gradient_checkpointing()
    torch.manual_seed(seed)
    loss = module("losses", lesson.science["loss"]["kind"]).Config.model_validate(lesson.science["loss"])
    stepper = Plain(model, learner, loss, ranks)
    return train.Loop(context, learner, stepper, tokenizer, data, None, seed=seed)


class Silent:
    """A watch that tells nobody."""

    def scalar(self, name: str, value: float, step: int) -> None: ...

    def progress(self, done: float, total: float, unit: str = "step") -> None: ...

    def note(self, text: str) -> None: ...

    def busy(self) -> AbstractContextManager[None]:
        return nullcontext()


def _silent(event: Event) -> None: ...


def _changed(stage: Train, **learner: Any) -> Train:
    changed = Learner.model_validate({**stage.learner.dump(), **learner})
    return dataclasses.replace(stage, learner=changed)


def _lesson(recipe: Recipe, stage: Train, inputs: Mapping[str, str]) -> Lesson:
    # a machine is looked up by the recipe's own learner, and ours has another number of epochs
    job = bridge.job(recipe, dataclasses.replace(stage, learner=recipe.strong))
    kept = {name: value for name, value in job.machines.items() if name != "checkpoint_steps"}
    return Lesson(stage.key, bridge.name(stage), stage.science(), kept, dict(inputs), [], [])
