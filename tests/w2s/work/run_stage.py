"""Runs stages in this process without a store: each into a folder of its own, inputs first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from cluster.job import Context
from cluster.worker import load_target
from w2s import bridge
from w2s.recipe import Recipe
from w2s.stages import Stage, walk


class Ledger:
    """A watch that keeps what it is told."""

    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []
        self.notes: list[str] = []

    def scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def progress(self, done: float, total: float, unit: str = "step") -> None:
        assert 0 <= done <= total

    def note(self, text: str) -> None:
        self.notes.append(text)

    def busy(self) -> AbstractContextManager[None]:
        return nullcontext()


class Bench:
    """A folder where stages of one recipe run."""

    def __init__(self, recipe: Recipe, root: Path) -> None:
        self.recipe, self.root = recipe, root

    def out(self, stage: Stage) -> Path:
        return self.root / stage.key / "out"

    def prepare(self, *stages: Stage) -> None:
        """Run everything the stages need, not the stages themselves."""
        for needed in walk(*(inner for stage in stages for inner in stage.inputs())).values():
            if not self.out(needed).exists():
                self.run(needed)

    def run(
        self,
        stage: Stage,
        *,
        machines: dict[str, Any] | None = None,
        stop: Callable[[], bool] = lambda: False,
        work: str = "work",
        device: str = "cpu",
    ) -> tuple[dict[str, Any], Ledger]:
        """Run one stage; returns its metrics and what it told."""
        job = bridge.job(self.recipe, stage)
        out = self.out(stage)
        out.mkdir(parents=True, exist_ok=True)
        (self.root / stage.key / work).mkdir(exist_ok=True)
        ledger = Ledger()
        context = Context(
            key=job.key, name=job.name, science=job.science, machines={**job.machines, **(machines or {})},
            inputs={key: self.root / key / "out" for key in job.needs}, out=out, work=self.root / stage.key / work,
            watch=ledger, device=device, stop=stop,
        )  # fmt: skip
        return dict(load_target(job.target)(context)), ledger

    def all(self, stages: Iterable[Stage]) -> None:
        for stage in stages:
            self.run(stage)


def weights(folder: Path) -> dict[str, bytes]:
    """The exact bytes of every tensor a trained stage published."""
    from safetensors.torch import load_file

    found = {}
    for name in ("model.safetensors", "head.safetensors"):
        for key, tensor in load_file(folder / "model" / name).items():
            found[f"{name}/{key}"] = tensor.numpy().tobytes()
    return found


def rekeyed(stage: Stage, **changes: Any) -> Any:
    return dataclasses.replace(stage, **changes)  # type: ignore[type-var]
