"""Made-up searches for tests of what is shown: a recipe file, and a table whose rows are written directly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.store import Store
from tests.w2s.command import write_recipe
from w2s.search.ending import Ending, conclude
from w2s.search.searched import Searched, load_searched, search_folder
from w2s.search.table import Row, Table
from w2s.search.trials import random_trials

SPACE: dict[str, Any] = {
    "method.alpha": {"uniform": [0, 0.9]},
    "strong.optim.lr": {"loguniform": [1e-5, 1e-2]},
    "strong.evaluate": ["epoch", 5],
    "method.warmup": [0.1, 0.5],
    "strong.epochs": {"integers": [1, 4]},
}


def searched(folder: Path, name: str = "toy.yaml", **search: Any) -> Searched:
    """A recipe with a search, written and read."""
    section = {"space": SPACE, "trials": 12, **search}
    method = {"kind": "confidence"}
    return load_searched(str(write_recipe(folder, name, search=section, method=method, baselines=[])))


def made_up(of: Searched, count: int) -> list[Row]:
    """Trials that a random search would draw. The best objective is at alpha 0.4; every 5th was stopped, number 3 failed."""
    return [_row(number, trial.key, dict(trial.overrides)) for number, trial in enumerate(random_trials(of, 0, count))]


def _row(number: int, key: str, overrides: dict[str, Any]) -> Row:
    if number == 3:
        return Row(key, number, overrides, "failed", metrics={"why": "it <b>burst</b>", "share": 0.2})
    stopped = number % 5 == 4
    objective = 0.9 - (overrides["method.alpha"] - 0.4) ** 2
    reports = tuple({"rung": rung, "objective": objective * (1 - 0.2 / rung)} for rung in range(1, 3 if stopped else 5))
    metrics: dict[str, Any] = {
        "share": 0.5 if stopped else 1.0, "objective": objective, "agreement": objective, "accuracy": objective - 0.1,
        "confidence": 0.7, "misfit": 0.02,
    }  # fmt: skip
    if not stopped:
        metrics["test_accuracy"] = 0.6 + 0.01 * (number % 7)
    return Row(key, number, overrides, "stopped" if stopped else "done", {}, reports, metrics, 10.0)


def written(of: Searched, store: Store, rows: Sequence[Row]) -> Ending:
    """The rows as a search's table in a store, and what it tells."""
    folder = search_folder(store, of)
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{row.to_json()}\n" for row in rows)  # `append` waits for the disk, a thousand times over
    (folder / "trials.jsonl").write_text(text, encoding="utf-8")
    assert len(Table.open(folder).rows()) == len({row.trial for row in rows})
    return conclude(of, folder)
