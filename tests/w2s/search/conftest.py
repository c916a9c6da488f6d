"""One finished toy search for all tests of what a search leaves: read it as it is, copy it to go on with it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.w2s.command import Done
from tests.w2s.search.searches import search_recipe, tune


@dataclass(frozen=True)
class Searched:
    """The store of a search, a folder for recipes, and what the search said."""

    folder: Path
    store: Path
    done: Done

    def recipe(self, search: dict[str, Any] | None = None, **changes: Any) -> Path:
        """The recipe that was searched, with other wishes."""
        return search_recipe(self.folder, search, **changes)


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """Three trials of alpha, done. For reading only."""
    folder = tmp_path_factory.mktemp("found")
    store = folder / "store"
    return Searched(folder, store, tune(search_recipe(folder), store))


@pytest.fixture
def again(found: Searched, tmp_path: Path) -> Searched:
    """A copy of it, to go on with."""
    store = tmp_path / "store"
    shutil.copytree(found.store, store)
    return Searched(tmp_path, store, found.done)
