"""Auxiliary confidence loss: the student may side with its own hardened guess (Burns et al. 2023, appendix A.4)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.losses.confidence import Config as Confidence
from w2s.method import MethodConfig, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["confidence"] = "confidence"
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the student's own guess after warm-up")
    warmup: float = Field(0.2, ge=0, le=1, description="share of training over which alpha grows from 0")
    variant: Literal["paper", "reference", "argmax"] = Field(
        "paper", description="reference: openai's released formula, jump and all; argmax: guesses match no prior"
    )


def plan(world: World, config: Config) -> Outcome:
    """As naive, but the loss mixes in the student's own guesses, hardened at the prior-matched threshold."""
    verdict = supervision(world, config)
    loss = Confidence(alpha=config.alpha, warmup=config.warmup, variant=config.variant)
    student = world.train(world.strong, "strong", labels=verdict, loss=loss)
    return world.outcome(verdict, student)
