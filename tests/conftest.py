"""What tests share: a clean environment, small recipes on toy data, a store of their own, and how workers divide them."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.workers import (  # noqa: F401 - hooks
    pytest_collection_modifyitems,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
)

ROOT = Path(__file__).parent.parent

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.pop("W2S_SITE", None)
os.environ.pop("W2S_STORE", None)
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="w2s-config-")  # nor a site file of whoever runs the tests
atexit.register(shutil.rmtree, os.environ["XDG_CONFIG_HOME"], ignore_errors=True)
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - 15 by default: beside a busy process a gang gets a thirtieth of a core

# hypothesis fails what takes long by the clock; that tells how busy the machine is, not whether the code is right
settings.register_profile("w2s", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("w2s")


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def toy_recipe(**changes: Any) -> dict[str, Any]:
    """The smallest whole experiment: toy sentences, a tiny BERT supervised by a smaller one. Seconds on one core."""
    learner = {"optim": {"lr": 3e-3}, "epochs": 1, "batch": 16, "max_tokens": 64}
    recipe: dict[str, Any] = {
        "name": "toy",
        "task": {"kind": "toy", "size": 240, "n_test": 60},
        "weak": {"model": {"source": "tiny:bert", "width": 8, "depth": 1}, "evaluate": "never", **learner},
        "strong": {"model": {"source": "tiny:bert", "width": 32, "depth": 2}, **learner},
        "method": {"kind": "confidence", "members": 2},
        "baselines": [{"kind": "naive", "members": 2}],
        "seeds": [0],
    }
    for path, value in changes.items():
        place: Any = recipe
        *steps, last = path.split("__")
        for step in steps:
            place = place.setdefault(step, {})
        place[last] = value
    return recipe
