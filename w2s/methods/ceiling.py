"""The ceiling alone: the strong model on the strong half's truth, no supervisor; over many seeds, one to hold others against.

The outcome has one side, so a report shows that number and a dash for all others.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from w2s.method import MethodConfig
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["ceiling"] = "ceiling"

    @model_validator(mode="after")
    def _no_crowd(self) -> Config:
        if self.members != 1:
            raise ValueError(f"nobody supervises a ceiling: members: {self.members} means nothing here")
        return self


def plan(world: World, config: Config) -> Outcome:
    """Nothing weak is trained."""
    return Outcome(ceiling=world.grade(world.predict(world.train(world.strong, "strong"), "test")))
