"""A student trained on real sentences, and how far two trainings of it are from each other.

Two measures of how far final weights are from those of one device, in fp32:

- all weights as one vector: relative distance below WHOLE;
- each tensor by itself: below EACH. Attention's key biases are left out of this one: softmax does not see them, their
  gradient is zero but for rounding, and Adam divides rounding by its own size. They move, and no output ever shows it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.conftest import toy_recipe
from w2s.recipe import Recipe
from w2s.stages import Train

WHOLE, EACH = 1e-5, 5e-5


def sentences() -> list[dict[str, Any]]:
    """Real prose: does a sentence of the manual say what something is (1) or not (0)?"""
    rows: dict[str, dict[str, Any]] = {}
    for _, text in sorted(topics.items()):
        for sentence in re.split(r"(?<=[.:])\s+", text):
            plain = " ".join(sentence.split())
            if 30 <= len(plain) <= 80 and plain[0].isupper():
                rows.setdefault(plain, {"text": plain, "label": int(" is " in plain)})
    ones = [row for row in rows.values() if row["label"]][:120]
    zeros = [row for row in rows.values() if not row["label"]][:120]
    return [row for pair in zip(ones, zeros, strict=True) for row in pair]


def recipe(folder: Path, method: str, **changes: Any) -> dict[str, Any]:
    file = folder / "rows.jsonl"
    if not file.exists():
        file.write_text("\n".join(json.dumps(row) for row in sentences()))
    task = {"kind": "file", "path": str(file), "n_test": 40, "text": "text", "label": "label"}
    return toy_recipe(
        task=task, method={"kind": method}, baselines=[], strong__epochs=2, strong__max_tokens=96, **changes
    )


def student(made: Recipe) -> Train:
    return next(s for s in made.graph().values() if isinstance(s, Train) and s.labels is not None)


def weights(out: Path) -> dict[str, Tensor]:
    found = {}
    for file in sorted((out / "model").glob("*.safetensors")):
        found |= load_file(file)
    return found


def bitwise(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def distance(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> tuple[float, float]:
    """(all weights as one vector, the worst tensor but key biases), relative."""
    assert set(found) == set(wanted)
    gaps = {name: (found[name].double() - wanted[name].double()).norm() for name in wanted}
    sizes = {name: wanted[name].double().norm() for name in wanted}
    whole = torch.stack(list(gaps.values())).norm() / torch.stack(list(sizes.values())).norm()
    each = max(float(gaps[name] / sizes[name].clamp(min=1e-30)) for name in wanted if "key.bias" not in name)
    return float(whole), each
