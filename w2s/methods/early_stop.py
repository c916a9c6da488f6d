"""Early stopping by agreement with held-out weak labels (Burns et al. 2023).

The student is looked at every so many steps, and the weights that agree best with weak labels of rows it did not learn from are
kept. That is a property of any student: `strong: {evaluate: 25, select: best, patience: 4}` in a recipe gives it to every method,
the ceiling included. This method gives it to one student alone, so that it can stand in a table beside others with one floor and
one ceiling. The learning curve is kept with the model (curve.json) and in TensorBoard.

`select: oracle` looks at ground truth instead: a bound that no real student reaches, and named so in every table.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster.errors import BadInput
from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, altered, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["early_stop"] = "early_stop"
    every: Literal["epoch"] | Annotated[int, Field(ge=1)] = Field(
        25, description="look every so many steps, or each epoch"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after so many looks without a better one; null: learn to the end, then go back"
    )
    select: Literal["best", "oracle"] = Field(
        "best", description="best: by held-out weak labels; oracle: by ground truth"
    )
    loss: AnyLoss = Field(Xent(), description="what the student minimises")


def plan(world: World, config: Config) -> Outcome:
    """As naive, but of all that the student was on its way, the best is kept."""
    if world.split.val == 0:
        raise BadInput("method early_stop", "split.val is 0, so nothing is held out to look at", "set split.val: 0.1")
    watched = altered(
        world.strong, "method early_stop", evaluate=config.every, select=config.select, patience=config.patience
    )
    verdict = supervision(world, config)
    student = world.train(watched, "strong", labels=verdict, loss=config.loss)
    return world.outcome(verdict, student)
