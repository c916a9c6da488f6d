"""Which methods are controls: made to be looked at beside the others, not to win.

They are told by their stages, not by name, so that a method somebody adds is judged as these are:

    a student that learned a truth made wrong on purpose (`Corrupt`: random_labels), or was shown true labels of its own half
    (a `Prompted` with gold shots), has seen what no student of a weak supervisor has;
    a supervisor that is the strong model itself, taught the truth (self_distill), is not weak.

A floor or a ceiling alone has no student and is in no ranking; who chose by ground truth is an oracle (`gather`).
"""

from __future__ import annotations

from collections.abc import Iterable

from w2s.recipe import Recipe
from w2s.stages import Corrupt, Model, Outcome, Prompted, Stage, knows_truth, walk


def why_control(recipe: Recipe, outcomes: Iterable[Outcome]) -> str:
    """Why a method is a control, in a few words; "" for a method proper. `outcomes` are those of its seeds."""
    for outcome in outcomes:
        taught = () if outcome.transfer is None else walk(outcome.transfer.labels).values()
        if any(isinstance(stage, Corrupt) for stage in taught):
            return "its student learns the truth, made wrong"
        if any(_shows_truth(stage) for stage in taught):
            return "its student is shown the truth"
        supervision = () if outcome.floor is None else walk(outcome.floor.labels).values()
        if any(_is_strong(stage, recipe) for stage in supervision):
            return "its supervisor is the strong model"
    return ""


def _shows_truth(stage: Stage) -> bool:
    if not isinstance(stage, Prompted) or stage.shots == 0 or stage.shot_labels is not None:
        return False
    return stage.drawn_from is None or stage.drawn_from.name != "weak"  # whose truth the supervisor's teacher has


def _is_strong(stage: Stage, recipe: Recipe) -> bool:
    """The strong model, on the truth; where both models are one, nobody is stronger."""
    strong, weak = recipe.strong.model, recipe.weak.model
    return isinstance(stage, Model) and stage.learner.model == strong != weak and knows_truth(stage.labels)
