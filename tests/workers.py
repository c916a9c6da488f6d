"""How pytest-xdist's workers divide the tests (`make test`): whole files, the long ones first, one Ray cluster at a time.

Without workers nothing here does anything. A file stays in one worker because its fixtures are made once a worker. Files that
say `mark.ray` all go to the same one: a gang is judged by who is silent for seconds, and two gangs at once on two cores are slow
enough to look it. Those on a real Slurm share one Slurm, and mostly wait for it: they have a worker of their own. What is long begins
early, or one worker would be at it when the others have nothing left to do.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

RAY = "mark.ray"
SLURM = "tests/slurm/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Cores we may use (xdist counts the whole machine's, and of two threads of a core only one), and one for those that wait."""
    return 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):
        return
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not _says_ray(item.path), item.path not in slow))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """For `--dist loadfile`; any other is left to xdist. Not its groups: they do nothing under pytest 9.2 (xdist 3.8.0)."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if file.startswith(SLURM):
                return SLURM
            return RAY if _says_ray(config.rootpath / file) else file

    return Files(config, log)


@cache
def _says_ray(file: Path) -> bool:
    return RAY in file.read_text(encoding="utf-8")
