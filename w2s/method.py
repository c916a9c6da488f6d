"""The base of a method's configuration. A method file has `class Config(MethodConfig)` and `plan(world, config) -> Outcome`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field, ValidationError

from cluster.errors import BadInput
from w2s.config import Config
from w2s.learner import Learner, ModelRef
from w2s.loss import LossConfig
from w2s.registry import union
from w2s.stages import HowCombined, Labels
from w2s.world import World

if TYPE_CHECKING:
    AnyLoss: TypeAlias = LossConfig
else:
    AnyLoss = union("losses")


Agreed = HowCombined | Literal["calibrated"]


class MethodConfig(Config):
    """The choices of one method; each file narrows `kind` to its own name. Every method may have a crowd for supervisor."""

    kind: str
    members: int = Field(1, ge=1, le=256, description="weak supervisors, differing by seed")
    combine: Agreed = Field(
        "mean_prob", description="how their labels become one; calibrated: a mean after calibration"
    )

    @property
    def label(self) -> str:
        """A name for tables: the kind, and what was chosen other than by default."""
        return " ".join([self.kind, *_chosen(self)])


def supervision(world: World, config: MethodConfig) -> Labels:
    """The weak labels a student learns from: one supervisor's, or a crowd's made one."""
    return agreed(
        world, [world.predict(teacher, "strong") for teacher in world.supervisors(config.members)], config.combine
    )


def agreed(world: World, labels: Sequence[Labels], how: Agreed) -> Labels:
    """One verdict from several labellers; `calibrated`: the mean of their probabilities, each made as sure as it is right."""
    if how == "calibrated":
        return world.combine([world.calibrate(one) for one in labels])
    return world.combine(labels, how)


def lone(config: MethodConfig, crowd: str) -> None:
    """Raise ValueError for a choice of supervisors, of a method that makes its own."""
    for name in ("members", "combine"):
        if getattr(config, name) != _default(config, name):
            raise ValueError(f"{name}: {config.kind} makes its own supervisors; see {crowd}")


def altered(learner: Learner, where: str, **choices: Any) -> Learner:
    """A learner with other choices. Raises BadInput where they do not go together."""
    try:
        return Learner.model_validate({**dict(learner), **choices})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        what = str(fault.get("ctx", {}).get("error", fault["msg"]))
        place = ".".join(str(step) for step in fault["loc"])
        raise BadInput(where, f"{place}: {what}" if place else what) from None


def told(name: str, config: Config, hidden: str = "kind") -> str:
    """A config within a table's label: its name, and in brackets what was chosen other than by default."""
    chosen = ",".join(_chosen(config, hidden))
    return f"{name}({chosen})" if chosen else name


def _chosen(config: Config, hidden: str = "kind") -> list[str]:
    return [f"{name}={_short(value)}" for name, value in config if name != hidden and value != _default(config, name)]


def _default(config: Config, name: str) -> object:
    return type(config).model_fields[name].get_default(call_default_factory=True)


def _short(value: object) -> str:
    """A value in a table's label: steps of a chain or schedule a>b, things side by side a+b, a config by its label or kind."""
    if isinstance(value, tuple):
        follow = all(isinstance(item, Config | float) and not isinstance(item, ModelRef) for item in value)
        return (">" if follow else "+").join(map(_short, value))
    if not isinstance(value, Config):
        return str(value)
    if isinstance(value, ModelRef):
        return value.short
    own = getattr(value, "label", None)
    return told(str(getattr(value, "kind", type(value).__name__)), value) if own is None else str(own)
