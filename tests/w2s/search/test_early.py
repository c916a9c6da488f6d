"""Early stopping on a real cluster: poor trials leave a checkpoint and go on from it when asked; what Tune writes is worth nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.w2s.command import Done, finish, process, receipts
from tests.w2s.search.searches import builds, rows, search_recipe
from tests.w2s.test_end_to_end import wait_for

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(280)]

# Students of which only those with a fair rate learn anything; the others stay where they began, and long enough to be stopped.
RIGGED: dict[str, Any] = {
    "space": {"strong.optim.lr": [3e-3, 1e-7, 2e-7, 3e-7]},
    "algorithm": "grid",
    "scheduler": "asha",
    "objective": "confidence",
    "reduction": 2,
    "max_concurrent": 2,
}
LONG: dict[str, Any] = {"task": {"kind": "toy", "size": 400, "n_test": 40}, "strong__epochs": 12, "strong__batch": 4}


def tune(recipe: Path, store: Path, *more: str, env: dict[str, str] | None = None) -> Done:
    return finish(process("tune", recipe, "--store", store, "--plain", *more, env=env), 250)


@pytest.mark.soak
def test_poor_trials_stop_early_and_stay_resumable(tmp_path: Path) -> None:
    recipe, store, own = search_recipe(tmp_path, RIGGED, **LONG), tmp_path / "store", tmp_path / "tmp"
    own.mkdir()
    running = process("tune", recipe, "--store", store, "--plain", env={"TMPDIR": str(own)})
    wait_for(running, "labels, confidence", 3)
    (written,) = own.glob("w2s-tune-*")
    shutil.rmtree(written)  # what Tune writes is worth nothing
    assert finish(running, 200).code in (0, 3)
    done = tune(recipe, store)
    assert done.code == 0, done.err
    found = {row.overrides["strong.optim.lr"]: row for row in rows(store).values()}
    assert found[3e-3].status == "done"
    stopped = [row for row in found.values() if row.status == "stopped"]
    assert stopped, done.err
    for row in stopped:
        (student,) = row.keys["student"]
        assert row.reports
        assert 0 < float(row.metrics["share"] or 0) < 1
        assert student not in receipts(store)
        assert any((store / "scratch" / student).rglob("*.safetensors")), "a checkpoint to go on from"
    assert max(builds(store).values()) <= 2, "taken up once, if Tune broke"
    names = [str(path.relative_to(store)) for path in store.rglob("*")]
    assert not [name for name in names if "tuner" in name or "experiment_state" in name or "trainable" in name]

    # nothing is stopped now: those that were go on where they left
    whole = tune(recipe, store, "search.scheduler=fifo")
    assert whole.code == 0, whole.err
    for row in stopped:
        assert rows(store)[row.trial].status == "done"
        (student,) = row.keys["student"]
        assert "resumed at step" in (store / "logs" / f"{student}.log").read_text()
