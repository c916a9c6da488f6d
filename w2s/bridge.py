"""Stages become jobs: science and machines join here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cluster.job import Job, Resources
from w2s.learner import Learner, is_local
from w2s.machines import Machine
from w2s.recipe import Recipe
from w2s.stages import Combine, Grade, Labels, Predict, Rows, Stage, Train

TARGETS: Mapping[type[Stage], str] = {
    Rows: "w2s.work.rows:run",
    Train: "w2s.work.train:run",
    Predict: "w2s.work.predict:run",
    Combine: "w2s.work.combine:run",
    Grade: "w2s.work.grade:run",
}
PRELOAD = ("w2s.work.train", "w2s.work.predict")
"""What a warm worker loads once: torch, transformers and every stage's code."""


def jobs(recipe: Recipe, stages: Iterable[Stage] | None = None) -> dict[str, Job]:
    """One job per stage of the recipe, by key."""
    return {stage.key: job(recipe, stage) for stage in (recipe.graph().values() if stages is None else stages)}


def job(recipe: Recipe, stage: Stage) -> Job:
    """What to run for a stage, and on what."""
    machine, machines = _machines(recipe, stage)
    resources = _resources(recipe, stage, machine) if machine else Resources()
    return Job(
        key=stage.key,
        kind=stage.kind,
        name=name(stage),
        needs=tuple(needed.key for needed in stage.inputs()),
        target=TARGETS[type(stage)],
        science=stage.science(),
        machines=machines,
        resources=resources,
        retries=recipe.machines.retries,
    )


def _resources(recipe: Recipe, stage: Stage, machine: Machine) -> Resources:
    """What a stage reserves. A model whose weights may need a gang predicts in one; any other fits on one device."""
    gang = machine.is_gang and (
        isinstance(stage, Train) or machine.zero == 3 or (machine.zero == "auto" and machine.devices > 1)
    )
    if not gang:
        return Resources(machine.cpus, machine.gpus)
    hang_s = 60 * recipe.machines.hang_minutes
    return Resources(machine.cpus, machine.gpus, ranks=machine.devices, nodes=machine.nodes, hang_s=hang_s)


def _machines(recipe: Recipe, stage: Stage) -> tuple[Machine | None, dict[str, Any]]:
    """The machine a stage runs on (None: a light one) and the machine choices its code may read."""
    learner = stage.learner if isinstance(stage, Train) else stage.model.learner if isinstance(stage, Predict) else None
    if learner is None:
        return None, {}
    machine = recipe.machine(learner)
    choices = {
        "devices": machine.devices,
        "zero": machine.zero,
        "offload": machine.offload,
        "nvme_path": machine.nvme_path,
        "micro_batch": machine.micro_batch,
        "gradient_checkpointing": machine.gradient_checkpointing,
        "compile": machine.compile,
        "checkpoint_minutes": recipe.machines.checkpoint_minutes,
        "checkpoint_steps": recipe.machines.checkpoint_steps,
    }
    if not isinstance(stage, Train):
        return machine, {}
    # what the key was made with, where that is a local file that may change before the worker reads it
    local = learner.model.form == "local" or (learner.model.form == "static" and is_local(learner.model.place))
    return machine, {**choices, **({"model": learner.model.identity()} if local else {})}


def name(stage: Stage) -> str:
    """A name for people: `vader/train minilm on strong (weak labels, confidence) s0`. Not unique; keys are."""
    return f"{task_of(stage)}/{_words(stage)}"


def task_of(stage: Stage) -> str:
    """The kind of the task a stage belongs to."""
    if isinstance(stage, Rows):
        return stage.task.kind
    return task_of(stage.inputs()[0])


def _words(stage: Stage) -> str:
    if isinstance(stage, Rows):
        return "rows"
    if isinstance(stage, Train):
        learned = "truth" if stage.labels is None else f"{_origin(stage.labels)} labels"
        return f"train {stage.learner.model.short} on {stage.rows.name} ({learned}, {stage.loss.kind}) s{stage.seed}"
    if isinstance(stage, Predict):
        return f"predict {stage.rows.name} by {_words(stage.model).removeprefix('train ')}"
    if isinstance(stage, Combine):
        return f"combine {stage.how} of {len(stage.labels)}: {_words(stage.labels[0])}"
    assert isinstance(stage, Grade)
    return f"grade {_words(stage.labels)}"


def _origin(labels: Labels) -> str:
    if isinstance(labels, Predict):
        return labels.model.learner.model.short
    assert isinstance(labels, Combine)
    return f"{len(labels.labels)}x {_origin(labels.labels[0])}"


def models(stages: Iterable[Stage]) -> list[Learner]:
    """The distinct learners of some stages: what has to be fetched before they run."""
    return list(dict.fromkeys(stage.learner for stage in stages if isinstance(stage, Train)))
