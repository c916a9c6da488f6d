"""One simulation as a stage, and as a job of the machine room: no inputs, one core, no device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cluster.job import Job, Resources
from w2s.stages.base import Stage


@dataclass(frozen=True)
class Simulation(Stage):
    """A stage that needs no other. `TARGET` is the function that does it; `seed` draws all that is random in it."""

    TARGET: ClassVar[str]

    seed: int


def job(stage: Simulation) -> Job:
    """What to run for a simulation. One core: a sweep's points run side by side, and sums are taken in the same order."""
    return Job(
        key=stage.key,
        kind=stage.kind,
        name=f"theory/{stage.words}",
        needs=(),
        target=stage.TARGET,
        science=stage.science(),
        resources=Resources(cpus=1),
    )
