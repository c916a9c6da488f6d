"""How much longer do a thousand probe students take than one? Seeds x alphas of the confidence loss on vectors that are there.

    python bench/probes.py                      20 seeds x 50 alphas, 2,000 rows of 384 numbers
    python bench/probes.py --seeds 2 --alphas 3 --rows 400     a rehearsal

Both are whole runs of the same command in this process (`--pool inline`), each with a store of its own: stages, fits, predictions,
grades, receipts on disk. The vectors are made up; only times are looked at. The first run also loads torch, and is not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # as `python bench/probes.py` from a checkout

from bench.tables import load, load_words, plain_table
from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from w2s import bridge
from w2s.recipe import Recipe
from w2s.stages import Probe


def main() -> None:
    options = _parse(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="w2s-probes-") as folder:
        report = measure(Path(folder), options.seeds, options.alphas, options.rows, options.width, options.steps)
    print(text(report))
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


def measure(folder: Path, seeds: int, alphas: int, rows: int, width: int, steps: int) -> dict[str, Any]:
    """Seconds of one student and of many, and where they went; as JSON."""
    file = folder / "vectors.npz"
    _write(file, rows, width)
    _run(_recipe(file, 1, 1, steps), folder / "warm")
    one = _run(_recipe(file, 1, 1, steps), folder / "one")
    many = _run(_recipe(file, seeds, alphas, steps), folder / "many")
    return {
        "rows": rows, "width": width, "steps": steps, "one": one, "many": many, "ratio": many["seconds"] / one["seconds"],
        "fit_ratio": many["fit_s"] / one["fit_s"], "load": load(),
    }  # fmt: skip


def text(report: dict[str, Any]) -> str:
    """The report for people."""
    rows = [
        [name, str(run["students"]), str(run["stages"]), f"{run['seconds']:.1f}", f"{run['fit_s']:.2f}", f"{run['rest_ms']:.1f}"]
        for name, run in (("one", report["one"]), ("many", report["many"]))
    ]  # fmt: skip
    head = ["", "students", "stages", "seconds", "of that fitting", "ms a stage for the rest"]
    what = f"{report['rows']} rows x {report['width']} numbers, {report['steps']} steps of Adam; {load_words(report['load'])}"
    end = f"many / one: {report['ratio']:.1f} (fitting alone {report['fit_ratio']:.1f}); goal: under 10"
    return "\n\n".join([what, plain_table(head, rows), end])


def _run(recipe: Recipe, folder: Path) -> dict[str, Any]:
    started = time.monotonic()
    store, jobs = Store.open(folder), bridge.jobs(recipe)
    with store.leases() as leases:
        scheduler = Scheduler(store, InlinePool(store.url), leases, lambda event: None)
        summary = scheduler.run(jobs, [stage.key for stage in recipe.goals()])
    seconds = time.monotonic() - started
    assert summary.exit_code == 0, summary.failures
    heads = [stage for stage in recipe.graph().values() if isinstance(stage, Probe)]
    fits = {
        (store.receipt(head.key).metrics["fit_seconds"]) for head in heads
    }  # shared by those that were fitted together
    students = sum(head.labels is not None for head in heads)
    rest_ms = 1000 * (seconds - sum(fits)) / len(jobs)
    return {"students": students, "stages": len(jobs), "seconds": seconds, "fit_s": sum(fits), "rest_ms": rest_ms}


def _recipe(file: Path, seeds: int, alphas: int, steps: int) -> Recipe:
    methods = [{"kind": "confidence", "alpha": round(0.9 * (i + 1) / alphas, 4)} for i in range(alphas)]
    return Recipe.model_validate({
        "name": "probes", "task": {"kind": "features", "path": str(file)}, "seeds": seeds,
        "weak": {"model": "given:weak"}, "strong": {"model": "features:vectors", "probe": {"l2": 0.1, "steps": steps}},
        "method": methods[0], "baselines": methods[1:],
    })  # fmt: skip


def _write(file: Path, rows: int, width: int) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(rows, width)).astype(np.float32)
    label = (vectors[:, :8].sum(axis=1) > 0).astype(np.int64)
    weak = 1 / (1 + np.exp(-vectors[:, 0] - 0.5 * generator.normal(size=rows)))
    np.savez(file, label=label, vectors=vectors, weak=weak.astype(np.float32))


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--alphas", type=int, default=50)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
