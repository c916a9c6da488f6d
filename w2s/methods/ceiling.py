"""The ceiling alone: the strong model on the strong half's truth, no supervisor; over many seeds, one to hold others against.

All three grades of the outcome are the ceiling's own, so a report shows one number three times, and no gap to recover.
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
    own = world.grade(world.predict(world.train(world.strong, "strong"), "test"))
    return Outcome(floor=own, transfer=own, ceiling=own)
