"""Vectors of a task's rows: written by Embed, read by whatever works on a frozen model's hidden states."""

# N rows, K texts a row (1, or candidates), D width

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cluster.errors import StageFailed

FILE = "features.safetensors"


@dataclass(frozen=True)
class Features:
    """Vectors [N, K, D] of all rows of a table, in its order."""

    vectors_NKD: Tensor

    @property
    def candidates(self) -> int:
        return self.vectors_NKD.shape[1]

    @property
    def width(self) -> int:
        return self.vectors_NKD.shape[2]


def write(folder: Path, layers: Mapping[str, Tensor]) -> None:
    """Write `features.safetensors`: for each layer's name a tensor [N, K, D] in float32."""
    save_file({_name(layer): vectors.float().contiguous() for layer, vectors in layers.items()}, folder / FILE)


def read(folder: Path, layers: Sequence[str]) -> Features:
    """Some layers side by side, float32. Raises StageFailed where the file is not what Embed wrote."""
    try:
        with safe_open(folder / FILE, framework="pt") as file:
            parts = [file.get_tensor(_name(layer)) for layer in layers]
    except (SafetensorError, OSError) as error:
        remedy = "`w2s verify --quarantine` moves it aside, and the next run makes it again"
        raise StageFailed(f"features {folder.name[:12]}", f"{FILE} cannot be read: {error}", remedy) from None
    return Features(parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1))


def _name(layer: object) -> str:
    return f"layer.{layer}"
