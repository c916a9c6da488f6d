"""The nouns the machine room shares: what to run (Job), on how much (Resources), what came of it (Receipt), and what a
running job holds in its hands (Context)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

RECEIPT_FORMAT = 1


@dataclass(frozen=True)
class Resources:
    """What a job reserves; of a gang, what each of its ranks reserves.

    `gpus` may be a fraction; a cluster without GPUs ignores it when `gpu_optional`. `ranks` is 0 for a solo job; else the
    job is a gang of so many processes, placed together, one per device. `nodes` is how many nodes a gang is spread over
    (None: as few as possible). `hang_s`: a gang that is silent for so long is taken for hung.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    gpu_optional: bool = True
    ranks: int = 0
    nodes: int | None = None
    hang_s: float = 600.0


@dataclass(frozen=True)
class Job:
    """One piece of work: a key, the keys it needs, and the function that does it.

    `target` is "package.module:function"; `science` and `machines` are plain JSON, so a job travels between versions and
    processes without pickled code. Only `science` is covered by the key.
    """

    key: str
    kind: str
    name: str
    needs: tuple[str, ...]
    target: str
    science: Mapping[str, Any]
    machines: Mapping[str, Any] = field(default_factory=dict)
    resources: Resources = Resources()
    retries: int = 0
    pack: str = ""
    """Small jobs of one pack may be done in one go, by the target's sibling `function_pack(contexts) -> metrics of each`."""


@dataclass(frozen=True)
class Receipt:
    """The last file written for a finished job. Its presence means the result is whole.

    `files` maps each relative path to {"sha256", "bytes"}; `inputs` maps each needed key to its human name.
    `seconds` is the work itself, without waiting. `started` is seconds since the epoch (UTC).
    """

    key: str
    kind: str
    name: str
    science: Mapping[str, Any]
    machines: Mapping[str, Any]
    inputs: Mapping[str, str]
    metrics: Mapping[str, Any]
    started: float
    seconds: float
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    git: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    format: int = RECEIPT_FORMAT

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Receipt:
        names = {f.name for f in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in names})


class Watch(Protocol):
    """Where a running job reports. Rank 0 only."""

    def scalar(self, name: str, value: float, step: int) -> None:
        """One point of a curve, for TensorBoard and for the driver's subscribers."""
        ...

    def progress(self, done: float, total: float, unit: str = "step") -> None:
        """How far the job is; cheap, call it as often as you like."""
        ...

    def note(self, text: str) -> None:
        """One line for the user (also logged)."""
        ...

    def busy(self) -> AbstractContextManager[None]:
        """Enter it around what takes long and can tell nothing meanwhile, so that a gang is not taken for hung."""
        ...


@dataclass(frozen=True)
class Context:
    """What a job's function receives.

    `inputs` maps each needed key to a local folder (read only). Results go into `out`; `work` is scratch that outlives a
    crash (checkpoints) and is removed once the result is committed. `device` is "cpu" or "cuda"; `threads` is what the
    job reserved. `stop()` turns true when the job is asked to save and leave: raise `Interrupted` then. `still_mine()`
    raises if another driver has taken this job over: call it before overwriting anything in `work`.

    A gang's function runs on every rank (`rank` of `ranks`, torch.distributed initialised, `out` and `work` shared by all).
    There `watch` reaches the user from rank 0 only; on every rank its `progress` tells the keeper that the rank is alive.
    `stop()` may turn true on one rank before another: ranks agree among themselves before they act on it. What rank 0
    returns are the metrics, once every rank has returned.
    """

    key: str
    name: str
    science: Mapping[str, Any]
    machines: Mapping[str, Any]
    inputs: Mapping[str, Path]
    out: Path
    work: Path
    watch: Watch
    device: str = "cpu"
    threads: int = 1
    rank: int = 0
    ranks: int = 1
    stop: Callable[[], bool] = lambda: False
    still_mine: Callable[[], None] = lambda: None


Target = Callable[[Context], Mapping[str, Any]]
"""A job's function: does the work, writes into `context.out`, returns the final metrics (plain JSON)."""

PackTarget = Callable[[Sequence[Context]], Sequence[Mapping[str, Any]]]
"""The function of a pack of jobs: does the work of all, returns the metrics of each in the same order."""
