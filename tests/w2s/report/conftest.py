"""A store in which the toy recipe is done: run once, in this process, for all tests of the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.w2s.report.finished import RECIPE
from w2s import bridge


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """For reading only."""
    store = Store.open(tmp_path_factory.mktemp("report") / "store")
    with store.leases() as leases:
        scheduler = Scheduler(store, InlinePool(store.url), leases, lambda event: None)
        summary = scheduler.run(bridge.jobs(RECIPE), [stage.key for stage in RECIPE.goals()])
    assert summary.exit_code == 0
    return store


@pytest.fixture
def copy(finished: Store, tmp_path: Path) -> Store:
    """A store with the same results, to take things from."""
    store = Store.open(tmp_path / "copy")
    for key in list(finished.keys()):
        shutil.copytree(finished.path(key), Path(store.url) / key[:2] / key)
    return store
