"""A body's weights to disk: plain safetensors in the base model's own layout, in shards when large, and only when whole."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import save_torch_state_dict
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from cluster.errors import StageFailed
from w2s.work import body as bodies

SHARD = "5GB"  # of one file, as the hub's own tools cut
SHOWN = 3


def write(
    body: Any,
    state: Mapping[str, Tensor],
    folder: Path,
    max_shard_size: str | int = SHARD,
    *,
    tied: Collection[str] = (),
) -> None:
    """Write config.json and the weights `state` (whole, on the CPU) of a transformers body, as from_pretrained reads them.

    One file model.safetensors, or shards with an index above `max_shard_size`. Names in `tied` are second names of weights
    that are written under their first. Raises StageFailed, writing nothing, when
    names or shapes are not the architecture's. Not by save_pretrained: with accelerate installed that imports DeepSpeed.
    """
    frame = bodies.skeleton(body)
    shapes = {name: tuple(weight.shape) for name, weight in frame.state_dict().items() if name not in tied}
    check(shapes, state)
    config = copy.deepcopy(body.config)
    config.architectures, config.dtype = [type(body).__name__], "float32"
    with bodies.quiet():
        config.save_pretrained(str(folder))
        # a mixture of experts is one tensor in memory and a tensor an expert in its files
        named = revert_weight_conversion(frame, dict(state))
        whole = {name: _alone(weight) for name, weight in named.items()}
        save_torch_state_dict(whole, str(folder), max_shard_size=max_shard_size)


def _alone(weight: Tensor) -> Tensor:
    """A tensor whose storage holds nothing else: an expert is a slice of the tensor of all experts."""
    weight = weight.contiguous()
    return weight if weight.untyped_storage().nbytes() == weight.nbytes else weight.clone()


def check(shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor]) -> None:
    """Raise StageFailed unless `state` has exactly these tensors. A shape [0] is a weight that was left partitioned."""
    faults = [f"{name} is missing" for name in shapes if name not in state]
    faults += [f"{name} is unknown" for name in state if name not in shapes]
    faults += [
        f"{name} is {list(state[name].shape)}, not {list(shape)}"
        for name, shape in shapes.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    if faults:
        told = "; ".join(faults[:SHOWN]) + ("; ..." if len(faults) > SHOWN else "")
        raise StageFailed(
            "export",
            f"{len(faults)} tensors are not as the model's config says: {told}",
            "gather sharded weights first",
        )
