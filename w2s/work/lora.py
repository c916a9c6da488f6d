"""Low-rank adapters in a body, and the way back to plain weights. peft's layers do the work; this decides where and when.

inject(body, lora, seed, ...)        freezes the body, puts adapters beside its linear layers
merged(body, state) -> state         the body's own names again, the adapters added into its weights
save_adapter(body, state, folder)    the adapters alone, as `peft.PeftModel.from_pretrained(base, folder)` reads them

Nothing here reads a shape from a live parameter: under ZeRO-3 those are partitioned and have shape [0].
"""

# O out, I in, R rank

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from cluster.errors import BadInput, StageFailed
from w2s.examples import hash_unit
from w2s.learner import Lora, ModelRef
from w2s.work import body as bodies

ADAPTER = "default"  # peft's name of an only adapter; it is part of the parameters' names
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SHOWN = 20  # names offered in place of one that matches nothing


def inject(body: nn.Module, lora: Lora, seed: int, model: ModelRef) -> None:
    """Freeze the body and put fresh adapters beside its target layers: they alone learn there, and change nothing yet.

    They are drawn from `seed`; torch's global generator is left as it was. Raises BadInput for targets that match nothing.
    """
    import peft

    names = targets(body, lora)
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=names,
        task_type="FEATURE_EXTRACTION",
        fan_in_fan_out=isinstance(body.get_submodule(names[0]), Conv1D),
        base_model_name_or_path=model.source if model.form == "hub" else model.short,
        revision=model.revision if model.form == "hub" else None,
    )
    with bodies.untouched_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to")  # a model with both kinds of linear layer
        # not torch.manual_seed, which would move the devices' generators as well
        torch.default_generator.manual_seed(int(hash_unit("lora", seed) * 2**53))
        peft.inject_adapter_in_model(config, body, adapter_name=ADAPTER)


def targets(body: nn.Module, lora: Lora) -> list[str]:
    """Full names of the layers to adapt. Raises BadInput for a name that matches none, with the names there are.

    auto: every linear layer of the transformer layers; adapting them all is what it takes to match full finetuning
    (Dettmers et al. 2023, QLoRA, section 4). A name matches as in peft: whole, or as an end after a dot.
    """
    linear = [name for name, module in body.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    layers = bodies.blocks(body)
    place = next((name for name, module in body.named_modules() if module is layers), None) if layers else None
    inside = [name for name in linear if place is None or name.startswith(f"{place}.")]
    if lora.targets == "auto":
        chosen = set(inside)
    else:
        chosen = set()
        for wanted in lora.targets:
            found = {name for name in linear if name == wanted or name.endswith(f".{wanted}")}
            if not found:
                there = sorted({_in_layer(name, place) for name in linear})
                more = ", ..." if len(there) > SHOWN else ""
                raise BadInput(
                    "lora.targets",
                    f"'{wanted}' is no linear layer here",
                    f"there are: {', '.join(there[:SHOWN])}{more}",
                )
            chosen |= found
    if not chosen:
        raise BadInput("lora", "this model has no linear layers to adapt", "finetune it whole: leave lora out")
    return [name for name in linear if name in chosen]


def _in_layer(name: str, place: str | None) -> str:
    """`attention.self.query` of `encoder.layer.7.attention.self.query`."""
    if place is None or not name.startswith(f"{place}."):
        return name
    return name.removeprefix(f"{place}.").partition(".")[2]


def adapted(body: nn.Module) -> dict[str, Any]:
    """peft's layers in a body, by name; empty where nothing was injected."""
    if not hasattr(body, "peft_config"):  # spares plain finetuning the seconds that importing peft takes
        return {}
    from peft.tuners.lora import LoraLayer

    return {name: module for name, module in body.named_modules() if isinstance(module, LoraLayer)}


def merged(body: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of the body as it was before `inject`, with each adapter added into its layer's weight.

    Works on `state` (the injected body's, whole) and leaves it and the live parameters alone: W + scaling * B A, as
    peft's `merge_and_unload` does, transposed for Conv1D. Raises StageFailed for adapters that are not whole.
    """
    found = dict(state)
    for name, layer in adapted(body).items():
        a_RI, b_OR = found.pop(_key(name, "lora_A")), found.pop(_key(name, "lora_B"))
        weight = found.pop(f"{name}.base_layer.weight")
        rank, wide, long = layer.r[ADAPTER], layer.in_features, layer.out_features
        shapes = tuple(tuple(tensor.shape) for tensor in (a_RI, b_OR, weight))
        if shapes != ((rank, wide), (long, rank), (wide, long) if layer.fan_in_fan_out else (long, wide)):
            told = ", ".join(str(list(shape)) for shape in shapes)
            what = f"the adapter of {name} is not whole: A, B and weight are {told}"
            raise StageFailed("export", what, "gather sharded weights first")
        delta = (b_OR @ a_RI).T if layer.fan_in_fan_out else b_OR @ a_RI
        found[f"{name}.weight"] = weight + delta * layer.scaling[ADAPTER]
        if f"{name}.base_layer.bias" in found:
            found[f"{name}.bias"] = found.pop(f"{name}.base_layer.bias")
    return found


def save_adapter(body: Any, state: Mapping[str, Tensor], folder: Path) -> None:
    """Write adapter_model.safetensors and adapter_config.json; `state` is the injected body's state dict."""
    layers = adapted(body)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        f"base_model.model.{name}.{part}.weight": state[_key(name, part)].contiguous()
        for name in layers
        for part in ("lora_A", "lora_B")
    }
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    # full names, in order: peft may have shortened them, which a base model with a pooler would understand otherwise
    about = {**body.peft_config[ADAPTER].to_dict(), "target_modules": sorted(layers), "inference_mode": True}
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in about.items()}
    (folder / CONFIG).write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _key(name: str, part: str) -> str:
    return f"{name}.{part}.{ADAPTER}.weight"
