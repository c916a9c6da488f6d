"""The manifest of an exported model: manifest.json, a record for machines of what it is, from what and how it was made.

manifest(...) -> dict          what it says; where something lay on our disk and whose machine it was are left out
write(folder, record)          put beside the weights, last: it holds the digest of every other file, and its own
check(folder) -> [Damage]      does the folder still hold what was exported?
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.errors import BadInput
from cluster.job import Receipt
from cluster.key import content_key, file_sha256
from cluster.seal import RECEIPT
from cluster.store import Store
from cluster.verify import Damage
from w2s.model_ref import ModelRef
from w2s.stages import Rows, Stage, walk
from w2s.work.card import Recovery, shareable

MANIFEST = "manifest.json"
FORMAT = 1
OURS = ("hostname", "pid")  # of a receipt's hardware: nobody else's business


@dataclass(frozen=True)
class What:
    """Which model of which recipe. `side` is None for one that was asked for by its key."""

    recipe: str
    fingerprint: str
    method: str
    seed: int
    side: str | None


def manifest(
    stage: Stage, what: What, store: Store, recovery: Recovery, commands: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """All of the record but the digests of files. `commands` are words: how it was trained and exported.

    Raises StageFailed where the stage's own receipt is missing or damaged; inputs that are gone from the store are named
    without digests.
    """
    receipt = store.receipt(stage.key)
    record = {
        "format": FORMAT,
        "what": asdict(what),
        "name": receipt.name,
        "kind": receipt.kind,
        "key": stage.key,
        "receipt_sha256": _receipt_sha256(store, stage.key),
        "science": receipt.science,
        "machines": receipt.machines,
        "metrics": receipt.metrics,
        "recovery": asdict(recovery),
        "versions": receipt.versions,
        "git": receipt.git,
        "hardware": {name: fact for name, fact in receipt.hardware.items() if name not in OURS},
        "started": receipt.started,
        "seconds": receipt.seconds,
        "inputs": _inputs(stage, store),
    }
    told = {name: [_shareable_word(word) for word in words] for name, words in commands.items()}
    return {**shareable(record), "commands": told}


def write(folder: Path, record: Mapping[str, Any]) -> None:
    """Complete the record with the files of a folder, and put it there."""
    files = {
        name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in _files(folder)
    }
    whole = json.loads(json.dumps({**record, "files": files}))
    whole["sha256"] = content_key(whole)
    (folder / MANIFEST).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """A folder's manifest. Raises BadInput where there is none, or none of ours, or a newer one."""
    try:
        record: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known = int(record["format"]) <= FORMAT
        found = {str(name): str(facts["sha256"]) for name, facts in record["files"].items()}
    except FileNotFoundError:
        raise BadInput(str(folder), f"has no {MANIFEST}", "name a folder that `w2s export` wrote") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"cannot be read ({type(error).__name__}: {error})"
        raise BadInput(str(folder / MANIFEST), what, "export the model again") from None
    if not known or not found:
        raise BadInput(str(folder / MANIFEST), f"has format {record['format']}", "upgrade w2s")
    return record


def check(folder: Path) -> list[Damage]:
    """What is missing, changed or extra, by file. Raises BadInput where there is no manifest that can be read."""
    record = read(folder)
    key, name, listed = str(record.get("key", "")), str(record.get("name", "")), record["files"]
    damage = []
    if content_key({field: value for field, value in record.items() if field != "sha256"}) != record.get("sha256"):
        damage.append(Damage(key, name, MANIFEST, "changed"))
    present = set(_files(folder))
    for file in sorted(present | set(listed)):
        if file not in present:
            damage.append(Damage(key, name, file, "missing"))
        elif file not in listed:
            damage.append(Damage(key, name, file, "extra"))
        elif file_sha256(folder / file) != listed[file]["sha256"]:
            damage.append(Damage(key, name, file, "changed"))
    return damage


def _files(folder: Path) -> list[str]:
    found = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return sorted(name for name in found if name != MANIFEST)


def _inputs(stage: Stage, store: Store) -> dict[str, Any]:
    """Everything below a stage: pretrained models by source and digest, data by the digests of their rows, and the stages."""
    models: dict[str, Any] = {}
    data, stages = [], []
    for key, below in walk(stage).items():
        learner = getattr(below, "learner", None)
        model = getattr(below, "model", None) if learner is None else learner.model
        if isinstance(model, ModelRef):
            identity = {"name": model.short, **model.identity()}
            models[content_key(identity)] = identity
        receipt = store.receipt(key) if store.has(key) else None
        if isinstance(below, Rows):
            data.append({"key": key, "task": below.task.dump(), "files": _digests(receipt)})
        if key != stage.key:
            sha256 = None if receipt is None else _receipt_sha256(store, key)
            stages.append({"key": key, "kind": below.kind, "words": below.words, "receipt_sha256": sha256})
    return {"models": list(models.values()), "data": data, "stages": stages}


def _digests(receipt: Receipt | None) -> dict[str, Any] | None:
    return None if receipt is None else {name: facts["sha256"] for name, facts in receipt.files.items()}


def _receipt_sha256(store: Store, key: str) -> str:
    return file_sha256(store.path(key) / RECEIPT)


def _shareable_word(word: str) -> str:
    """A word of a command: `strong.model.source=/data/me/model` becomes `strong.model.source=./model`."""
    name, equals, value = word.partition("=")
    return f"{name}{equals}{shareable(value)}" if equals else str(shareable(word))
