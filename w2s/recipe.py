"""A recipe: the science and the machines of one experiment, from YAML to a frozen, checked value."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pydantic import Field, model_validator

from cluster.errors import BadInput
from cluster.key import content_key
from cluster.zero import cut
from w2s import explains, writes, written
from w2s import loss as losses
from w2s.config import Config
from w2s.learner import Learner, ModelRef
from w2s.machines import Machine, Machines
from w2s.method import MethodConfig
from w2s.registry import module, union, unknown
from w2s.search.config import Search
from w2s.seeds import Seeds
from w2s.stages import Model, Outcome, Split, Stage, Write, reached, walk
from w2s.task import TaskConfig
from w2s.world import World

if TYPE_CHECKING:
    AnyTask: TypeAlias = TaskConfig
    AnyMethod: TypeAlias = MethodConfig
else:
    AnyTask, AnyMethod = union("tasks"), union("methods")

SLUG = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class Recipe(Config):
    """One experiment: a task, a weak and a strong learner, a method (and baselines beside it), seeds, machines."""

    name: str = Field(pattern=SLUG, description="names the report; the file's name by default")
    description: str = ""
    task: AnyTask
    weak: Learner
    strong: Learner
    method: AnyMethod
    baselines: tuple[AnyMethod, ...] = Field((), description="methods to run beside it, on the same halves")
    seeds: Seeds = (0,)
    split: Split = Split()
    machines: Machines = Machines()
    search: Search | None = Field(None, description="what `w2s tune` varies; no part of any stage")

    @model_validator(mode="after")
    def _divides(self) -> Recipe:
        for side, learner in (("weak", self.weak), ("strong", self.strong)):
            fault = self._fault(learner, f"{side}.batch")
            if fault:
                raise ValueError(fault)
        return self

    def _fault(self, learner: Learner, where: str) -> str:
        """What a learner's machine cannot do with it; "" where all is well. A probe needs no machine of that kind."""
        machine, name = self.machine(learner), self._machine_name(learner)
        if learner.probe is not None:
            return ""
        if learner.batch_tokens is None:
            micro = None if machine.micro_batch == "auto" else machine.micro_batch
            try:
                cut(learner.batch, machine.devices, micro)
            except BadInput as problem:
                return f"{name}, {where}: {problem.what}; {problem.remedy}"
        if learner.precision == "fp16" and (machine.zero in (1, 2, 3) or machine.offload != "none"):
            # DeepSpeed scales the loss and then clips what it scaled; and each rank alone decides to skip a step
            return f"{name}: fp16 is not exact under ZeRO 1 to 3; set precision: bf16, or zero: 0"
        if machine.is_gang and learner.optim.kind == "adafactor":
            return f"{name}: adafactor needs whole matrices, ZeRO cuts them; use adamw, or one device"
        return ""

    @model_validator(mode="after")
    def _held_out(self) -> Recipe:
        watched = [
            side for side, learner in (("weak", self.weak), ("strong", self.strong)) if learner.evaluate != "never"
        ]
        if self.split.val == 0 and watched:
            raise ValueError(
                f"split.val is 0, and {watched[0]}.evaluate needs held-out rows: set evaluate: never, or val: 0.1"
            )
        return self

    @model_validator(mode="after")
    def _sided(self) -> Recipe:
        if self.task.sided and self.split.weak != Split().weak:
            raise ValueError(
                f"split.weak: the halves of task {self.task.kind} are its sides, source and shift; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _given(self) -> Recipe:
        if self.strong.model.form == "given":
            raise ValueError("strong.model: given labels can supervise, they cannot learn; name a model")
        used = [learner for learner in (self.weak, self.strong) if learner.model.form in ("features", "given")]
        if used and self.task.kind != "features":
            raise ValueError(f"{used[0].model.source} is a column of task features; this task is {self.task.kind}")
        return self

    @model_validator(mode="after")
    def _written(self) -> Recipe:
        for side, learner in (("weak", self.weak), ("strong", self.strong)):
            fault = written.fault(self.task, side, learner)
            if fault:
                raise ValueError(fault)
        return self

    @property
    def methods(self) -> tuple[MethodConfig, ...]:
        """The method and its baselines, each once."""
        return tuple(dict.fromkeys((self.method, *self.baselines)))

    def machine(self, learner: Learner) -> Machine:
        """What a learner's stages run on: its model's own machine, else that of its side."""
        own = self.machines.models.get(learner.model.short)
        return own or (self.machines.weak if self._on_weak(learner) else self.machines.strong)

    def _on_weak(self, learner: Learner) -> bool:
        """Whether a learner runs where the weak one does: it is that one, or its model with other settings."""
        return learner == self.weak or (learner.model == self.weak.model != self.strong.model)

    def machine_of(self, model: ModelRef) -> Machine:
        """What a model's hidden states are computed on."""
        learners = [learner for learner in (self.weak, self.strong) if learner.model == model]
        own = self.machines.models.get(model.short)
        return own or (self.machine(learners[0]) if learners else self.machines.strong)

    def _machine_name(self, learner: Learner) -> str:
        if learner.model.short in self.machines.models:
            return f"machines.models.{learner.model.short}"
        return "machines.weak" if self._on_weak(learner) else "machines.strong"

    def world(self, seed: int) -> World:
        return World(self.task, self.weak, self.strong, self.split, seed)

    @cached_property
    def outcomes(self) -> dict[MethodConfig, dict[int, Outcome]]:
        """What the recipe promises: method -> seed -> outcome. Pure; milliseconds."""
        return {
            method: {seed: module("methods", method.kind).plan(self.world(seed), method) for seed in self.seeds}
            for method in self.methods
        }

    def goals(self) -> list[Stage]:
        """What was promised: the stages of every outcome."""
        return [
            stage for by_seed in self.outcomes.values() for outcome in by_seed.values() for stage in outcome.stages()
        ]

    def graph(self) -> dict[str, Stage]:
        """Every stage of every outcome by key, inputs first. Reads the local files that keys depend on."""
        return walk(*self.goals())

    @property
    def fingerprint(self) -> str:
        """8 hex digits over what is promised: overrides give another report folder, machines do not."""
        return content_key(sorted(stage.key for stage in self.goals()))[:8]

    def check(self) -> None:
        """What the schema cannot see: losses, machines and models of whatever the methods plan. Raises BadInput.

        Reads no data; of a model that is on this disk and is to write words, its config.
        """
        goals = self.goals()
        written.check(self.task, self.outcomes)
        writes.check(goals, self.strong.model)
        explains.check(self.task, goals, self.machine)
        taught = [stage for stage in reached(*goals) if isinstance(stage, Model)]
        for stage in taught:
            if not isinstance(stage, Write):  # there are no classes a loss might not serve
                losses.check(stage.loss, self.task.n_classes)
            fault = self._fault(stage.learner, f"batch of {stage.learner.model.short}")
            if fault:
                raise BadInput("machines", fault)
        models = {stage.learner.model.short for stage in taught}
        for name in self.machines.models:
            if name not in models:
                raise BadInput("machines.models", unknown("model", name, sorted(models)))


def package_recipes() -> Path:
    """The folder of recipes that come with w2s: inside the installed package, or at the root of a checkout."""
    inside = Path(__file__).parent / "_recipes"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "recipes"
