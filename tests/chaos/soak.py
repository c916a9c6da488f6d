"""Blow after blow at one gang that really trains, and what each cost: used by the tests here and by bench/chaos.py.

A toy recipe's student under ZeRO, its inputs made beforehand; an unbroken run of it without Ray to compare with; and a
listener that strikes each attempt once, at a moment of its own.
"""

from __future__ import annotations

import bisect
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.errors import from_record
from cluster.events import Event
from cluster.job import Job
from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.chaos.processes import Attempt, wait_until
from tests.conftest import toy_recipe
from tests.w2s.work.gang import Case, run
from tests.w2s.work.run_stage import weights
from w2s import bridge
from w2s.recipe import Recipe
from w2s.stages import Stage, Train, walk

RANKS = 2
RESUMED = re.compile(r"resumed at step (\d+) ")


def zero_recipe(epochs: int, zero: int = 3, **machines: Any) -> dict[str, Any]:
    """A toy experiment whose strong model trains as a gang; about 7 steps an epoch."""
    strong = {"devices": RANKS, "zero": zero, "micro_batch": 8, "cpus": 1, "gpus": 0}
    return toy_recipe(
        strong__epochs=epochs, strong__evaluate=25, method={"kind": "confidence"}, baselines=[],
        machines={"strong": strong, **machines},
    )  # fmt: skip


def student(recipe: Recipe) -> Train:
    return next(s for s in recipe.graph().values() if isinstance(s, Train) and s.labels is not None)


def fill(recipe: Recipe, stages: Sequence[Stage], store: Store) -> None:
    """Do some stages and all they need in this process, each as one process. Raises the first failure."""
    jobs = bridge.jobs(recipe, walk(*stages).values())
    with store.leases() as leases:
        scheduler = Scheduler(store, InlinePool(store.url), leases, lambda event: None)
        summary = scheduler.run(jobs, [stage.key for stage in stages])
    for ended in summary.failures.values():
        raise from_record(ended.error)


def unbroken(recipe: dict[str, Any], store: Store, folder: Path, zeros: Sequence[int]) -> dict[int, dict[str, bytes]]:
    """By ZeRO stage, the student's weights when nothing befalls its gang; what it needs is in the store."""
    stage = student(Recipe.model_validate(recipe))
    for needed in stage.inputs():
        (folder / needed.key).mkdir(parents=True)
        (folder / needed.key / "out").symlink_to(store.path(needed.key))
    cases = [Case(f"zero{zero}", {"zero": zero}) for zero in zeros]
    found = run(folder, recipe, stage.key, cases, RANKS)
    assert all(found[case.name].errors == [None] * RANKS for case in cases)
    return {zero: weights(found[f"zero{zero}"].out) for zero in zeros}


def graph(recipe: Recipe) -> tuple[dict[str, Job], Job]:
    """The jobs of the student and all it needs, and the student's own."""
    stage = student(recipe)
    jobs = bridge.jobs(recipe, walk(stage).values())
    return jobs, jobs[stage.key]


@dataclass(frozen=True)
class Blow:
    """What is done to an attempt, so many seconds after it has begun (`settled`: after its first step)."""

    victim: str
    act: Callable[[Attempt], object]
    after_s: float = 0.0
    settled: bool = True


@dataclass
class Wound:
    """What a blow did. Steps are as told by then; seconds are of training to be done again, and until the next step.

    `resumed` and `back_s` stay None where the next blow came before the gang was back.
    """

    victim: str
    at: float
    step: int
    lost_s: float = 0.0
    resumed: int | None = None
    back_s: float | None = None


@dataclass
class Soak:
    """A listener: strikes attempt n + 1 with blow n, and keeps count."""

    blows: list[Blow]
    attempts: list[Attempt] = field(default_factory=list)
    wounds: list[Wound] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)
    _resumed: int = 0  # where the running attempt began
    _steps: list[tuple[int, float]] = field(default_factory=list)  # of the running attempt, and when
    _before: list[tuple[int, float]] = field(default_factory=list)  # of the attempt that was struck last

    def __call__(self, event: Event) -> None:
        if event.kind == "started" and "ranks" in event.data:
            ranks = event.data["ranks"]
            attempt = Attempt([r["pid"] for r in ranks], [r["node"] for r in ranks], event.data["controller"])
            self.attempts.append(attempt)
            self._resumed, self._steps = 0, []
            if len(self.attempts) <= len(self.blows):
                blow = self.blows[len(self.attempts) - 1]
                threading.Thread(target=self._strike, args=(blow, attempt), daemon=True).start()
        elif event.kind == "note" and (found := RESUMED.match(str(event.data["text"]))):
            self._resumed = int(found[1])
        elif event.kind == "progress" and event.data.get("unit") == "step" and self.attempts:
            self._progressed(int(event.data["done"]), event.time)
        elif event.kind == "retry":
            self.retries.append(event.data["error"]["what"])

    def pids(self) -> list[int]:
        """Of every rank there ever was."""
        return [pid for attempt in self.attempts for pid in attempt.pids]

    def _progressed(self, step: int, when: float) -> None:
        if len(self.wounds) >= len(self.attempts):  # told before the blow, heard after it
            self.wounds[-1].step = step
            self._before.append((step, when))
            return
        if not self._steps and self.wounds:
            wound = self.wounds[-1]
            wound.resumed, wound.back_s = self._resumed, when - wound.at
            wound.lost_s = _training_after(self._resumed, self._before, wound.at)
        self._steps.append((step, when))

    def _strike(self, blow: Blow, attempt: Attempt) -> None:
        if blow.settled:
            wait_until(lambda: bool(self._steps), 120)
        time.sleep(blow.after_s)
        step = self._steps[-1][0] if self._steps else self._resumed
        blow.act(attempt)
        self._before = list(self._steps)
        self.wounds.append(Wound(blow.victim, time.time(), step))


def _training_after(step: int, steps: Sequence[tuple[int, float]], until: float) -> float:
    """Seconds from when a step was told to the blow; of all that was told where that step came before."""
    if not steps:
        return 0.0
    place = max(0, bisect.bisect_right([done for done, _ in steps], step) - 1)
    return until - steps[place][1]


def next_checkpoint(work: Path, timeout_s: float = 60.0) -> None:
    """Wait until a checkpoint is renamed into its place."""
    seen = _checkpoints(work)
    deadline = time.monotonic() + timeout_s
    while not _checkpoints(work) - seen and time.monotonic() < deadline:
        time.sleep(0.001)


def _checkpoints(work: Path) -> set[str]:
    return {path.name for path in work.glob("step-*")}
