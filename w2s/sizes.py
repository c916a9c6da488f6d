"""Sizes of learners, remembered: each architecture is counted once, in a process of its own that loads torch.

CACHE/sizes/DIGEST.json; the digest covers the model's config (not its weights) and how it is finetuned.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cluster.key import content_key
from cluster.sizes import Sizes
from w2s import assets
from w2s.learner import Learner, ModelRef

FORMAT = 1  # raise it when counting changes
TIMEOUT_S = 300


def sizes_of(
    learners: Iterable[Learner], *, cache: Path | None = None, on_count: Callable[[str], None] | None = None
) -> dict[Learner, Sizes | None]:
    """The sizes of each learner as it is trained; None where its config is not on this disk or cannot be counted.

    Never raises: a plan can do without. `on_count` gets one line before a process is started for what is not remembered.
    """
    home = (cache or assets.default_cache()) / "sizes"
    found: dict[Learner, Sizes | None] = {}
    missing: dict[Learner, tuple[Path, Path | None]] = {}
    for learner in dict.fromkeys(learners):
        place = config_place(learner.model)
        file = home / f"{_digest(learner, place)}.json"
        found[learner] = _read(file)
        if found[learner] is None and (place is not None or learner.model.form == "tiny"):
            missing[learner] = (file, place)
    if missing:
        if on_count is not None:
            on_count("counting parameters of " + ", ".join(dict.fromkeys(one.model.short for one in missing)))
        requests = [(learner, place) for learner, (_, place) in missing.items()]
        for learner, record in zip(missing, _count(requests), strict=True):
            found[learner] = _parse(record)
            if found[learner] is not None:
                remember(missing[learner][0], record)
    return found


def remember(file: Path, record: Any) -> None:
    """Write JSON whole or not at all; a cache that cannot be written is no reason to stop."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".partial-", delete=False) as staged:
            json.dump(record, staged)
        Path(staged.name).replace(file)


def _count(requests: list[tuple[Learner, Path | None]]) -> list[Any]:
    body = json.dumps([{"learner": one.dump(), "folder": str(at) if at else None} for one, at in requests])
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(
            [sys.executable, "-m", "w2s.work.sizes"],
            input=body, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=True,
        )  # fmt: skip
        answers = json.loads(done.stdout)
        if isinstance(answers, list) and len(answers) == len(requests):
            return answers
    return [None] * len(requests)


def _read(file: Path) -> Sizes | None:
    try:
        return _parse(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _parse(record: Any) -> Sizes | None:
    try:
        return Sizes.from_json(record)
    except (TypeError, KeyError):
        return None


def config_place(model: ModelRef) -> Path | None:
    """The folder that holds a model's config.json (static: the file of its vectors), if it is on this disk."""
    if model.form == "static":
        vectors = ModelRef(source=model.place, sha256=model.sha256)
        place = assets.cached(vectors) if vectors.form == "pip" else Path(model.place)
        return place if place is not None and place.is_file() else None
    if model.form == "local":
        folder: Path | None = Path(model.source)
    elif model.form == "hub":
        folder = _hub_folder(model)
    else:
        folder = assets.cached(model)
    return folder if folder is not None and (folder / "config.json").is_file() else None


def _hub_folder(model: ModelRef) -> Path | None:
    """The snapshot of a hub model in the hub's own cache, if one was downloaded."""
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(model.source, "config.json", revision=model.revision)
    return Path(file).parent if isinstance(file, str) else None


def _digest(learner: Learner, place: Path | None) -> str:
    model = learner.model
    config = ""
    with contextlib.suppress(OSError):
        if place is not None:
            config = (place / "config.json").read_text(encoding="utf-8") if place.is_dir() else _header(place)
    shape = {"form": model.form, "layers": model.layers, "config": config}
    if model.form == "tiny":
        shape |= {"source": model.source, "width": model.width, "depth": model.depth}
    trained = {
        "trainable_layers": learner.trainable_layers,
        "precision": learner.precision,
        "dropout": learner.dropout,
        "pooling": learner.pooling,
        "lora": learner.lora.dump() if learner.lora else None,
    }
    return content_key({"format": FORMAT, "model": shape, "trained": trained})[:32]


def _header(file: Path) -> str:
    with file.open("rb") as raw:
        return raw.read(int.from_bytes(raw.read(8), "little")).decode("utf-8", "replace")
