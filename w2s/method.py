"""The base of a method's configuration. A method file has `class Config(MethodConfig)` and `plan(world, config) -> Outcome`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pydantic import Field

from w2s.config import Config
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
        chosen = [f"{name}={_short(value)}" for name, value in self if name != "kind" and value != _default(self, name)]
        return " ".join([self.kind, *chosen])


def supervision(world: World, config: MethodConfig) -> Labels:
    """The weak labels a student learns from: one supervisor's, or a crowd's made one."""
    crowd = world.supervisors(config.members)
    return world.combine([world.predict(teacher, "strong") for teacher in crowd], config.combine)


def _default(config: Config, name: str) -> object:
    return type(config).model_fields[name].get_default(call_default_factory=True)


def _short(value: object) -> str:
    return str(getattr(value, "kind", value))
