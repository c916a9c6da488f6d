"""A gang that trains under ZeRO while its processes are killed and frozen at random moments: what that costs, and whether it shows.

    python bench/chaos.py --kills 6 --seed 1 --json out.json

A toy recipe's student, on a Ray cluster and a store of its own. Each attempt is struck once: a rank, Ray Train's controller
or the gang's keeper is killed, or a rank is frozen, which only the hang limit finds out. Exit code 1 where the final weights
differ from those of an unbroken run (without Ray), or a process or a placement group is left over.

again   seconds of training that the next attempt had to do again
back    seconds from the blow to the next attempt's first step: noticing (a freeze: --hang), starting, loading
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # as `python bench/chaos.py` from a checkout
os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench.tables import load, load_words, plain_table
from cluster.errors import Problem, from_record
from cluster.store import Store
from tests.chaos.processes import (
    Attempt,
    actors,
    freeze_rank,
    groups,
    kill_controller,
    kill_keeper,
    kill_rank,
    orphans,
    run,
)
from tests.chaos.soak import RANKS, Blow, Soak, Wound, fill, graph, student, unbroken, zero_recipe
from tests.w2s.work.run_stage import weights
from w2s.recipe import Recipe

STEPS_A_KILL = 250  # an attempt should not come to its end before its blow
STEPS_AN_EPOCH = 7
LATEST_S = 6.0  # a blow falls so long after an attempt's first step, at most
STARTING = 0.2  # share of blows that fall while an attempt starts


def main() -> None:
    arguments = _parse(sys.argv[1:])
    try:
        with tempfile.TemporaryDirectory(prefix="w2s-chaos-") as folder:
            report = soak(Path(folder), arguments.kills, arguments.seed, arguments.zero, arguments.hang)
    except Problem as problem:
        sys.exit(f"bench: {problem}")
    print(text(report))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(0 if report["sound"] else 1)


def soak(folder: Path, kills: int, seed: int, zero: int, hang_s: float) -> dict[str, Any]:
    """Train under blows; the report as JSON."""
    from cluster.ray_connect import connect, disconnect

    epochs = -(-STEPS_A_KILL * (kills + 1) // STEPS_AN_EPOCH)
    told = zero_recipe(epochs, zero, checkpoint_steps=20, retries=max(1, kills), hang_minutes=hang_s / 60)
    recipe, store = Recipe.model_validate(told), Store.open(folder / "store")
    fill(recipe, student(recipe).inputs(), store)
    started = time.monotonic()
    wanted = unbroken(told, store, folder / "alone", [zero])[zero]
    alone_s = time.monotonic() - started
    listener = Soak(_blows(kills, random.Random(seed)))
    jobs, team = graph(recipe)
    connect(None, cpus=RANKS)
    try:
        started = time.monotonic()
        summary = run(store.url, jobs, team, listen=listener)
        seconds = time.monotonic() - started
        for ended in summary.failures.values():
            raise from_record(ended.error)
        left = {
            "processes": orphans(listener.pids()),
            "placement_groups": groups(),
            "actors": actors("GangKeeper") + actors("TrainController"),
            "damage": [str(damage) for damage in store.verify()],
        }
    finally:
        disconnect()
    equal = weights(store.path(team.key)) == wanted
    return {
        "seed": seed, "ranks": RANKS, "zero": zero, "hang_s": hang_s, "kills": [dataclasses.asdict(w) for w in listener.wounds],
        "steps": store.receipt(team.key).metrics["steps"], "seconds": seconds, "unbroken_seconds": alone_s, "load": load(),
        "weights_equal": equal, "left_over": left, "missed": kills - len(listener.wounds),
        "sound": equal and not any(left.values()),
    }  # fmt: skip


def text(report: dict[str, Any]) -> str:
    """The report for people."""
    rows = [_row(number, Wound(**kill)) for number, kill in enumerate(report["kills"], start=1)]
    what = (
        f"{report['steps']} steps of {report['ranks']} ranks under ZeRO-{report['zero']}, seed {report['seed']}; "
        f"{load_words(report['load'])}"
    )
    left = [f"{name}: {found}" for name, found in report["left_over"].items() if found]
    ends = [
        f"{report['seconds']:.0f} s in all; unbroken and without Ray {report['unbroken_seconds']:.0f} s",
        "final weights: "
        + ("the bits of the unbroken run" if report["weights_equal"] else "DIFFER FROM THE UNBROKEN RUN"),
        "left over: " + ("; ".join(left) or "no process, no actor, no placement group, no damage in the store"),
    ]
    if report["missed"]:
        ends.append(f"{report['missed']} blows came too late: the training had ended")
    head = ["kill", "victim", "at step", "resumed at", "again s", "back s"]
    return "\n\n".join([what, plain_table(head, rows), "\n".join(ends)])


def _row(number: int, wound: Wound) -> list[str]:
    if wound.back_s is None:
        return [str(number), wound.victim, str(wound.step), "-", "-", "-"]
    return [
        str(number),
        wound.victim,
        str(wound.step),
        str(wound.resumed),
        f"{wound.lost_s:.1f}",
        f"{wound.back_s:.1f}",
    ]


def _blows(kills: int, rng: random.Random) -> list[Blow]:
    """Every kind of victim as often, in random order, ranks most."""
    return [_blow(rng) for _ in range(kills)]


def _blow(rng: random.Random) -> Blow:
    rank = rng.randrange(RANKS)
    acts: Sequence[tuple[str, Callable[[Attempt], object]]] = [
        (f"rank {rank}", kill_rank(rank)),
        ("controller", kill_controller),
        ("keeper", kill_keeper),
        (f"rank {rank} frozen", freeze_rank(rank)),
    ]
    victim, act = rng.choices(acts, weights=[3, 1, 1, 1])[0]
    starting = rng.random() < STARTING
    return Blow(victim + (", starting" if starting else ""), act, rng.uniform(0, LATEST_S), settled=not starting)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--zero", type=int, choices=[0, 1, 2, 3], default=3)
    parser.add_argument("--hang", type=float, default=12.0, metavar="SECONDS", help="a silent gang is taken for hung")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
