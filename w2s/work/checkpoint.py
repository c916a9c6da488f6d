"""Where a training stage was: tensors in safetensors, the rest in JSON, a manifest with digests last. Nothing is pickled.

Every rank writes the parameters it owns, whole and by name, so a checkpoint belongs to no number of devices and no ZeRO
stage: any gang reads any other's. Kept in the job's `work` folder, the last two; a damaged one is passed over, and said so.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from cluster.key import file_sha256
from w2s.work.ranks import Ranks

FORMAT = 2
KEPT = 2
MANIFEST, STATE = "manifest.json", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """Progress at the end of `step` steps: named tensors (when saving: this rank's share), and JSON for the rest.

    `layout` says for people who wrote it: ranks and ZeRO stage.
    """

    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]
    layout: str = "1 device"


class Tensors(Mapping[str, Tensor]):
    """The tensors of some safetensors files, each read from disk when it is asked for."""

    def __init__(self, files: list[Path]) -> None:
        handles: list[Any] = [safe_open(file, framework="pt") for file in files]
        self._place = {name: handle for handle in handles for name in handle.keys()}  # noqa: SIM118 - not a dict

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._place[name].get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)


class Below(Mapping[str, Tensor]):
    """The tensors whose names begin with a prefix, without it."""

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str) -> None:
        self._tensors, self._prefix = tensors, prefix

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(self._prefix) for name in self._tensors if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def save(work: Path, key: str, checkpoint: Checkpoint, still_mine: Callable[[], None], ranks: Ranks) -> None:
    """Write one checkpoint whole or not at all, on all ranks together; then forget all but the last two.

    Raises on every rank what failed on any (a full disk, a lost lease).
    """
    folder = work / f"part-{checkpoint.step:09d}"
    tensors = f"tensors-{ranks.rank:05d}.safetensors"

    def begin() -> None:
        if ranks.first:
            still_mine()
            _sweep(work)
            folder.mkdir()

    def write() -> dict[str, Any]:
        save_file({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}, folder / tensors)
        return {tensors: _facts(folder / tensors)}

    def publish() -> None:
        if ranks.first:
            _publish(folder, key, checkpoint, files, ranks.count)

    ranks.together(begin, "checkpoint")
    written = ranks.together(write, "checkpoint")
    files = {name: facts for part in ranks.show(written) for name, facts in part.items()}
    ranks.together(publish, "checkpoint")


def _publish(folder: Path, key: str, checkpoint: Checkpoint, files: dict[str, Any], ranks: int) -> None:
    (folder / STATE).write_text(json.dumps(checkpoint.state))
    files = {**files, STATE: _facts(folder / STATE)}
    manifest = {
        "format": FORMAT, "key": key, "step": checkpoint.step, "ranks": ranks, "layout": checkpoint.layout,
        "files": files,
    }  # fmt: skip
    with open(folder / MANIFEST, "w", encoding="utf-8") as file:
        json.dump(manifest, file)
        file.flush()
        os.fsync(file.fileno())
    final = folder.parent / _name(checkpoint.step)
    if final.exists():
        shutil.rmtree(final)
    folder.rename(final)
    # those of later steps were passed over when this run began: kept, they would push out the good ones
    finished = _finished(folder.parent)
    kept = [whole for whole in finished if whole <= final][-KEPT:]
    for old in set(finished) - set(kept):
        shutil.rmtree(old)


def latest(work: Path, key: str, note: Callable[[str], None], ranks: Ranks) -> Checkpoint | None:
    """The newest whole checkpoint of this key, or None; the same on every rank. Says which damaged ones it passed over.

    Every file is held against its digest before it is opened, the files shared out among the ranks.
    """
    names: list[str] = ranks.show([folder.name for folder in _finished(work)])[0]
    for name in reversed(names):
        folder = work / name
        fault = next((told for told in ranks.show(_fault(folder, key, ranks)) if told), None)
        if fault is None:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            files = sorted(folder / file for file in manifest["files"] if file.endswith(".safetensors"))
            return Checkpoint(int(manifest["step"]), Tensors(files), state, str(manifest["layout"]))
        note(f"checkpoint {name} passed over: {fault}")
    if names:
        note("no checkpoint is left to go on from: starting from the beginning")
    return None


def _name(step: int) -> str:
    return f"step-{step:09d}"


def _facts(file: Path) -> dict[str, Any]:
    return {"sha256": file_sha256(file), "bytes": file.stat().st_size}


def _finished(work: Path) -> list[Path]:
    return sorted(folder for folder in work.glob("step-*") if folder.is_dir())


def _sweep(work: Path) -> None:
    """Half-written checkpoints of attempts that died."""
    for orphan in work.glob("part-*"):
        shutil.rmtree(orphan, ignore_errors=True)


def _fault(folder: Path, key: str, ranks: Ranks) -> str | None:
    """What is wrong with a checkpoint, as far as this rank's share of its files tells."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            return f"format {manifest['format']}, this code reads {FORMAT}"
        if manifest["key"] != key:
            return "it belongs to another stage"
        if folder.name != _name(manifest["step"]):
            return f"its manifest says step {manifest['step']}"
        mine = sorted(manifest["files"].items())[ranks.rank :: ranks.count]
        changed = [name for name, facts in mine if _facts(folder / name) != facts]
        return f"{', '.join(changed)} changed since it was written" if changed else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"unreadable ({type(error).__name__}: {error})"
