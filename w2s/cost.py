"""How long a stage will roughly take: from receipts of its like in the store, else from sizes. Device time, one device."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cluster.errors import Problem
from cluster.store import Store
from w2s.learner import Learner, ModelRef
from w2s.stages import Predict, Rows, Stage, Train

FLOPS_PER_CORE = 100e9  # what one CPU core reaches in fp32 training, in order of magnitude
TOKENS_PER_TEXT = 32
LIGHT_S = 0.2  # Combine and Grade
LOAD_S = 2.0  # a model into memory, its tokenizer, and out again
MOST_RECEIPTS = 400


class Rates:
    """Rough seconds of stages, learned once from the store."""

    def __init__(self, store: Store, stages: Iterable[Stage]) -> None:
        self._seen: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._rows = 2000
        for i, key in enumerate(store.keys()):
            if i >= MOST_RECEIPTS:
                break
            try:
                receipt = store.receipt(key)
            except Problem:  # a damaged result is for `verify` to tell; an estimate can do without
                continue
            self._seen[_like(receipt.kind, receipt.science)].append(receipt.seconds)
        known = [stage for stage in stages if isinstance(stage, Rows)]
        for stage in known:
            if store.has(stage.key):
                self._rows = int(store.receipt(stage.key).metrics["n_train"])
            elif stage.task.n_train:
                self._rows = stage.task.n_train

    def seconds(self, stage: Stage) -> float | None:
        """Rough seconds of one stage; None where nothing is known."""
        seen = self._seen.get(_like(stage.kind, stage.science()))
        if seen:
            return statistics.median(seen)
        if isinstance(stage, Train):
            return self._by_size(stage.learner, passes=3 * stage.learner.epochs)
        if isinstance(stage, Predict):
            return self._by_size(stage.model.learner, passes=1)
        return None if isinstance(stage, Rows) else LIGHT_S

    def _by_size(self, learner: Learner, passes: float) -> float | None:
        parameters = _parameters(learner.model)
        if parameters is None:
            return None
        tokens = self._rows / 2 * min(TOKENS_PER_TEXT, learner.max_tokens) * passes
        return LOAD_S + 2 * parameters * tokens / FLOPS_PER_CORE


def _like(kind: str, science: Any) -> tuple[str, ...]:
    """What makes two stages take about as long: the kind, and for training the learner and the part."""
    learner = science.get("learner")
    rows = science.get("rows") or {}
    part = rows.get("name", "") if isinstance(rows, dict) else ""
    return (kind, json.dumps(learner, sort_keys=True, default=str), str(part))


def _parameters(model: ModelRef) -> float | None:
    """Parameters that compute, as far as this disk tells; None if the model is not here."""
    if model.form == "tiny":
        return 12.0 * model.depth * model.width**2
    if model.form == "static":
        return 1e3  # a mean of vectors: nothing beside loading
    if model.form != "local":
        from w2s.assets import cached

        folder = cached(model)
    else:
        folder = Path(model.source)
    if folder is None or not folder.is_dir():
        return None
    return _layers_of(folder)


def _layers_of(folder: Path) -> float | None:
    """Parameters of a transformer's layers, from its config: embeddings are looked up, not computed."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    width = config.get("hidden_size", config.get("n_embd"))
    depth = config.get("num_hidden_layers", config.get("n_layer"))
    return 12.0 * depth * width**2 if width and depth else None
