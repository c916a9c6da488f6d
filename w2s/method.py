"""The base of a method's configuration. A method file has `class Config(MethodConfig)` and `plan(world, config) -> Outcome`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import Field, ValidationError

from cluster.errors import BadInput
from w2s.config import Config
from w2s.learner import Learner
from w2s.loss import LossConfig
from w2s.registry import union
from w2s.stages import HowCombined, Labels
from w2s.world import World

if TYPE_CHECKING:
    AnyLoss: TypeAlias = LossConfig
else:
    AnyLoss = union("losses")


class MethodConfig(Config):
    """The choices of one method; each file narrows `kind` to its own name. Every method may have a crowd for supervisor."""

    kind: str
    members: int = Field(1, ge=1, le=256, description="weak supervisors, differing by seed")
    combine: HowCombined = Field("mean_prob", description="how their labels become one")

    @property
    def label(self) -> str:
        """A name for tables: the kind, and what was chosen other than by default."""
        return " ".join([self.kind, *_chosen(self)])


def supervision(world: World, config: MethodConfig) -> Labels:
    """The weak labels a student learns from: one supervisor's, or a crowd's made one."""
    crowd = world.supervisors(config.members)
    return world.combine([world.predict(teacher, "strong") for teacher in crowd], config.combine)


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
    """A value in a table's label: a chain step by step, a config by its own label or kind."""
    if isinstance(value, tuple):
        return ">".join(map(_short, value))
    if not isinstance(value, Config):
        return str(value)
    own = getattr(value, "label", None)
    return told(str(getattr(value, "kind", type(value).__name__)), value) if own is None else str(own)
