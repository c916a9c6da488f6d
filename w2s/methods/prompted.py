"""Prompting: the strong model is asked in words, with or without labelled examples, untrained (Burns et al. 2023, 5.2.1)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.method import MethodConfig, supervision
from w2s.prompt import Calibrate, Prompt
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["prompted"] = "prompted"
    shots: int = Field(0, ge=0, le=64, description="rows of the strong half shown with their labels, balanced by class")
    shot_labels: Literal["weak", "gold"] = Field(
        "weak", description="whose labels; gold is the truth, which no student of a weak supervisor has"
    )
    calibrate: Calibrate = Field(
        "content_free",
        description="content_free: by what it says of nothing; prior: to the weak labels' class shares; or none",
    )
    prompt: Prompt = Prompt()


def plan(world: World, config: Config) -> Outcome:
    """The prompted strong model is the student; floor and ceiling are trained as ever."""
    verdict = supervision(world, config)
    shown = verdict if config.shot_labels == "weak" else None
    asked = world.prompt(
        world.strong,
        "test",
        config.prompt,
        shots=config.shots,
        calibrate=config.calibrate,
        shot_labels=shown,
        prior=verdict,
    )
    return world.outcome(verdict, asked)
