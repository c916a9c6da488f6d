"""What travels to a Ray cluster with an order: our two packages and the order's recipes, and nothing else.

Ray makes the folder the working directory, and the first place of imports, of the order's drivers and of their workers.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cluster
from cluster.errors import BadInput
from cluster.provenance import PACKED, git_state
from cluster.submit.order import Order

PACKAGES = ("cluster", "w2s")
RECIPES = "recipes"
LEFT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def assemble(order: Order, into: Path) -> list[str]:
    """Copy what the order's drivers need into an empty folder. Returns its files, relative to it and sorted.

    Compiled Python and hidden files stay behind, as does all that lies around the packages: tests, stores, the repository.
    Raises BadInput where the order's folder has no recipes.
    """
    recipes = Path(order.folder) / RECIPES
    if not recipes.is_dir():
        raise BadInput(f"order {order.id}", f"{recipes} is missing", "submit the recipe again")
    code(into)
    shutil.copytree(recipes, into / RECIPES, ignore=LEFT)
    return sorted(str(file.relative_to(into)) for file in into.rglob("*") if file.is_file())


def code(into: Path) -> None:
    """Copy the packages alone into an empty folder."""
    root = Path(cluster.__file__).parent.parent
    for package in PACKAGES:
        shutil.copytree(root / package, into / package, ignore=LEFT)
    (into / PACKED).write_text(
        json.dumps(git_state(root)), encoding="utf-8"
    )  # receipts made there say which code it was


def as_packed(word: str, order: Order) -> str:
    """An argument of a driver; one that is a recipe of the order becomes that recipe's place in the package."""
    recipes = Path(order.folder) / RECIPES
    path = Path(word)
    return f"{RECIPES}/{path.relative_to(recipes)}" if path.is_relative_to(recipes) else word
