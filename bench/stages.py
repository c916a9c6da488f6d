"""Seconds from submit to the first step of a training stage: a cold solo, a warm solo, a cold gang.

    python bench/stages.py --repeats 3 --ranks 2 --json out.json

A tiny model on toy rows, so that nearly all of the time is start-up: the scheduler, Ray's processes, imports, the process
group. Each repeat has a Ray cluster and a store of its own. The rows are there before the clock starts; it stops at the
stage's first `progress` event.

cold solo   the first stage a fresh cluster gets: an actor starts, and loads torch and transformers
warm solo   the next one, on the actor that is loaded by then
cold gang   `--ranks` processes under Ray Train and DeepSpeed, on a cluster that is up and has no such processes yet
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # as `python bench/stages.py` from a checkout

from bench.lesson import ceiling, run_inline
from bench.tables import Spread, load, load_words, plain_table
from cluster.errors import Problem, from_record
from cluster.events import Event
from cluster.job import Job
from cluster.pool import Pool
from cluster.scheduler import Scheduler
from cluster.store import Store
from w2s import bridge
from w2s.recipe import Recipe

GOALS = {"warm solo": 1.0}
CASES = ("cold solo", "warm solo", "cold gang")


@dataclass
class Listener:
    """Remembers when a job's first events of each kind came to pass."""

    first: dict[str, float] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        if event.kind in ("started", "progress", "done"):
            self.first.setdefault(event.kind, event.time)


@dataclass(frozen=True)
class Start:
    """Seconds after the stage was submitted: its target was called, took its first step, was done."""

    started: float
    first_step: float
    done: float


def main() -> None:
    arguments = _parse(sys.argv[1:])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        report = run(arguments.cases, arguments.repeats, arguments.ranks, arguments.zero)
    except Problem as problem:
        sys.exit(f"bench: {problem}")
    print(text(report))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=2) + "\n")


def run(cases: Sequence[str], repeats: int, ranks: int, zero: int) -> dict[str, Any]:
    """All cases, `repeats` times; the report as JSON."""
    seen: dict[str, list[Start]] = {case: [] for case in cases}
    for repeat in range(repeats):
        print(f"repeat {repeat + 1} of {repeats}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="w2s-bench-") as folder:
            for case, start in _on_fresh_cluster(Path(folder), cases, ranks, zero).items():
                seen[case].append(start)
    rows = []
    for case, starts in seen.items():
        spreads = {
            name: dataclasses.asdict(Spread.of([getattr(start, name) for start in starts]))
            for name in ("started", "first_step", "done")
        }
        rows.append({"case": case, **spreads, "goal": GOALS.get(case)})
    return {"ranks": ranks, "zero": zero, "repeats": repeats, "load": load(), "rows": rows}


def text(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        [row["case"], *(_spread(row[name]) for name in ("started", "first_step", "done")), _verdict(row)]
        for row in report["rows"]
    ]
    gang = f"the gang: {report['ranks']} ranks under ZeRO-{report['zero']}"
    what = f"seconds after submit, median (min-max) of {report['repeats']}; {gang}; {load_words(report['load'])}"
    return what + "\n\n" + plain_table(["stage", "started", "first step", "done", "goal"], lines)


def _on_fresh_cluster(folder: Path, cases: Sequence[str], ranks: int, zero: int) -> dict[str, Start]:
    from cluster.ray_pool import RayPool, connect, disconnect

    recipe = _recipe(0, None)
    store = Store.open(folder / "store")
    run_inline(recipe, ceiling(recipe).inputs(), store)
    try:
        connect(None, cpus=max(2, ranks))
        pool = RayPool(store.url, bridge.PRELOAD)
        try:
            return {case: _submit(pool, store, _job(case, ranks, zero)) for case in cases}
        finally:
            pool.close()
    finally:
        disconnect()


def _submit(pool: Pool, store: Store, job: Job) -> Start:
    """Run one stage whose inputs are there. Raises what it failed with."""
    listener = Listener()
    with store.leases() as leases:
        scheduler = Scheduler(store, pool, leases, listener)
        submitted = time.time()
        summary = scheduler.run(_known(job), [job.key])
    for ended in summary.failures.values():
        raise from_record(ended.error)
    return Start(*(listener.first[kind] - submitted for kind in ("started", "progress", "done")))


def _job(case: str, ranks: int, zero: int) -> Job:
    """Each case trains with a seed of its own, so that the store holds none of them."""
    seed = CASES.index(case)
    recipe = _recipe(seed, {"devices": ranks, "zero": zero} if case == "cold gang" else None)
    return bridge.job(recipe, ceiling(recipe))


def _known(job: Job) -> dict[str, Job]:
    recipe = _recipe(0, None)
    rows = {stage.key: bridge.job(recipe, stage) for stage in ceiling(recipe).inputs()}
    assert set(job.needs) <= set(rows), "the rows do not depend on the seed"
    return {**rows, job.key: job}


def _recipe(seed: int, machine: dict[str, Any] | None) -> Recipe:
    learner = {"model": {"source": "tiny:bert", "width": 32, "depth": 2}, "batch": 16, "max_tokens": 64, "epochs": 1}
    strong = {"cpus": 1, "gpus": 0, **(machine or {})}
    return Recipe.model_validate({
        "name": "start-up", "task": {"kind": "toy", "size": 240, "n_test": 60},
        "weak": {**learner, "evaluate": "never", "optim": {"lr": 1e-3}}, "strong": learner,
        "method": {"kind": "naive"}, "seeds": [seed], "machines": {"strong": strong, "retries": 0},
    })  # fmt: skip


def _spread(record: dict[str, float]) -> str:
    return f"{record['median']:.2f} ({record['least']:.2f}-{record['most']:.2f})"


def _verdict(row: dict[str, Any]) -> str:
    if row["goal"] is None:
        return ""
    return f"< {row['goal']:g} s " + ("met" if row["first_step"]["median"] < row["goal"] else "missed")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--zero", type=int, choices=[0, 1, 2, 3], default=2)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
