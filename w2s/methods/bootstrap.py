"""Bootstrapping: each student's labels teach the next, over models of growing size (Burns et al. 2023, section 4.3.1).

`chain` names the students in order; the weak supervisor stands before the first, and the strong model is the last. A rung is
`weak` or `strong` (the recipe's own learners), or another model that learns with the settings of one of them:

    chain: [{model: gpt2-medium}, {model: gpt2-large, epochs: 1}, strong]

`data: same` has all rungs learn from the whole strong half, each relabelled by the student before. `data: fresh` deals that half
out: every rung learns from a share of its own, labelled by a student that has not seen it (as the paper does for chess). The
ceiling then learns from the last rung's share, so that both have as many rows.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cluster.errors import BadInput
from w2s.config import Config as Choices
from w2s.learner import Learner, ModelRef
from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, altered, supervision, told
from w2s.stages import Outcome, Part, Piece, Stage
from w2s.world import World

MOST_RUNGS = 32


class Rung(Choices):
    """One student of the chain."""

    learner: Literal["weak", "strong"] | None = Field(
        None,
        description="which of the recipe's learners, or, with a model of its own, whose settings it has (default: strong)",
    )
    model: ModelRef | None = Field(None, description="another model than that learner's")
    epochs: float | None = Field(None, gt=0, le=1000, description="default: the learner's")
    lr: float | None = Field(None, gt=0, description="default: the learner's")
    loss: AnyLoss = Field(Xent(), description="what this student minimises")
    labels: Literal["soft", "hard"] = Field("soft", description="hard: the label's most likely class counts as certain")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return {"learner": value} if value in ("weak", "strong") else {"model": value}

    @model_validator(mode="after")
    def _names_a_model(self) -> Rung:
        if self.learner is None and self.model is None:
            raise ValueError("names no model: write weak, strong, or model: ...")
        if self.model is not None and self.model.form == "given":
            raise ValueError(f"{self.model.source} are labels, which cannot learn; name a model")
        return self

    @property
    def label(self) -> str:
        """For tables: `gpt2-medium(epochs=1.0)`."""
        if self.model is not None:
            return told(self.model.short, self, "model")
        return told(str(self.learner), self, "learner")

    def student(self, world: World, where: str) -> Learner:
        """Who learns on this rung. Raises BadInput where the settings do not go with the model."""
        own = world.weak if self.learner == "weak" else world.strong
        if own.model.form == "given" and self.model is None:
            raise BadInput(where, f"weak is {own.model.source}, labels, which cannot learn", "name a model")
        choices: dict[str, Any] = {} if self.model is None else {"model": self.model}
        if self.epochs is not None:
            choices["epochs"] = self.epochs
        if self.lr is not None and own.probe is None:
            choices["optim"] = own.optim.model_copy(update={"lr": self.lr})
        elif self.lr is not None:
            choices["probe"] = own.probe.model_copy(update={"lr": self.lr})  # type: ignore[union-attr]
        return altered(own, where, **choices)


class Config(MethodConfig):
    kind: Literal["bootstrap"] = "bootstrap"
    chain: tuple[Rung, ...] = Field(
        (Rung(learner="strong"), Rung(learner="strong")),
        max_length=MOST_RUNGS,
        description="the students in order, each taught by the one before; the last is the strong model",
    )
    data: Literal["same", "fresh"] = Field(
        "same", description="fresh: every rung learns from an equal share of the strong half that no other rung sees"
    )

    @field_validator("chain")
    @classmethod
    def _ends_at_the_top(cls, value: tuple[Rung, ...]) -> tuple[Rung, ...]:
        if not value:
            raise ValueError("has no rung: name at least one student, [strong]")
        if value[-1].learner != "strong" or value[-1].model is not None:
            raise ValueError(
                "ends below the strong model, whose ceiling it is compared with; let its last rung be strong"
            )
        return value

    def part(self, world: World, place: int) -> Part:
        """The rows of one rung."""
        whole = self.data == "same" or len(self.chain) == 1
        return world.part("strong", None if whole else Piece(place, len(self.chain)))


def plan(world: World, config: Config) -> Outcome:
    """Each student learns what the one before says of its rows; those between are graded as well."""
    verdict = labels = supervision(world, config)
    extras: dict[str, Stage] = {}
    for place, rung in enumerate(config.chain):
        learner, part = rung.student(world, f"method.chain.{place}"), config.part(world, place)
        taught = world.harden(labels) if rung.labels == "hard" else labels
        student = world.train(learner, part, labels=taught, loss=rung.loss)
        labels = world.predict(student, part)
        extras[f"rung {place + 1}"] = world.grade(labels)
    del extras[f"rung {len(config.chain)}"]  # the last is the transfer itself
    return world.outcome(verdict, student, extras, ceiling=world.train(world.strong, part))
