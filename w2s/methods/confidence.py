"""Auxiliary confidence loss: the student may side with its own hardened guess (Burns et al. 2023, appendix A.4)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.losses._shares import Shares
from w2s.losses.confidence import Config as Confidence
from w2s.losses.confidence import decided
from w2s.method import MethodConfig, supervision
from w2s.stages import Outcome, Train
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["confidence"] = "confidence"
    alpha: Shares = Field(
        0.5, description="weight of the student's own guess after warm-up; several: one after another over equal shares"
    )
    warmup: float = Field(0.2, ge=0, le=1, description="share of training over which alpha grows from 0")
    variant: Literal["paper", "reference", "argmax"] = Field(
        "paper", description="reference: openai's released formula, jump and all; argmax: guesses match no prior"
    )


def plan(world: World, config: Config) -> Outcome:
    """As naive, but the loss mixes in the student's own guesses, hardened at the prior-matched threshold."""
    verdict = supervision(world, config)
    student = world.train(world.strong, "strong", labels=verdict, loss=_loss(config))
    return world.outcome(verdict, student)


def legs(world: World, config: Config, alphas: tuple[float, ...], count: int) -> list[Train]:
    """The student's training cut in `count` legs, as many of them as there are `alphas`, one alpha a leg.

    All `count` legs are the training of `plan` with these as its alpha, cut up; legs of schedules that begin alike are the
    same stages. `config.alpha` has no say. Raises BadInput as `World.legs`.
    """
    loss = _loss(config)
    losses = [decided(loss, alphas[: leg + 1], count) for leg in range(len(alphas))]
    return world.legs(world.strong, "strong", labels=supervision(world, config), losses=losses, count=count)


def _loss(config: Config) -> Confidence:
    return Confidence(alpha=config.alpha, warmup=config.warmup, variant=config.variant)
