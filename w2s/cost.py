"""How long a stage will roughly take: from receipts of its like in the store, else from sizes. Device time, one device."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.errors import Problem
from cluster.job import Receipt
from cluster.sizes import Sizes
from cluster.store import Store
from w2s.learner import ModelRef
from w2s.stages import Embed, Generate, Part, Predict, Prompted, Rows, Stage
from w2s.uses import use_of

FLOPS_PER_CORE = 100e9  # what one CPU core reaches in fp32 training, in order of magnitude
TOKENS_PER_TEXT = 32
LIGHT_S = 0.2  # Combine and Grade
LOAD_S = 2.0  # a model into memory, its tokenizer, and out again
MOST_RECEIPTS = 400
CALIBRATING_ROWS = 256  # that a prompted model is asked about besides, where it is calibrated to a prior


@dataclass(frozen=True)
class Work:
    """What a stage that runs a model amounts to, roughly. `device_hours` is None where no receipt tells a rate."""

    rows: int
    steps: int | None
    tokens: float
    flops: float
    device_hours: float | None

    def to_json(self) -> dict[str, float | None]:
        return asdict(self)


class Rates:
    """Rough seconds of stages, learned once from the store."""

    def __init__(self, store: Store, stages: Iterable[Stage]) -> None:
        self._seen: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._speeds: dict[str, list[float]] = defaultdict(list)
        self._rows = 2000
        for i, key in enumerate(store.keys()):
            if i >= MOST_RECEIPTS:
                break
            try:
                receipt = store.receipt(key)
            except Problem:  # a damaged result is for `verify` to tell; an estimate can do without
                continue
            self._seen[_like(receipt.kind, receipt.science)].append(receipt.seconds)
            self._learn_speed(receipt)
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
        use = use_of(stage)
        if use is not None:
            epochs = 1.0 if isinstance(stage, Predict | Prompted | Generate) else 3 * use.learner.epochs
            return self._by_size(
                use.learner.model, _tokens(stage, use.learner.max_tokens), epochs * self._rows_of(stage)
            )
        if isinstance(stage, Embed):
            n_test = stage.rows.task.n_test or self._rows // 2
            return self._by_size(stage.model, min(TOKENS_PER_TEXT, stage.max_tokens), self._rows + n_test)
        return None if isinstance(stage, Rows) else LIGHT_S

    def work(self, stage: Stage, sizes: Sizes | None, trained: Sizes | None = None) -> Work | None:
        """Rows, steps, tokens and FLOPs of a stage that runs a model of these sizes; None for any other stage.

        Tokens are a guess at how long texts are, at most `max_tokens`; device-hours follow the tokens a second of receipts of the same
        model trained as a classifier, whose sizes are `trained` (None: the same), by the number of FLOPs.
        """
        use = use_of(stage)
        if use is None or sizes is None:
            return None
        learner, rows, length = use.learner, self._rows_of(stage), _tokens(stage, use.learner.max_tokens)
        speeds = self._speeds.get(_model_of(learner.dump()))
        if isinstance(stage, Predict | Prompted | Generate):
            tokens = float(rows * length)
            flops = tokens * sizes.forward_flops(length)
            steps = None
        else:
            tokens = rows * length * learner.epochs
            flops = tokens * sizes.train_flops(length)
            a_batch = learner.batch if learner.batch_tokens is None else max(1, learner.batch_tokens // length)
            steps = math.ceil(learner.epochs * math.ceil(rows / a_batch))
        a_token = (trained or sizes).train_flops(length)
        hours = flops / a_token / statistics.median(speeds) / 3600 if speeds else None
        return Work(rows, steps, tokens, flops, hours)

    def _rows_of(self, stage: Stage) -> int:
        """Rows that a stage which runs a model reads or answers."""
        part: Part = vars(stage)["rows"]
        more = CALIBRATING_ROWS if isinstance(stage, Prompted) and stage.calibrate == "prior" else 0
        half = stage.drawn_from if isinstance(stage, Prompted) else None
        return self._part_rows(part) + (min(more, self._part_rows(half)) if half is not None else 0)

    def _part_rows(self, part: Part) -> int:
        whole = self._whole_part(part)
        return whole if part.piece is None else max(1, round(whole / part.piece.count))

    def _whole_part(self, part: Part) -> int:
        if part.split is None or part.name == "test":
            return part.rows.task.n_test or self._rows // 2
        halves = {"val": part.split.val}
        halves["weak"] = (1 - part.split.val) * part.split.weak
        halves["strong"] = 1 - halves["val"] - halves["weak"]
        return round(self._rows * halves[part.name])

    def _learn_speed(self, receipt: Receipt) -> None:
        """Tokens a second and device that a model was trained at."""
        speed, learner = receipt.metrics.get("tokens_per_s"), receipt.science.get("learner")
        if receipt.kind == "Train" and speed and isinstance(learner, dict):
            self._speeds[_model_of(learner)].append(speed / max(1, receipt.machines.get("devices") or 1))

    def _by_size(self, model: ModelRef, tokens: int, rows: float) -> float | None:
        """So many rows' forward passes, of so many tokens each; a training step counts as three."""
        parameters = _parameters(model)
        return None if parameters is None else LOAD_S + 2 * parameters * tokens * rows / FLOPS_PER_CORE


def _tokens(stage: Stage, max_tokens: int) -> int:
    """A guess at the tokens of one row: a question has its examples before it."""
    shown = stage.shots if isinstance(stage, Prompted) else 0
    return min(TOKENS_PER_TEXT * (1 + shown), max_tokens)


def _model_of(learner: Mapping[str, Any]) -> str:
    """What of a learner decides how fast a device trains it."""
    return json.dumps(
        [learner.get(name) for name in ("model", "trainable_layers", "lora", "precision")], sort_keys=True
    )


def _like(kind: str, science: Any) -> tuple[str, ...]:
    """What makes two stages take about as long: the kind, and for training the learner, the part, and how many share it."""
    learner = science.get("learner")
    rows = science.get("rows") or {}
    part = rows.get("name", "") if isinstance(rows, dict) else ""
    piece = rows.get("piece") if isinstance(rows, dict) else None
    share = piece["count"] if isinstance(piece, dict) else 1
    return (kind, json.dumps(learner, sort_keys=True, default=str), f"{part} {share}")


def _parameters(model: ModelRef) -> float | None:
    """Parameters that compute, as far as this disk tells; None if the model is not here."""
    if model.form == "tiny":
        return 12.0 * model.depth * model.width**2
    if model.form in ("static", "features"):
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
