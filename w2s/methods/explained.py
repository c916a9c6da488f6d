"""Learning from explanations: as naive, and not to mind what the rationale leaves out (Heo, Piratla, Wicker, Weller 2023).

Somebody marks the words that are the reason (a task's `highlights`); the student must not change its answer when the other tokens
change. `by` says how that is asked of it, from the cheapest to the exact: corm, pgd, gradreg, ibp (see `w2s.explain`). Floor and
ceiling are everyone's: who learns the truth learns it plainly. `rationale: random` is the negative control, tokens of the same
text and number that nobody marked; what helps there as much has not learned from the rationale.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.explain import Explain
from w2s.method import MethodConfig, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig, Explain):
    kind: Literal["explained"] = "explained"
    labels: Literal["soft", "hard"] = Field(
        "soft", description="hard: the weak label's most likely class counts as certain"
    )


def plan(world: World, config: Config) -> Outcome:
    """Weak labels on the strong half, cross-entropy on them, and the rationales' part."""
    verdict = supervision(world, config)
    taught = world.harden(verdict) if config.labels == "hard" else verdict
    student = world.train(world.strong, "strong", labels=taught, explain=Explain.of(config))
    return world.outcome(verdict, student)
