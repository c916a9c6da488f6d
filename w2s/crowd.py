"""Crowds of supervisors: what members differ in, and how their labels become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from cluster.errors import BadInput
from w2s.learner import Layer, Learner, ModelRef
from w2s.method import MethodConfig, altered
from w2s.probe import Subspace
from w2s.stages import Given, Sample
from w2s.world import MEMBER_STRIDE, Supervisor, World

Differ = Literal["auto", "seed", "order", "bootstrap", "subset", "features", "layer", "model"]
USES = {"layer": "layers", "model": "models", "bootstrap": "share", "subset": "share", "features": "share"}
SHARES = {"bootstrap": 1.0, "subset": 0.5, "features": 0.5}


class CrowdConfig(MethodConfig):
    """The choices of a method whose supervisor is a crowd."""

    members: int = Field(4, ge=1, le=256, description="weak supervisors (by layer and model: one for each named)")
    differ: Differ = Field(
        "auto",
        description="what members differ in; auto: seed, or bootstrap where a seed changes nothing (heads from zero)",
    )
    share: float | None = Field(
        None, gt=0, le=1, description="of rows (bootstrap: 1, subset: 0.5) or features (0.5) a member learns from"
    )
    layers: tuple[Layer, ...] = Field((), description="differ: layer: the one each member's head reads")
    models: tuple[ModelRef, ...] = Field((), description="differ: model: they learn with the settings of weak")

    @model_validator(mode="after")
    def _all_act(self) -> CrowdConfig:
        own = USES.get(self.differ)
        for name in ("layers", "models", "share"):
            if getattr(self, name) != type(self).model_fields[name].get_default() and name != own:
                raise ValueError(f"differ: {self.differ} has no use for {name}")
        if self.differ not in ("layer", "model"):
            return self
        named: Sequence[object] = self.layers if self.differ == "layer" else self.models
        if not named:
            raise ValueError(f"differ: {self.differ} needs {own}: name one a member")
        if len(set(named)) < len(named):
            raise ValueError(f"{own}: one is named twice, and two members would be the same")
        unsaid = type(self).model_fields["members"].get_default()  # as it is in a recipe written out whole
        if self.members not in (unsaid, len(named)):
            raise ValueError(f"members: {self.members} and {len(named)} {own}; name one a member, or leave members out")
        return self


def crowd(world: World, config: CrowdConfig) -> list[Supervisor]:
    """The supervisors, none like another. Raises BadInput where the weak learner cannot differ in that."""
    if config.differ == "model":
        return [_of_model(world, model, f"method.models.{i}") for i, model in enumerate(config.models)]
    if config.differ == "auto":
        return world.supervisors(config.members)
    _check(world.weak, config)
    if config.differ == "layer":
        return [world.train(_reading(world.weak, layer, config.layers), "weak") for layer in config.layers]
    seeds = [world.seed + MEMBER_STRIDE * i for i in range(config.members)]
    if config.differ == "seed":
        return [world.train(world.weak, "weak", seed=seed) for seed in seeds]
    if config.differ == "order":
        orders = [None, *seeds[1:]]  # the first is the weak model as every other method has it
        return [world.train(world.weak, "weak", order=order) for order in orders]
    share = config.share or SHARES[config.differ]
    if config.differ == "features":
        return [world.train(_through(world.weak, Subspace(share=share, seed=seed)), "weak") for seed in seeds]
    samples = [Sample(seed, share, replace=config.differ == "bootstrap") for seed in seeds]
    return [world.train(world.weak, "weak", labels=world.truth("weak", sample=sample)) for sample in samples]


def _check(weak: Learner, config: CrowdConfig) -> None:
    """Raise BadInput for a learner whose members would be one and the same, or cannot be made."""
    probe = weak.probe is not None
    if weak.model.form == "given":
        what = f"{weak.model.source} are labels, which nobody trains"
        raise BadInput("method.differ", what, "set differ: model and models: [given:a, given:b], or differ: auto")
    if config.differ == "features" and not probe:
        raise BadInput("method.differ", "features are a probe's to read", "set weak.probe: {}, or differ: bootstrap")
    if config.differ == "order" and probe:
        raise BadInput("method.differ", "a probe meets all rows at once, in no order", "set differ: bootstrap")
    if config.differ == "seed" and probe and weak.head != "normal":
        what = "heads that start from zero are the same for every seed"
        raise BadInput("method.differ", what, "set differ: bootstrap, or weak.head: normal")


def _reading(weak: Learner, layer: Layer, layers: Sequence[Layer]) -> Learner:
    """The learner with its head on another layer: of hidden states kept in one pass, or of a model that ends there."""
    if weak.probe is not None:
        probe = weak.probe.model_copy(update={"layer": layer, "embed": tuple(layers)})
        return altered(weak, "method.layers", probe=probe)
    if not isinstance(layer, int) or layer < 1:
        what = f"a finetuned model ends at a layer from 1 on, not at {layer}"
        raise BadInput("method.layers", what, "write numbers above 0, or set weak.probe: {}")
    return altered(weak, "method.layers", model=weak.model.model_copy(update={"layers": layer}))


def _through(weak: Learner, subspace: Subspace) -> Learner:
    assert weak.probe is not None, "checked before"
    return altered(weak, "method.differ", probe=weak.probe.model_copy(update={"subspace": subspace}))


def _of_model(world: World, model: ModelRef, where: str) -> Supervisor:
    """Another model with the settings of weak; or a column of labels that came with the task."""
    if model.form == "given":
        return Given(model.column, world.part("strong"))
    return world.train(altered(world.weak, where, model=model), "weak")
