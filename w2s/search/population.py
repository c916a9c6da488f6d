"""Population-based training over alpha schedules (Jaderberg et al. 2017): students that change alpha between shares of training.

A member is a schedule of alphas as far as it is decided. Each round trains one leg more, a stage of its own, so members that
share a beginning share its legs, and the schedule that wins is a recipe like any other (`method.alpha: [...]`): trained in one
go it gives the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cluster.errors import BadInput
from cluster.tune_adviser import Member, Population
from w2s.losses.confidence import Config as Confidence
from w2s.search.course import Course
from w2s.search.searched import Searched
from w2s.search.table import Row
from w2s.search.trials import Trial, random_trials, students, trial_recipe
from w2s.stages import Grade, Leg, Model, Predict, Train

ALPHA = "method.alpha"


def schedule(
    history: Sequence[Mapping[str, float]], values: Mapping[str, float], low: float, high: float
) -> list[float]:
    """A member's alphas, the rounds behind it and the one it goes into, within the bounds of the space."""
    return [round(min(high, max(low, float(past[ALPHA]))), 6) for past in (*history, values)]


def leg_course(searched: Searched, alphas: Sequence[float], number: int, row: Row | None) -> Course:
    """The course of a member's next leg: every seed's students trained so far, and in the last round their grades."""
    count = searched.search.rounds
    whole = [*alphas, *[alphas[-1]] * (count - len(alphas))]
    recipe = trial_recipe(searched, Trial({ALPHA: whole}))
    outcomes = recipe.outcomes[recipe.method]
    taught = {seed: last_leg(student, alphas, count) for seed, student in students(recipe).items()}
    grades: dict[int, Grade] = {}
    if len(alphas) == count:
        for seed, student in taught.items():
            transfer = outcomes[seed].transfer
            assert transfer is not None
            grades[seed] = replace(transfer, labels=Predict(student, transfer.rows))
    return Course(Trial({ALPHA: list(alphas)}), number, recipe, dict(taught), grades, row)


def last_leg(student: Model, alphas: Sequence[float], count: int) -> Train:
    """The last of the legs in which a student is trained with these alphas, one a leg."""
    if not isinstance(student, Train) or not isinstance(student.loss, Confidence):
        raise BadInput(
            "search.algorithm", "pbt trains by the confidence loss, leg by leg", "set method.kind: confidence"
        )
    before: Train | None = None
    for index in range(len(alphas)):
        decided = [*alphas[: index + 1], *[alphas[index]] * (count - index - 1)]
        loss = student.loss.model_copy(update={"alpha": tuple(decided)})
        before = replace(student, loss=loss, leg=Leg(index, count), before=before)
    assert before is not None, "a member has at least one alpha"
    return before


def population(searched: Searched, rows: Mapping[int, Row]) -> Population:
    """The members to begin with, or to go on with: those of the table, all from the last round that all have reached.

    `rows` are the table's by member. What a member decided beyond that round is what it tries next.
    """
    search = searched.search
    domain = search.space[ALPHA]
    low, high = float(domain.corners()[0]), float(domain.corners()[-1])
    drawn = [float(trial.overrides[ALPHA]) for trial in random_trials(searched, 0, search.trials)]
    known = {number: [float(alpha) for alpha in row.overrides[ALPHA]] for number, row in rows.items() if row.reports}
    reached = min((len(rows[n].reports) for n in known), default=0) if len(known) >= search.trials else 0
    members = []
    for number in range(search.trials):
        alphas = known.get(number, [])
        after = alphas[reached] if len(alphas) > reached else (alphas[-1] if alphas else drawn[number])
        past = tuple({ALPHA: alpha} for alpha in alphas[:reached])
        members.append(Member({ALPHA: after if reached else drawn[number]}, past))
    return Population(members, {ALPHA: (low, high)}, search.seed)
