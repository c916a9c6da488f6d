"""What a Hugging Face model folder must hold before anything loads it: a config, whole safetensors, a tokenizer.

Pickled weights are refused: unpickling runs whatever code the file's author put there.
"""

from __future__ import annotations

import json
from pathlib import Path

from cluster.errors import BadInput

PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
CONVERT = (
    "convert the weights to safetensors (load them where you trust them, then save_pretrained) and use that folder"
)
TOKENIZERS = (
    "tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip


def check(folder: Path, where: str) -> Path:
    """The folder, if a model can be loaded from it. Raises BadInput naming what is missing, pickled or damaged."""
    if not folder.is_dir():
        raise BadInput(
            where, f"{folder} is not a folder", "give a folder with config.json, safetensors and a tokenizer"
        )
    if not (folder / "config.json").is_file():
        raise BadInput(where, f"{folder} has no config.json", "give a Hugging Face model folder")
    refuse_pickle(folder, where)
    weights = _weights(folder, where)
    for file in weights:
        check_safetensors(file, where)
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise BadInput(where, f"{folder} has no tokenizer", f"add one of {', '.join(TOKENIZERS)}")
    return folder


def refuse_pickle(place: Path, where: str) -> None:
    """Raises BadInput for a pickled file, or a folder whose only weights are pickled. Other files pass."""
    if place.is_dir():
        files = [file for file in place.iterdir() if file.is_file()]
        pickled = sorted(file.name for file in files if file.name.endswith(PICKLED))
        if any(file.suffix == ".safetensors" for file in files):
            return  # loaders then leave the pickled copy alone
    else:
        pickled = [place.name] if place.name.endswith(PICKLED) else []
    if pickled:
        raise BadInput(where, f"pickled weights ({', '.join(pickled[:3])}) and no safetensors", CONVERT)


def check_safetensors(file: Path, where: str) -> None:
    """Raises BadInput unless the file is as long as its own header says (a cut-off download is not)."""
    try:
        size = file.stat().st_size
        with open(file, "rb") as raw:
            length = int.from_bytes(raw.read(8), "little")
            header = json.loads(raw.read(length)) if 0 < length <= size - 8 else None
        if not isinstance(header, dict):
            raise ValueError("no header")
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        if 8 + length + max(ends, default=0) != size:
            raise ValueError(f"{size} bytes where the header tells {8 + length + max(ends, default=0)}")
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BadInput(where, f"{file.name} is not a whole safetensors file ({error})", "fetch it again") from error


def _weights(folder: Path, where: str) -> list[Path]:
    """The weight files a loader would read: one file, or the shards an index lists."""
    one, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if one.is_file():
        return [one]
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(where, f"{index.name} cannot be read: {error}", "fetch it again") from error
        missing = [name for name in names if not (folder / name).is_file()]
        if missing or not names:
            raise BadInput(
                where, f"{len(missing)} of {len(names)} weight files are missing: {missing[:3]}", "fetch them again"
            )
        return [folder / name for name in names]
    raise BadInput(where, f"{folder} has no model.safetensors", CONVERT)
