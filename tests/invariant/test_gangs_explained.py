"""An explained student in a gang is that of one device: token replacement and ascent in the vectors, under every ZeRO stage.

What needs a gradient's gradient, or the head as it is, is refused a gang when the recipe is checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.invariant.comparison import EACH, WHOLE, bitwise, distance, recipe, student, weights
from tests.w2s.work.gang import Case, run
from tests.w2s.work.run_stage import Bench
from w2s.recipe import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CUTS = [Case(f"zero{zero}", {"zero": zero, "micro_batch": 4}) for zero in (0, 1, 2, 3)]
BROKEN = [
    Case("break", {"zero": 2, "micro_batch": 4}, stop_after=2, work="broken"),
    Case("mend", {"zero": 2, "micro_batch": 4}, work="broken"),
]


@pytest.mark.parametrize("method", [
    {"by": "corm", "prob": 0.5, "labels": "hard"}, {"by": "pgd", "eps": 1.0, "steps": 2, "warmup": 0.0, "labels": "hard"},
], ids=["corm", "pgd"])  # fmt: skip
def test_no_gang_changes_an_explained_student(method: dict[str, Any], tmp_path: Path) -> None:
    plain = recipe(tmp_path, "naive", strong__evaluate="never", strong__head="normal")
    told = {
        **plain,
        "task": {"kind": "decoy", "of": plain["task"], "n_train": 100},
        "method": {"kind": "explained", **method},
    }
    made = Recipe.model_validate(told)
    bench, stage = Bench(made, tmp_path), student(made)
    assert stage.explain is not None
    bench.prepare(stage)
    alone, _ = bench.run(stage)
    reference = weights(bench.out(stage))
    found = run(tmp_path, told, stage.key, [*CUTS, *BROKEN], ranks=2)
    for case in CUTS:
        result = found[case.name]
        assert result.errors == [None, None]
        whole, each = distance(weights(result.out), reference)
        assert (whole < WHOLE, each < EACH) == (True, True), (case.name, whole, each)
        for name in ("clean_loss", "perturbed_loss", "loss"):
            assert result.metrics[name] == pytest.approx(alone[name], rel=1e-4)
    assert bitwise(weights(found["mend"].out), weights(found["zero2"].out))
