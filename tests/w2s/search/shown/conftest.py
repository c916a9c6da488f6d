"""One real search for all tests of what is shown, run once: three trials of the toy recipe in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.store import Store
from tests.w2s.command import Done, w2s, write_recipe
from w2s.search.searched import Searched, load_searched


@dataclass(frozen=True)
class Real:
    """A search that `w2s tune` has run."""

    recipe: Path
    url: str
    told: Done

    @property
    def folder(self) -> Path:
        return Path(self.told.json["folder"])

    @property
    def store(self) -> Store:
        return Store.open(self.url)

    @property
    def searched(self) -> Searched:
        return load_searched(str(self.recipe))


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    folder = tmp_path_factory.mktemp("search")
    search = {"space": {"method.alpha": {"uniform": [0, 0.9]}}, "trials": 3}
    changes = {
        "weak__evaluate": "epoch",
        "strong__evaluate": "epoch",
        "method__members": 1,
        "baselines": [],
        "seeds": [0, 1],
    }
    recipe = write_recipe(folder, search=search, **changes)
    url = str(folder / "store")
    done = w2s("tune", recipe, "--store", url, "--pool", "inline", "--json")
    assert done.code == 0, done.err
    return Real(recipe, url, done)
