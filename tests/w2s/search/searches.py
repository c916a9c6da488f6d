"""Small searches for tests: a toy recipe whose students learn in a fifth of a second, and what is asked of its table and store."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

from tests.w2s.command import Done, built, w2s, write_recipe
from w2s.search.table import Row, Table

ALPHA: dict[str, Any] = {"method.alpha": {"uniform": [0, 0.9]}}
SMALL: dict[str, Any] = {
    "task": {"kind": "toy", "size": 160, "n_test": 40},
    "weak__evaluate": "epoch",
    "strong__epochs": 2,
    "strong__evaluate": "epoch",
    "method": {"kind": "confidence"},
    "baselines": [],
}


def search_recipe(folder: Path, search: dict[str, Any] | None = None, name: str = "toy", **changes: Any) -> Path:
    """A recipe with a search as a file: by default three draws of alpha."""
    asked = {"space": ALPHA, **({} if "algorithm" in (search or {}) else {"trials": 3}), **(search or {})}
    return write_recipe(folder, f"{name}.yaml", **{**SMALL, **changes, "search": asked})


def tune(recipe: Path, store: Path, *more: str) -> Done:
    """`w2s tune` in this process, without the page and TensorBoard's files (which have tests of their own)."""
    with mock.patch("w2s.commands.tune._show", lambda found, store, command: found):
        return w2s("tune", recipe, "--store", store, "--pool", "inline", *more)


def folder_of(store: Path) -> Path:
    """The folder of the only search there is."""
    (found,) = (store / "searches").iterdir()
    return found


def rows(store: Path) -> dict[str, Row]:
    return Table.open(folder_of(store)).rows()


def lines(store: Path) -> list[dict[str, Any]]:
    """What was ever written into the table."""
    return [json.loads(line) for line in (folder_of(store) / "trials.jsonl").read_text().splitlines()]


def builds(store: Path) -> Counter[str]:
    """Stage -> how often it was begun."""
    return Counter(built(store))


def trained(store: Path) -> list[str]:
    """The names of all trainings that were ever begun, one for each beginning."""
    return [name for name in built(store) if "/train " in name]
