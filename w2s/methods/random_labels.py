"""Control: as many errors as the weak supervisor makes, but of another structure (Burns et al. 2023, appendix E.2).

The student learns the truth, made wrong on exactly as many rows as the supervisor has wrong:

    random         any rows: errors that nothing in the text predicts
    longest        those of the longest texts
    shortest       those of the shortest texts
    unconfident    those where a strong model that learned from truth is least confident
    confident      those where it is right and most confident

The strong model that is asked learned the weak half, so that its confidence is not that of a memory. The floor is the accuracy of
the labels made this way: the supervisor's, to the row. Labels are hard. This uses truth that no real student has: a control.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, supervision
from w2s.stages import Outcome, Structure
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["random_labels"] = "random_labels"
    structure: Structure = Field("random", description="which rows are made wrong")
    loss: AnyLoss = Field(Xent(), description="what the student minimises")


def plan(world: World, config: Config) -> Outcome:
    """As naive, on labels that are wrong as often as the supervisor's."""
    weak = supervision(world, config)
    asked = config.structure in ("unconfident", "confident")
    sure = world.predict(world.train(world.strong, "weak"), "strong") if asked else None
    verdict = world.corrupt(weak, config.structure, sure)
    student = world.train(world.strong, "strong", labels=verdict, loss=config.loss)
    return world.outcome(verdict, student, extras={"supervisor": world.grade(weak)})
