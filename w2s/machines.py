"""Machines: what may change how fast a result arrives, and never the result. Nothing here enters a key."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from w2s.config import Config


class Machine(Config):
    """What one stage of a learner runs on."""

    cpus: float = Field(1, gt=0, description="cores a stage reserves; its thread count")
    gpus: float = Field(1, ge=0, le=1, description="share of a GPU, where the cluster has any")
    micro_batch: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="rows held in memory at once"
    )
    gradient_checkpointing: bool = False


class Machines(Config):
    """Where and how a recipe runs."""

    weak: Machine = Machine(gpus=0.25)
    strong: Machine = Machine()
    retries: int = Field(1, ge=0, le=100, description="how often a failed stage is tried again")
    checkpoint_minutes: float = Field(10, gt=0, description="how often a training stage saves where it is")
    checkpoint_steps: int | None = Field(None, ge=1, description="save every N steps as well")
