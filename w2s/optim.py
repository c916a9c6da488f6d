"""How weights move: the optimizer, and the learning rate over a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from w2s.config import Config


class Optim(Config):
    """The optimizer. Defaults follow common finetuning practice; openai/weak-to-strong uses adam, no clipping."""

    kind: Literal["adamw", "adam", "adafactor"] = "adamw"
    lr: float = Field(5e-5, gt=0)
    head_lr: float | None = Field(None, gt=0, description="learning rate of the new head (default: lr)")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    clip: float | None = Field(1.0, gt=0, description="largest global gradient norm; null for none")


class Schedule(Config):
    """Learning rate over the run: `warmup` is a share of all steps, linear from 0."""

    kind: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.0, ge=0, lt=1)
