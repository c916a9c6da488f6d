"""Gangs without Ray: real processes over gloo that run a training stage, many cases in one start (imports take seconds).

    results = run(bench, stage, [Case("zero2", {"zero": 2})], ranks=2)

As a program (`python -m tests.w2s.work.gang ORDER RANK`) it is one of those processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

TIMEOUT_S = 280


@dataclass(frozen=True)
class Case:
    """One run of the stage. `machines` overrides the job's; `stop_after` asks to stop after so many steps; `work` and
    `out` name its folders, so that one case can go on where another stopped."""

    name: str
    machines: dict[str, Any] = field(default_factory=dict)
    stop_after: int | None = None
    work: str | None = None
    recipe: dict[str, Any] | None = None  # another recipe with the same rows and labels


@dataclass(frozen=True)
class Result:
    """What a case left: `out`, its notes, its metrics, and what was raised (a Problem's record) on each rank."""

    out: Path
    notes: list[str]
    metrics: dict[str, Any]
    errors: list[dict[str, str] | None]
    facts: list[dict[str, Any]]


def run(root: Path, recipe: dict[str, Any], key: str, cases: Sequence[Case], ranks: int) -> dict[str, Result]:
    """Run the cases one after another on one gang; the stage's inputs lie in `root` already (see Bench)."""
    folder = root / f"gang-{ranks}-{len(list(root.glob('gang-*')))}"
    folder.mkdir()
    order = folder / "order.json"
    order.write_text(
        json.dumps({
            "root": str(root), "recipe": recipe, "key": key, "ranks": ranks, "cases": [asdict(case) for case in cases],
        })
    )  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "PYTHONPATH": str(ROOT)}
    logs = [open(folder / f"rank{rank}.log", "w") for rank in range(ranks)]  # noqa: SIM115 - closed below
    command = [sys.executable, "-W", "ignore", "-m", "tests.w2s.work.gang", str(order)]
    processes = [
        subprocess.Popen([*command, str(rank)], env=env, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
        for rank, log in enumerate(logs)
    ]
    try:
        codes = [process.wait(TIMEOUT_S) for process in processes]
    finally:
        for process, log in zip(processes, logs, strict=True):
            process.kill()
            log.close()
    tails = "\n".join((folder / f"rank{rank}.log").read_text()[-3000:] for rank in range(ranks))
    assert codes == [0] * ranks, tails
    return {case.name: _result(folder, case, ranks) for case in cases}


def _result(folder: Path, case: Case, ranks: int) -> Result:
    told = [json.loads((folder / f"{case.name}.{rank}.json").read_text()) for rank in range(ranks)]
    return Result(
        folder / case.name / "out", told[0]["notes"], told[0]["metrics"], [t["error"] for t in told],
        [t["facts"] for t in told],
    )  # fmt: skip


def main(order_file: str, rank: int) -> None:
    order = json.loads(Path(order_file).read_text())
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    folder, ranks = Path(order_file).parent, order["ranks"]
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": "0"}
    for case in order["cases"]:
        told = _case(Path(order["root"]), folder, order, Case(**case), rank)
        (folder / f"{case['name']}.{rank}.json").write_text(json.dumps(told))
        dist.barrier()
    dist.destroy_process_group()


def _case(root: Path, folder: Path, order: dict[str, Any], case: Case, rank: int) -> dict[str, Any]:
    from cluster.errors import Problem
    from cluster.job import Context
    from cluster.worker import load_target
    from tests.w2s.work.run_stage import Ledger
    from w2s import bridge
    from w2s.recipe import Recipe
    from w2s.stages import Train, walk

    recipe = Recipe.model_validate(case.recipe or order["recipe"])
    stages = walk(*recipe.goals())
    stage = stages.get(order["key"]) or next(s for s in stages.values() if isinstance(s, Train) and s.labels)
    job = bridge.job(recipe, stage)
    out, work = folder / case.name / "out", folder / (case.work or case.name) / "work"
    for place in (out, work):
        place.mkdir(parents=True, exist_ok=True)
    ledger = Ledger()
    context = Context(
        key=job.key, name=job.name, science=job.science, machines={**job.machines, **case.machines},
        inputs={key: root / key / "out" for key in job.needs}, out=out, work=work, watch=ledger,
        rank=rank, ranks=order["ranks"], stop=stop_after(case.stop_after) if rank == 0 else lambda: False,
    )  # fmt: skip
    told: dict[str, Any] = {"metrics": {}, "error": None, "facts": {}}
    with _watched_models(told["facts"]):
        try:
            told["metrics"] = dict(load_target(job.target)(context))
        except Problem as problem:
            told["error"] = problem.record()
    return {**told, "notes": ledger.notes}


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
