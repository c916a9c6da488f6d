"""One finished toy run for all tests of the command line: read it as it is, copy it to change it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.w2s.command import Done, w2s, write_recipe


@dataclass(frozen=True)
class Finished:
    """A recipe, the store that holds all of it, and what the run said."""

    recipe: Path
    store: Path
    done: Done


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The toy recipe, run. For reading only."""
    folder = tmp_path_factory.mktemp("finished")
    recipe, store = write_recipe(folder), folder / "store"
    return Finished(recipe, store, w2s("run", recipe, "--store", store, "--pool", "inline"))


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Finished:
    """A copy of the finished run, to spoil."""
    store = tmp_path / "store"
    shutil.copytree(finished.store, store)
    return Finished(finished.recipe, store, finished.done)
