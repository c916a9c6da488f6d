"""AdaBoost over weak models, whose weighted vote supervises (EnsemW2S: Agrawal et al. 2024, 2410.04571).

A round trains a weak model on the weak half's truth, every row weighing more the oftener rounds before were wrong there, and
counts for alpha = ln((1 - e) / e) / 2 in the vote, e being its weighted error (clipped to [.001, .999]; of more than two classes
SAMME's, half of ln((1 - e) / e) + ln(C - 1)).

error: out-of-fold   of `folds` more models a round, each judging the piece that it alone did not learn from; all of a round at once
error: training      of the round's model on its own rows, as released: after some epochs it is 0, and says nothing

Boosting stops at a round that is no better than chance, e >= 1 - 1 / C: it and all later ones count nothing. Which one that is
nobody knows beforehand, and a plan is made beforehand: later rounds are trained all the same, on weights that no longer change.
Where the first stops it, that one stands alone.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cluster.errors import BadInput
from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, lone
from w2s.stages import Boosted, Joined, Labels, Outcome, Piece, Reweighted, Stage, Truth, Vote
from w2s.world import Supervisor, World


class Config(MethodConfig):
    kind: Literal["adaboost"] = "adaboost"
    rounds: int = Field(
        5, ge=1, le=64, description="weak models that vote, each trained on the weights the last one left"
    )
    error: Literal["out-of-fold", "training"] = Field("out-of-fold", description="training: as released, and too low")
    folds: int = Field(5, ge=2, le=64, description="of error: out-of-fold; as many more models a round")
    vote: Vote = Field("soft", description="soft: of probabilities; discrete: of most probable classes")
    labels: Literal["soft", "hard"] = Field(
        "soft", description="hard: the vote's winner counts as certain (as released)"
    )
    loss: AnyLoss = Field(Xent(), description="what the student minimises")

    @model_validator(mode="after")
    def _all_act(self) -> Config:
        lone(self, "rounds")
        if self.error == "training" and self.folds != type(self).model_fields["folds"].get_default():
            raise ValueError("error: training has no use for folds")
        return self


def plan(world: World, config: Config) -> Outcome:
    """Rounds one after the other, the models of each side by side; their grades are kept beside the vote's."""
    if world.weak.model.form == "given":
        raise BadInput("weak.model", f"{world.weak.model.source} are labels, which cannot learn", "name a model")
    half = world.part("weak")
    weights: Reweighted | None = None
    models: list[Supervisor] = []
    rounds: list[Reweighted] = []
    for _ in range(config.rounds):
        learned = None if weights is None else Truth(half, weights=weights)
        models.append(world.train(world.weak, half, labels=learned))
        judged = _out_of_fold(world, weights, config.folds)
        if config.error == "training":
            judged = world.predict(models[-1], half)
        weights = Reweighted(judged, half, weights)
        rounds.append(weights)
    verdict: Labels = Boosted(tuple(world.predict(model, "strong") for model in models), tuple(rounds), config.vote)
    taught = world.harden(verdict) if config.labels == "hard" else verdict
    student = world.train(world.strong, "strong", labels=taught, loss=config.loss)
    extras: dict[str, Stage] = {
        f"round {i}": world.grade(world.predict(model, "test")) for i, model in enumerate(models, start=1)
    }
    return world.outcome(verdict, student, extras)


def _out_of_fold(world: World, weights: Reweighted | None, folds: int) -> Labels:
    """The weak half's labels by models that learned from the other pieces, with these weights."""
    half = world.part("weak")
    labels = []
    for piece in (Piece(index, folds) for index in range(folds)):
        model = world.train(world.weak, half, labels=Truth(half, left_out=piece, weights=weights))
        labels.append(world.predict(model, world.part("weak", piece)))
    return Joined(tuple(labels), half)
