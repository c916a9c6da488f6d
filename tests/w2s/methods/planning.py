"""Methods planned on the toy recipe, as values: nothing is run."""

from __future__ import annotations

from typing import Any

from tests.conftest import toy_recipe
from w2s import registry
from w2s.method import MethodConfig
from w2s.recipe import Recipe
from w2s.stages import Model, Outcome, Predict, Stage, walk
from w2s.world import World

OWN = ("adaboost", "co_supervised")  # methods that make their own supervisors, and take no members


def crowd_of(kind: str, count: int) -> dict[str, Any]:
    """The choice of so many supervisors, of a method that has it."""
    return {} if kind in OWN else {"members": count}


def world(**changes: Any) -> World:
    return Recipe.model_validate(toy_recipe(**changes)).world(0)


def config(kind: str, **choices: Any) -> MethodConfig:
    found: MethodConfig = registry.module("methods", kind).Config(**choices)
    return found


def planned(kind: str, there: World | None = None, **choices: Any) -> Outcome:
    found: Outcome = registry.module("methods", kind).plan(there or world(), config(kind, **choices))
    return found


def grades(outcome: Outcome) -> tuple[str, ...]:
    """The keys of the sides there are."""
    return tuple(grade.key for grade in outcome.sides().values())


def student(outcome: Outcome) -> Model:
    """The model that is graded as the transfer."""
    assert outcome.transfer is not None
    assert isinstance(outcome.transfer.labels, Predict)
    return outcome.transfer.labels.model


def top(outcome: Outcome) -> Model:
    assert outcome.ceiling is not None
    assert isinstance(outcome.ceiling.labels, Predict)
    return outcome.ceiling.labels.model


def below(outcome: Outcome) -> list[Stage]:
    return list(walk(*outcome.stages()).values())
