"""Populations on a real cluster: legs are shared, the schedule that wins is one recipe, a broken search goes on, a failed leg."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.w2s.command import Done, built, finish, process, receipts, w2s
from tests.w2s.search.searches import folder_of, rows, search_recipe
from tests.w2s.test_end_to_end import wait_for

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(280)]
ROUNDS = 3
PBT: dict[str, Any] = {"algorithm": "pbt", "trials": 4, "rounds": ROUNDS}


def tune(recipe: Path, store: Path, *more: str) -> Done:
    return finish(process("tune", recipe, "--store", store, "--plain", *more), 200)


def told_by(store: Path, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((store / key[:2] / key / "receipt.json").read_text())
    return found


@pytest.mark.soak
def test_a_population_is_killed_goes_on_and_its_best_is_one_recipe(tmp_path: Path) -> None:
    recipe, store = search_recipe(tmp_path, PBT, strong__epochs=3), tmp_path / "store"
    running = process("tune", recipe, "--store", store, "--plain")
    wait_for(running, " round 1: ", 4)
    wait_for(running, "leg 2/3")
    running.send_signal(signal.SIGKILL)
    finish(running)
    before, kept = rows(store), receipts(store)
    assert len(before) == 4

    done = tune(recipe, store)
    assert done.code == 0, done.err
    assert "round 1:" not in done.err, "all members had reached its end"
    assert kept.items() <= receipts(store).items()
    after = rows(store)
    assert [row.status for row in after.values()] == ["done"] * 4
    for row in after.values():
        assert len(row.overrides["method.alpha"]) == len(row.reports) == ROUNDS
        assert all(0 <= alpha <= 0.9 for alpha in row.overrides["method.alpha"])
        assert [report["rung"] for report in row.reports] == [1, 2, 3]
    finished = Counter(key for name in built(store) for key in [name.split("[")[1]])
    assert sum(count > 1 for count in finished.values()) <= 4, "what the kill met, at most"
    legs = {tuple(row.overrides["method.alpha"][:n]) for row in after.values() for n in range(1, ROUNDS + 1)}
    made = [
        key
        for key in receipts(store)
        if " leg " in told_by(store, key)["name"] and told_by(store, key)["kind"] == "Train"
    ]
    assert len(made) <= len(legs) + 4, "members with one past share its legs; four first legs may have been left behind"

    best = folder_of(store) / "best.yaml"
    whole = w2s("run", best, "--store", store, "--pool", "inline", "--json")
    assert whole.code == 0, whole.err
    chosen = max(after.values(), key=lambda row: float(row.metrics["objective"] or 0))
    (last_leg,) = chosen.keys["student"]
    trained = [
        key for key in receipts(store).keys() - kept.keys() if weights_of(store, key) == weights_of(store, last_leg)
    ]
    assert weights_of(store, last_leg) is not None
    assert any(" leg " not in told_by(store, key)["name"] for key in trained), (
        "trained in one go it has the very weights of the legs"
    )

    told = tune(recipe, store)
    assert told.code == 0
    assert "started" not in told.err


def weights_of(store: Path, key: str) -> str | None:
    return told_by(store, key)["files"].get("model/model.safetensors", {}).get("sha256")
