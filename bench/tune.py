"""What does a search cost beside its students? Against separate runs, against the students alone, and with students that cost nothing.

    python bench/tune.py                                       32 trials of alpha on toy sentences; 1,000 and 50 without work
    python bench/tune.py --recipe search/alpha --trials 8 --separate 2     of a recipe (fetch it first); two runs stand for eight
    python bench/tune.py --trials 3 --noop 20 --through-tune 0             a rehearsal

search          one `w2s tune` of N trials from an empty store
separate runs   N recipes, each from an empty store of its own, as `w2s run` does them (floor, student, ceiling)
students alone  the seconds of the N students' training, by their receipts: the limit

All in this process, one stage at a time, so that seconds are comparable; they are the clock's. Without work: every stage of a
trial (student, prediction, grade) writes a result and is done, from a list of trials, and as Ray Tune asks for them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))  # as `python bench/tune.py` from a checkout
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)

from bench.noop import NoopPool
from bench.tables import load, load_words
from cluster.advice import Adviser, ListAdviser
from cluster.errors import Problem, from_record
from cluster.pool import InlinePool, Pool
from cluster.scheduler import Scheduler, Summary
from cluster.store import Store
from w2s import bridge
from w2s.recipe import Recipe
from w2s.search.drive import Book, Driver
from w2s.search.searched import Searched, load_searched, search_folder
from w2s.search.table import Table
from w2s.search.trials import random_trials, students, trial_recipe

GOAL = 1.15
ALPHA = {"method.alpha": {"uniform": [0, 0.9]}}


def main() -> None:
    options = _parse(sys.argv[1:])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        with tempfile.TemporaryDirectory(prefix="w2s-bench-") as folder:
            report = measure(Path(folder), options)
    except Problem as problem:
        sys.exit(f"bench: {problem}")
    print(text(report))
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All that is asked for; as JSON."""
    reference = options.recipe or str(_toy(folder, options.epochs))
    changes = [f"search.trials={options.trials}", "search.scheduler=fifo", "search.algorithm=random"]
    searched = load_searched(reference, changes)
    _run(_recipes(searched)[0], folder / "warm")  # loads torch, and is not counted
    cost = _cost(searched, folder, options.separate or options.trials)
    empty = [_without_work(folder, "from a list", options.noop)] if options.noop else []
    if options.through_tune:
        empty.append(_without_work(folder, "through Ray Tune", options.through_tune))
    return {
        "recipe": searched.recipe.name,
        "trials": options.trials,
        "cost": cost,
        "without_work": empty,
        "load": load(),
    }


def text(report: dict[str, Any]) -> str:
    """The report for people, in markdown."""
    cost, trials = report["cost"], report["trials"]
    alone = cost["students_alone"]
    verdict = f"<= {GOAL:g}: {'met' if cost['search'] <= GOAL * alone else 'missed'}"
    rows = [["students alone", alone, ""], ["search", cost["search"], verdict], ["separate runs", cost["separate"], ""]]
    lines = [
        f"{trials} trials of {report['recipe']}; {load_words(report['load'])}",
        "",
        "| | seconds | x students | goal |",
        "|---|---:|---:|---|",
    ]
    lines += [f"| {name} | {seconds:.1f} | {seconds / alone:.2f} | {goal} |" for name, seconds, goal in rows]
    if cost["measured"] < trials:
        lines += ["", f"separate runs: {cost['measured']} measured, for {trials}"]
    if report["without_work"]:
        lines += ["", "| without work | trials | ms a trial | of that its three stages |", "|---|---:|---:|---:|"]
    for row in report["without_work"]:
        lines.append(f"| {row['how']} | {row['trials']} | {row['ms']:.1f} | {row['stages_ms']:.1f} |")
    return "\n".join(lines)


def _cost(searched: Searched, folder: Path, separate: int) -> dict[str, Any]:
    keys = [trial.key for trial in random_trials(searched, 0, searched.search.trials)]
    store = Store.open(folder / "search")
    seconds = _search(searched, store, InlinePool(store.url), lambda: ListAdviser(keys))
    alone = sum(
        store.receipt(student.key).seconds for recipe in _recipes(searched) for student in students(recipe).values()
    )
    some = _recipes(searched)[:separate]
    apart = sum(_run(recipe, folder / f"apart-{number}") for number, recipe in enumerate(some))
    return {
        "search": seconds, "students_alone": alone, "separate": apart * len(keys) / len(some), "measured": len(some),
    }  # fmt: skip


def _without_work(folder: Path, how: str, trials: int) -> dict[str, Any]:
    """Milliseconds a trial where nothing is trained; and of the same stages as one graph, without any search."""
    searched = load_searched(str(_toy(folder, 1)), [f"search.trials={trials}"])
    keys = [trial.key for trial in random_trials(searched, 0, trials)]
    plain = Store.open(folder / f"plain-{how}")
    jobs = {key: job for recipe in _recipes(searched) for key, job in bridge.jobs(recipe).items()}
    stages_s = _graph(plain, NoopPool(plain.url), lambda scheduler: scheduler.run(jobs, list(jobs)))
    store = Store.open(folder / f"empty-{how}")
    if how == "from a list":
        seconds = _search(searched, store, NoopPool(store.url), lambda: ListAdviser(keys))
    else:
        seconds = _through_tune(searched, store, folder / "tune", keys)
    return {"how": how, "trials": trials, "ms": 1000 * seconds / trials, "stages_ms": 1000 * stages_s / trials}


def _through_tune(searched: Searched, store: Store, folder: Path, keys: Sequence[str]) -> float:
    from cluster.ray_connect import connect, disconnect
    from cluster.tune_adviser import TuneAdviser

    connect(None, cpus=2)
    try:
        return _search(searched, store, NoopPool(store.url), lambda: TuneAdviser(folder, trials=keys, at_once=4))
    finally:
        disconnect()


def _search(searched: Searched, store: Store, pool: Pool, adviser: Callable[[], Adviser]) -> float:
    """Seconds of a whole search."""
    started = time.monotonic()
    with Table.open(search_folder(store, searched), writing=True) as table:
        book = Book()
        for trial in random_trials(searched, 0, searched.search.trials):
            book.add(trial)
        driver = Driver(searched, store, table, book, lambda event: None)

        def work(scheduler: Scheduler) -> Summary:
            driver.scheduler = scheduler
            return driver.run(scheduler, adviser())

        _graph(store, pool, work, driver)
    return time.monotonic() - started


def _run(recipe: Recipe, folder: Path) -> float:
    """Seconds of one recipe from an empty store."""
    store, goals = Store.open(folder), [stage.key for stage in recipe.goals()]
    return _graph(store, InlinePool(store.url), lambda scheduler: scheduler.run(bridge.jobs(recipe), goals))


def _graph(store: Store, pool: Pool, work: Callable[[Scheduler], Summary], driver: Driver | None = None) -> float:
    started = time.monotonic()
    with store.leases() as leases:
        scheduler = Scheduler(store, pool, leases, driver.hear if driver else lambda event: None)
        summary = work(scheduler)
    for ended in summary.failures.values():
        raise from_record(ended.error)
    return time.monotonic() - started


def _recipes(searched: Searched) -> list[Recipe]:
    return [trial_recipe(searched, trial) for trial in random_trials(searched, 0, searched.search.trials)]


def _toy(folder: Path, epochs: float) -> Path:
    learner = {"batch": 16, "max_tokens": 64, "evaluate": "epoch"}
    recipe = {
        "name": "bench-tune", "task": {"kind": "toy", "size": 400, "n_test": 100},
        "weak": {**learner, "model": {"source": "tiny:bert", "width": 8, "depth": 1}, "optim": {"lr": 3e-3}, "epochs": 1},
        "strong": {**learner, "model": {"source": "tiny:bert", "width": 64, "depth": 2}, "optim": {"lr": 3e-3}, "epochs": epochs},
        "method": {"kind": "confidence"}, "seeds": [0], "search": {"space": ALPHA},
    }  # fmt: skip
    file = folder / f"toy-{epochs:g}.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return file


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", help="a recipe with a search; default: alpha of tiny models on toy sentences")
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--separate", type=int, help="measure so many separate runs only, for all")
    parser.add_argument("--epochs", type=float, default=8, help="of the toy student: about five seconds on one core")
    parser.add_argument("--noop", type=int, default=1000, metavar="N", help="trials without work, from a list; 0: none")
    parser.add_argument("--through-tune", type=int, default=50, metavar="N", help="and through Ray Tune; 0: none")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
