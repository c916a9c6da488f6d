"""Gangs without Ray: real processes over gloo that run a training stage, many cases in one start (imports take seconds).

    results = run(bench, stage, [Case("zero2", {"zero": 2})], ranks=2)

As a program (`python -m tests.w2s.work.gang ORDER RANK`) it is one of those processes.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

TIMEOUT_S = 280


@dataclass(frozen=True)
class Case:
    """One run of the stage. `machines` overrides the job's; `stop_after` asks to stop after so many steps; `work` names its
    folder, so that one case can go on where another stopped. `mishap` names what befalls it: a context manager
    "module:function", called with the Context and `how` and entered on every rank around the stage's function."""

    name: str
    machines: dict[str, Any] = field(default_factory=dict)
    stop_after: int | None = None
    work: str | None = None
    recipe: dict[str, Any] | None = None  # another recipe with the same rows and labels
    mishap: str | None = None
    how: dict[str, Any] = field(default_factory=dict)
    leg: tuple[int, int] | None = (
        None  # of the student whose key is given: which leg of how many, one an alpha of its method
    )
    after: str | None = None  # the case that ran the leg before


@dataclass(frozen=True)
class Result:
    """What a case left: `out`, its notes, its metrics, and what was raised (a Problem's record) on each rank."""

    out: Path
    notes: list[str]  # rank 0's
    metrics: dict[str, Any]
    errors: list[dict[str, str] | None]
    facts: list[dict[str, Any]]
    all_notes: list[list[str]]  # by rank


def run(
    root: Path, recipe: dict[str, Any], key: str, cases: Sequence[Case], ranks: int, device: str = "cpu"
) -> dict[str, Result]:
    """Run the cases one after another on one gang; the stage's inputs lie in `root` already (see Bench)."""
    with _gang(root, recipe, key, cases, ranks, device) as (folder, processes):
        codes = [process.wait(TIMEOUT_S) for process in processes]
    tails = "\n".join((folder / f"rank{rank}.log").read_text()[-3000:] for rank in range(ranks))
    assert codes == [0] * ranks, tails
    return {case.name: _result(folder, case, ranks) for case in cases}


@dataclass(frozen=True)
class Failure:
    """What the last case of a gang left when one of its ranks failed: its `work` folder, and by rank who died of itself,
    and what was raised by those that could still tell."""

    work: Path
    died: list[int]
    errors: dict[int, dict[str, str] | None]


def run_until_failure(root: Path, recipe: dict[str, Any], key: str, cases: Sequence[Case], ranks: int) -> Failure:
    """Run cases until a rank dies or the last one fails on a rank; then kill the others, who may wait for it, as Ray Train would."""
    with _gang(root, recipe, key, cases, ranks) as (folder, processes):
        last = cases[-1]
        told = [folder / f"{last.name}.{rank}.json" for rank in range(ranks)]
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in processes) or any(file.exists() for file in told):
                break
            time.sleep(0.01)
        died = [rank for rank, process in enumerate(processes) if process.poll() == -signal.SIGKILL]
    errors = {rank: json.loads(file.read_text())["error"] for rank, file in enumerate(told) if file.exists()}
    return Failure(folder / (last.work or last.name) / "work", died, errors)


@contextmanager
def _gang(
    root: Path, recipe: dict[str, Any], key: str, cases: Sequence[Case], ranks: int, device: str = "cpu"
) -> Iterator[tuple[Path, list[subprocess.Popen[bytes]]]]:
    """The running processes of a gang and the folder they write to. Leaving it kills those that still run."""
    folder = root / f"gang-{ranks}-{len(list(root.glob('gang-*')))}"
    folder.mkdir()
    order = folder / "order.json"
    order.write_text(
        json.dumps({
            "root": str(root), "recipe": recipe, "key": key, "ranks": ranks, "device": device,
            "cases": [asdict(case) for case in cases],
        })
    )  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": device, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-m", "tests.w2s.work.gang", str(order)]
    with ExitStack() as logs:
        processes = [
            subprocess.Popen(
                [*command, str(rank)],
                env={**env, "CUDA_VISIBLE_DEVICES": str(rank)} if device == "cuda" else env,
                stdout=logs.enter_context(open(folder / f"rank{rank}.log", "w")),
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )
            for rank in range(ranks)
        ]
        try:
            yield folder, processes
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _result(folder: Path, case: Case, ranks: int) -> Result:
    told = [json.loads((folder / f"{case.name}.{rank}.json").read_text()) for rank in range(ranks)]
    return Result(
        folder / case.name / "out", told[0]["notes"], told[0]["metrics"], [t["error"] for t in told],
        [t["facts"] for t in told], [t["notes"] for t in told],
    )  # fmt: skip


def main(order_file: str, rank: int) -> None:
    order = json.loads(Path(order_file).read_text())
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    folder, ranks = Path(order_file).parent, order["ranks"]
    backend = "nccl" if order["device"] == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": "0"}
    for case in order["cases"]:
        told = _case(Path(order["root"]), folder, order, Case(**case), rank)
        draft = folder / f"{case['name']}.{rank}.draft"
        draft.write_text(json.dumps(told))
        draft.rename(draft.with_suffix(".json"))
        dist.barrier()
    dist.destroy_process_group()


def _case(root: Path, folder: Path, order: dict[str, Any], case: Case, rank: int) -> dict[str, Any]:
    from cluster.errors import BadEnvironment, Problem
    from cluster.job import Context
    from cluster.worker import as_problem, load_target
    from tests.w2s.work.run_stage import Ledger
    from w2s import bridge
    from w2s.methods import confidence
    from w2s.recipe import Recipe
    from w2s.stages import Train, walk

    recipe = Recipe.model_validate(case.recipe or order["recipe"])
    stages = walk(*recipe.goals())
    stage = stages.get(order["key"]) or next(s for s in stages.values() if isinstance(s, Train) and s.labels)
    inputs = {needed.key: root / needed.key / "out" for needed in stage.inputs()}
    if case.leg is not None:
        method: Any = recipe.method
        stage = confidence.legs(recipe.world(recipe.seeds[0]), method, method.alpha, case.leg[1])[case.leg[0]]
        if stage.before is not None:
            inputs[stage.before.key] = folder / str(case.after) / "out"
    job = bridge.job(recipe, stage)
    out, work = folder / case.name / "out", folder / (case.work or case.name) / "work"
    for place in (out, work):
        place.mkdir(parents=True, exist_ok=True)
    ledger = Ledger()
    context = Context(
        key=job.key, name=job.name, science=job.science, machines={**job.machines, **case.machines},
        inputs=inputs, out=out, work=work, watch=ledger,
        rank=rank, ranks=order["ranks"], device=order["device"], stop=stop_after(case.stop_after) if rank == 0 else lambda: False,
    )  # fmt: skip
    told: dict[str, Any] = {"metrics": {}, "error": None, "facts": {}}
    with _watched_models(told["facts"]):
        try:
            with _mishap(case, context):
                told["metrics"] = dict(load_target(job.target)(context))
        except Exception as error:
            problem = as_problem(error, job.name)  # as a worker tells it
            if not isinstance(error, Problem) and not isinstance(problem, BadEnvironment):
                raise
            told["error"] = problem.record()
    return {**told, "notes": ledger.notes}


def _mishap(case: Case, context: Any) -> AbstractContextManager[Any]:
    if case.mishap is None:
        return nullcontext()
    module, _, name = case.mishap.partition(":")
    found: AbstractContextManager[Any] = getattr(importlib.import_module(module), name)(context, **case.how)
    return found


@contextmanager
def _watched_models(facts: dict[str, Any]) -> Iterator[None]:
    """Notes what a rank holds of the model's body at the moment DeepSpeed is given it."""
    import deepspeed

    initialize = deepspeed.initialize

    def noting(*args: Any, **kwargs: Any) -> Any:
        weights = list(kwargs["model"].body.parameters())
        facts["held"] = sum(weight.numel() for weight in weights)
        facts["shards"] = sum(weight.ds_tensor.numel() for weight in weights if hasattr(weight, "ds_tensor"))
        facts["whole"] = sum(getattr(weight, "ds_numel", weight.numel()) for weight in weights)
        return initialize(*args, **kwargs)

    deepspeed.initialize = noting
    try:
        yield
    finally:
        deepspeed.initialize = initialize


def stop_after(steps: int | None) -> Callable[[], bool]:
    """Asked to stop at the question after so many steps."""
    if steps is None:
        return lambda: False
    asked = iter(range(10**9))
    return lambda: next(asked) >= steps


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
