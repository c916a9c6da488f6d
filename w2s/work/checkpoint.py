"""Where a training stage was: tensors in safetensors, the rest in JSON, a manifest with digests last. Nothing is pickled.

Kept in the job's `work` folder, the last two; a damaged one is passed over, and said so.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from cluster.key import file_sha256

FORMAT = 1
KEPT = 2
MANIFEST, TENSORS, STATE = "manifest.json", "tensors.safetensors", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """Progress at the end of `step` steps: named tensors, and JSON for the rest."""

    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def save(work: Path, key: str, checkpoint: Checkpoint, still_mine: Callable[[], None]) -> None:
    """Write one checkpoint whole or not at all; then forget all but the last two."""
    still_mine()
    _sweep(work)
    folder = work / f"part-{checkpoint.step:09d}-{os.getpid()}"
    folder.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}, folder / TENSORS)
    (folder / STATE).write_text(json.dumps(checkpoint.state))
    files = {name: file_sha256(folder / name) for name in (TENSORS, STATE)}
    manifest = {"format": FORMAT, "key": key, "step": checkpoint.step, "files": files}
    with open(folder / MANIFEST, "w", encoding="utf-8") as file:
        json.dump(manifest, file)
        file.flush()
        os.fsync(file.fileno())
    final = work / f"step-{checkpoint.step:09d}"
    if final.exists():
        shutil.rmtree(final)
    folder.rename(final)
    for old in _finished(work)[:-KEPT]:
        shutil.rmtree(old)


def latest(work: Path, key: str, note: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint of this key, or None. Says which damaged or foreign ones it passed over."""
    for folder in reversed(_finished(work)):
        fault = _fault(folder, key)
        if fault is None:
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            return Checkpoint(int(folder.name.removeprefix("step-")), load_file(folder / TENSORS), state)
        note(f"checkpoint {folder.name} passed over: {fault}")
    return None


def _finished(work: Path) -> list[Path]:
    return sorted(folder for folder in work.glob("step-*") if folder.is_dir())


def _sweep(work: Path) -> None:
    """Half-written checkpoints of attempts that died."""
    for orphan in work.glob("part-*"):
        shutil.rmtree(orphan, ignore_errors=True)


def _fault(folder: Path, key: str) -> str | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            return f"format {manifest['format']}, this code reads {FORMAT}"
        if manifest["key"] != key:
            return "it belongs to another stage"
        changed = [name for name, digest in manifest["files"].items() if file_sha256(folder / name) != digest]
        return f"{', '.join(changed)} changed since it was written" if changed else None
    except (OSError, ValueError, KeyError) as error:
        return f"unreadable ({type(error).__name__}: {error})"
