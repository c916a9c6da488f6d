"""Stages become jobs: science and machines join here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cluster.job import Job, Resources
from w2s.learner import Learner, ModelRef, is_local
from w2s.machines import Machine
from w2s.recipe import Recipe
from w2s.stages import (
    Adapt,
    Assigned,
    Boosted,
    Calibrated,
    Clusters,
    Combine,
    Corrupt,
    Crowd,
    Denoised,
    Embed,
    Filter,
    Gate,
    Generate,
    Given,
    Grade,
    GradeAnswers,
    Joined,
    Knows,
    Model,
    Predict,
    Probe,
    Prompted,
    Relabel,
    Reliable,
    Reweighted,
    Rows,
    Selected,
    Smooth,
    Stage,
    TopoFilter,
    Train,
    Truth,
    Write,
)

TARGETS: Mapping[type[Stage], str] = {
    Rows: "w2s.work.rows:run",
    Adapt: "w2s.work.adapt:run",
    Train: "w2s.work.train:run",
    Embed: "w2s.work.embed:run",
    Probe: "w2s.work.probe:run",
    Predict: "w2s.work.predict:run",
    Prompted: "w2s.work.prompted:run",
    Given: "w2s.work.given:run",
    Truth: "w2s.work.truth:run",
    Joined: "w2s.work.truth:run_joined",
    Combine: "w2s.work.combine:run",
    Crowd: "w2s.work.crowds:run",
    Calibrated: "w2s.work.crowds:run_calibrated",
    Reweighted: "w2s.work.boosting:run",
    Boosted: "w2s.work.boosting:run_vote",
    Clusters: "w2s.work.specialists:run_clusters",
    Assigned: "w2s.work.specialists:run_assigned",
    Denoised: "w2s.work.specialists:run_denoised",
    Reliable: "w2s.work.reliable:run",
    Selected: "w2s.work.select:run",
    Filter: "w2s.work.filter:run",
    TopoFilter: "w2s.work.topological:run",
    Relabel: "w2s.work.relabel:run",
    Smooth: "w2s.work.smooth:run",
    Knows: "w2s.work.knows:run",
    Gate: "w2s.work.gate:run",
    Corrupt: "w2s.work.corrupt:run",
    Grade: "w2s.work.grade:run",
    Write: "w2s.work.write:run",
    Generate: "w2s.work.generate:run",
    GradeAnswers: "w2s.work.grade_answers:run",
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
        target=_target(stage),
        science=stage.science(),
        machines=machines,
        resources=resources,
        retries=recipe.machines.retries,
        pack=_pack(stage),
    )


def _pack(stage: Stage) -> str:
    """Heads on one model's vectors are trained, asked and graded in one go."""
    taught = _taught(stage)
    if isinstance(taught, Probe):
        return f"{stage.kind} {taught.features.key}"
    return f"Grade {stage.rows.rows.key}" if type(stage) is Grade else ""  # of answers, a handful: one by one


def _target(stage: Stage) -> str:
    if isinstance(stage, Predict) and isinstance(stage.model, Probe):
        return "w2s.work.probe:predict"
    return TARGETS[type(stage)]


def _resources(recipe: Recipe, stage: Stage, machine: Machine) -> Resources:
    """What a stage reserves. A model whose weights may need a gang predicts in one; any other fits on one device.

    A probe is arithmetic on vectors that are there already: cores alone.
    """
    if isinstance(_taught(stage), Probe):
        return Resources(machine.cpus)
    many = machine.devices > 1 or machine.offload != "none"
    gang = machine.is_gang and (
        isinstance(stage, Train | Adapt | Write) or machine.zero == 3 or (machine.zero == "auto" and many)
    )
    if not gang:
        return Resources(machine.cpus, machine.gpus)
    hang_s = 60 * recipe.machines.hang_minutes
    return Resources(machine.cpus, machine.gpus, ranks=machine.devices, nodes=machine.nodes, hang_s=hang_s)


def _taught(stage: Stage) -> Model | None:
    """The model a stage trains or asks."""
    if isinstance(stage, Model):
        return stage
    return stage.model if isinstance(stage, Predict | Generate) else None


def _machines(recipe: Recipe, stage: Stage) -> tuple[Machine | None, dict[str, Any]]:
    """The machine a stage runs on (None: a light one) and the machine choices its code may read."""
    taught = _taught(stage)
    if isinstance(stage, Embed | Prompted):
        machine = recipe.machine_of(stage.model)
        return machine, {**_host(machine), **_local(stage.model)}
    if isinstance(stage, Adapt):
        machine = recipe.machine(stage.learner)
        return machine, _trains(recipe, machine, stage.learner.model)
    if taught is None:
        return None, {}
    machine = recipe.machine(taught.learner)
    if isinstance(stage, Predict) and isinstance(taught, Probe):
        assert taught.learner.probe is not None
        return machine, {"features": taught.features.key, "layers": [str(layer) for layer in taught.learner.probe.read]}
    if isinstance(taught, Probe):
        return machine, {}
    if not isinstance(stage, Train | Write):
        return machine, _host(machine)
    adapted = isinstance(stage, Train) and stage.start is not None
    return machine, _trains(recipe, machine, None if adapted else taught.learner.model)


def _trains(recipe: Recipe, machine: Machine, model: ModelRef | None) -> dict[str, Any]:
    """What a training loop may choose by, and the pretrained model it begins from (None: one that was adapted here)."""
    choices = {
        "devices": machine.devices,
        "gpus": machine.gpus,
        "zero": machine.zero,
        "offload": machine.offload,
        "nvme_path": machine.nvme_path,
        "micro_batch": machine.micro_batch,
        "gradient_checkpointing": machine.gradient_checkpointing,
        "compile": machine.compile,
        "checkpoint_minutes": recipe.machines.checkpoint_minutes,
        "checkpoint_steps": recipe.machines.checkpoint_steps,
    }
    return choices if model is None else {**choices, **_local(model)}


def _host(machine: Machine) -> dict[str, Any]:
    """For prediction: weights that trained only because they lay in the host's memory lie there again."""
    return {} if machine.offload == "none" else {"offload": "cpu"}


def _local(model: ModelRef) -> dict[str, Any]:
    """What the key was made with, where that is a local file that may change before the worker reads it."""
    local = model.form == "local" or (model.form == "static" and is_local(model.place))
    return {"model": model.identity()} if local else {}


def name(stage: Stage) -> str:
    """A name for people: `vader/train minilm on strong (weak labels, confidence) s0`. Not unique; keys are."""
    return f"{task_of(stage)}/{stage.words}"


def task_of(stage: Stage) -> str:
    """The kind of the task a stage belongs to."""
    if isinstance(stage, Rows):
        return stage.task.kind
    return task_of(stage.inputs()[0])


def models(stages: Iterable[Stage]) -> list[Learner]:
    """The distinct learners of some stages whose models have to be fetched before they run."""
    learners = [stage.learner for stage in stages if isinstance(stage, Model)]
    return [learner for learner in dict.fromkeys(learners) if learner.model.form != "features"]
