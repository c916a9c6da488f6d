"""Tokens a second of our training loop beside a bare PyTorch loop and transformers' Trainer, paired in one run.

    python bench/train.py                                 the quickstart's strong model on its rows
    python bench/train.py RECIPE strong.batch=64 --steps 40 --repeats 3 --ranks 2 --json out.json

The stage is the recipe's ceiling. Every variant runs in fresh processes with the same number of threads, one after another,
all of them in each repeat, so that whatever else the machine does meets all alike. Warm-up steps are not counted. A ratio
compares our loop (`ours`) with another variant of the same repeat: over 1, ours is faster.

Two clocks: the wall's, and the CPU time of the processes themselves. On a machine that does other work, trust the second.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # as `python bench/train.py` from a checkout

from bench.lesson import Lesson, prepare
from bench.tables import Spread, load, load_words, plain_table
from bench.variants import Answer, Order
from cluster.errors import BadInput, Problem, StageFailed
from cluster.sizes import Sizes
from w2s.learner import Learner

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 1800
OURS = "ours"
GOALS = {"bare": 0.95, "trainer-grouped": 1.05, "trainer": 1.3}
ZERO = {"zero1": 1, "zero2": 2, "zero3": 3}
VARIANTS = (OURS, *ZERO, *GOALS)


@dataclass(frozen=True)
class Row:
    """A variant over all repeats."""

    variant: str
    tokens_per_s: Spread
    tokens_per_cpu_s: Spread
    ours_over: Spread
    ours_over_cpu: Spread
    goal: float | None
    padding: float  # padded tokens for each real one, less one
    achieved: float | None  # model FLOP/s of one device
    peak_bytes: int  # of the largest process
    peak_gpu_bytes: int
    loss: float


def main() -> None:
    arguments = _parse(sys.argv[1:])
    try:
        report = run(arguments)
    except Problem as problem:
        sys.exit(f"bench: {problem}")
    print(text(report))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=2) + "\n")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """All repeats of all variants; the report as JSON."""
    from w2s.load import load as load_recipe
    from w2s.sizes import sizes_of

    recipe = load_recipe(arguments.recipe, arguments.overrides)
    _refuse(arguments.variants, recipe.strong)
    device = _device(arguments.device)
    with tempfile.TemporaryDirectory(prefix="w2s-bench-") as place:
        folder = Path(place)
        lesson = prepare(recipe, folder, arguments.warm_up + arguments.steps)
        lesson.save(folder / "lesson.json")
        answers: dict[str, list[list[Answer]]] = {variant: [] for variant in arguments.variants}
        peaks: list[float] = []
        for repeat in range(arguments.repeats):
            peaks.append(matmul_peak(lesson.learner.precision, device, arguments.threads))
            for variant in arguments.variants:
                print(f"{repeat + 1}/{arguments.repeats} {variant}", file=sys.stderr, flush=True)
                answers[variant].append(_measure(arguments, folder, variant, device, repeat))
    sizes = sizes_of([lesson.learner])[lesson.learner]
    rows = [_row(variant, answers, sizes, lesson) for variant in arguments.variants]
    return {
        "recipe": recipe.name, "model": lesson.learner.model.short, "device": device, "ranks": arguments.ranks,
        "threads": arguments.threads, "steps": arguments.steps, "warm_up": arguments.warm_up,
        "repeats": arguments.repeats, "batch": lesson.learner.batch, "precision": lesson.learner.precision,
        "peak_flops": max(peaks), "load": load(), "rows": [dataclasses.asdict(row) for row in rows],
    }  # fmt: skip


def matmul_peak(precision: str, device: str, threads: int) -> float:
    """FLOP/s of a large square matrix product: the most this device gives, measured now (the best of several)."""
    import torch

    torch.set_num_threads(threads)
    size, wanted_s = (8192, 1.0) if device == "cuda" else (1024, 0.5)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    a = torch.rand(size, size, device=device).to(dtype)
    best, began = 0.0, time.perf_counter()
    while time.perf_counter() - began < wanted_s:
        start = time.perf_counter()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def text(report: dict[str, Any]) -> str:
    """The report for people."""
    peak = report["peak_flops"]
    head = ["variant", "tokens/s (min-max)", "tokens/cpu-s", "ours / it (min-max)", "by CPU time (min-max)", "goal"]
    lines = [
        [
            row["variant"],
            _spread(row["tokens_per_s"], "{:.0f}"),
            f"{row['tokens_per_cpu_s']['median']:.0f}",
            _spread(row["ours_over"], "{:.2f}"),
            _spread(row["ours_over_cpu"], "{:.2f}"),
            _verdict(row),
            f"{row['padding']:.0%}",
            "?" if row["achieved"] is None else f"{row['achieved'] / 1e9:.1f} G ({row['achieved'] / peak:.0%})",
            f"{(row['peak_gpu_bytes'] or row['peak_bytes']) / 2**20:.0f} MiB",
            f"{row['loss']:.4f}",
        ]
        for row in report["rows"]
    ]
    what = (
        f"{report['model']} in {report['precision']}, {report['batch']} rows a step, {report['steps']} steps after "
        f"{report['warm_up']} of warm-up, {report['repeats']} repeats, {report['threads']} thread(s) a process on "
        f"{report['device']}; Zero on {report['ranks']} rank(s)"
    )
    machine = f"matmul peak {peak / 1e9:.1f} GFLOP/s a device; {load_words(report['load'])}"
    return f"{what}\n{machine}\n\n" + plain_table([*head, "padding", "FLOP/s a device", "peak memory", "loss"], lines)


def _spread(record: dict[str, float], form: str) -> str:
    middle, least, most = (form.format(record[name]) for name in ("median", "least", "most"))
    return f"{middle} ({least}-{most})"


def _verdict(row: dict[str, Any]) -> str:
    if row["goal"] is None:
        return ""
    met = ["met" if row[name]["median"] >= row["goal"] else "missed" for name in ("ours_over", "ours_over_cpu")]
    return f">= {row['goal']:.2f} {met[0]}" + (f" (CPU: {met[1]})" if met[0] != met[1] else "")


def _row(variant: str, answers: dict[str, list[list[Answer]]], sizes: Sizes | None, lesson: Lesson) -> Row:
    runs = answers[variant]
    wall, cpu = [_wall(ranks) for ranks in runs], [_cpu(ranks) for ranks in runs]
    ours = answers.get(OURS, runs)
    first = [ranks[0] for ranks in runs]
    speed = Spread.of(wall)
    real = sum(answer.real for answer in first)
    mean_tokens = round(sum(lesson.real) / (len(lesson.real) * lesson.learner.batch))
    achieved = None if sizes is None else speed.median / len(runs[0]) * sizes.train_flops(mean_tokens)
    return Row(
        variant, speed, Spread.of(cpu),
        Spread.of([_wall(a) / b for a, b in zip(ours, wall, strict=True)]),
        Spread.of([_cpu(a) / b for a, b in zip(ours, cpu, strict=True)]),
        GOALS.get(variant), sum(answer.padded for answer in first) / real - 1, achieved,
        max(answer.peak_bytes for ranks in runs for answer in ranks),
        max(answer.peak_gpu_bytes for ranks in runs for answer in ranks), first[0].loss,
    )  # fmt: skip


def _wall(ranks: Sequence[Answer]) -> float:
    return ranks[0].real / max(answer.seconds for answer in ranks)


def _cpu(ranks: Sequence[Answer]) -> float:
    return ranks[0].real / sum(answer.cpu_seconds for answer in ranks)


def _measure(arguments: argparse.Namespace, folder: Path, variant: str, device: str, repeat: int) -> list[Answer]:
    """One variant once: every rank's answer. Raises StageFailed with the end of the log."""
    place = folder / f"{variant}-{repeat}"
    place.mkdir()
    zero = ZERO.get(variant)
    ranks = arguments.ranks if zero else 1
    order = Order(
        str(folder / "lesson.json"), str(place), OURS if zero else variant, zero, ranks, arguments.threads, device,
        arguments.warm_up, arguments.steps,
    )  # fmt: skip
    file = place / "order.json"
    file.write_text(json.dumps(dataclasses.asdict(order)))
    threads = str(arguments.threads)
    env = {
        **os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1", "DS_ACCELERATOR": device, "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-m", "bench.variants", str(file)]
    logs = [place / f"rank{rank}.log" for rank in range(ranks)]
    processes = []
    for rank, log in enumerate(logs):
        with log.open("w") as out:
            processes.append(subprocess.Popen([*command, str(rank)], env=env, stdout=out, stderr=out, cwd=ROOT))
    try:
        codes = [process.wait(TIMEOUT_S) for process in processes]
    except subprocess.TimeoutExpired:
        codes = [1]
    finally:
        for process in processes:
            process.kill()
    if any(codes):
        last = "\n".join(log.read_text(errors="replace")[-2000:] for log in logs)
        raise StageFailed(f"variant {variant}", f"ended with {codes}", f"its last words:\n{last}")
    return [Answer(**json.loads((place / f"answer.{rank}.json").read_text())) for rank in range(ranks)]


def _device(asked: str) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if asked == "auto" else asked


def _refuse(variants: Sequence[str], learner: Learner) -> None:
    if learner.batch_tokens is not None and any(variant.startswith("trainer") for variant in variants):
        raise BadInput(
            "strong.batch_tokens", "Trainer counts rows, not tokens", "set strong.batch, or leave its variants out"
        )


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="quickstart")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--warm-up", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=1, help="of a Zero variant")
    parser.add_argument("--threads", type=int, default=1, help="of a process")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_intermixed_args(argv)


if __name__ == "__main__":
    main()
