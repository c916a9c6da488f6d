"""Pretrained transformers from a Hugging Face folder: loading whole, cutting, freezing, and what their configs tell."""

# N layers kept

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
)
from transformers.utils import logging

from cluster.errors import BadInput
from w2s.work.pooling import Pooling

hf_logging: Any = logging  # its functions carry no types

VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)
LOCAL_ONLY = {"local_files_only": True, "trust_remote_code": False}


@contextmanager
def quiet() -> Iterator[None]:
    """No log lines and no progress bars from transformers inside; as they were afterwards."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


@contextmanager
def untouched_rng() -> Iterator[None]:
    """Constructors draw initial weights from torch's global generator; nobody else is to notice."""
    with torch.random.fork_rng(devices=[]):
        yield


def load_body(folder: Path, layers: int | None = None) -> Any:
    """The base model in a Hugging Face folder, float32, eval mode, without pooler or head; its first `layers` layers.

    Raises BadInput if it cannot be loaded, if the files lack any of its weights, if it is an encoder-decoder, or if it
    has fewer layers. The folder's code is never run.
    """
    config = _config(folder)
    if layers is not None:
        _cut(config, layers, folder)
    return _read(AutoModel, folder, config, {"add_pooling_layer": False} if _has_pooler(config) else {})


def load_language_model(folder: Path, layers: int | None = None) -> Any:
    """The causal language model in a Hugging Face folder, with its unembedding; else as `load_body`. BadInput for an encoder."""
    config = _config(folder)
    check_writes(config, str(folder))
    if layers is not None:
        _cut(config, layers, folder)
    return _read(AutoModelForCausalLM, folder, config, {})


def check_writes(config: Any, where: str) -> None:
    """Raise BadInput for a model that does not predict a next token."""
    if not is_decoder(config) or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        what = f"{type(config).__name__.removesuffix('Config')} predicts no next word"
        raise BadInput(where, what, "take a causal language model (GPT-2, Pythia, Llama, Qwen)")


def _read(auto: Any, folder: Path, config: Any, options: Mapping[str, Any]) -> Any:
    try:
        with quiet(), untouched_rng():
            body, told = auto.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                **LOCAL_ONLY,
                **options,
            )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        remedy = "a model folder holds config.json and model.safetensors of one text model"
        raise BadInput(str(folder), f"the model cannot be loaded: {_line(error)}", remedy) from None
    missing = sorted(told["missing_keys"])
    if missing:  # transformers would go on with random numbers in their place
        names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise BadInput(str(folder), f"{len(missing)} weights are not in its files: {names}", "fetch the model again")
    return body.eval()


def skeleton(body: Any) -> Any:
    """The same architecture without weights (torch's meta device): the names and shapes a whole state dict has.

    Made by the class itself: `AutoModel.from_config` would shard it again, with all ranks taking part, where ZeRO-3 is on.
    """
    kind, config = type(body), copy.deepcopy(body.config)
    options = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind.__init__).parameters else {}
    with quiet(), untouched_rng(), torch.device("meta"):
        return kind(config, **options)


def load_hf_tokenizer(folder: Path) -> Any:
    """The tokenizer in a Hugging Face folder. Raises BadInput if there is none that loads."""
    if not any((folder / name).is_file() for name in VOCABULARIES):
        # transformers would make one up that knows no word
        raise BadInput(
            str(folder), "has no tokenizer", f"add {VOCABULARIES[0]} (or one of {', '.join(VOCABULARIES[1:])})"
        )
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(folder, **LOCAL_ONLY)
    except Exception as error:  # the tokenizers' core raises bare Exception for a broken tokenizer.json
        what = f"the tokenizer cannot be loaded: {_line(error)}"
        raise BadInput(str(folder), what, "the folder needs tokenizer.json and tokenizer_config.json") from None


def default_pooling(config: Any) -> Pooling:
    """`last` where a token sees only what came before it (decoders), else `mean`."""
    return "last" if is_decoder(config) else "mean"


def is_decoder(config: Any) -> bool:
    """Whether attention is causal. BERT and its kin can be told to write, so what fills in blanks is an encoder."""
    masked, causal = type(config) in MODEL_FOR_MASKED_LM_MAPPING, type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    return bool(getattr(config, "is_decoder", False)) or (causal and not masked)


def longest_input(body: nn.Module) -> int | None:
    """How many tokens the model reads at most, None for no limit.

    RoBERTa and MPNet count positions from the pad id on, which costs pad id + 1 of them.
    """
    positions = getattr(getattr(body, "config", None), "max_position_embeddings", None)
    if positions is None or positions <= 0:
        return None
    for name, module in body.named_modules():
        offset = name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None
        if offset and isinstance(module, nn.Embedding):
            return int(positions) - (module.padding_idx or 0) - 1
    return int(positions)


def blocks(body: nn.Module) -> nn.ModuleList | None:
    """The list of transformer layers: the outermost one as long as the config says. None if layers are shared."""
    count = getattr(getattr(body, "config", None), "num_hidden_layers", None)
    lists = (module for module in body.modules() if isinstance(module, nn.ModuleList))
    return next((found for found in lists if len(found) == count), None)


def freeze(body: nn.Module, trainable: Literal["all"] | int) -> None:
    """Leave the last `trainable` layers, and the norm after them, to learn; "all" leaves everything, 0 nothing.

    Embeddings learn only under "all". Raises BadInput when there are not so many layers.
    """
    for weight in body.parameters():
        weight.requires_grad_(trainable == "all")
    if trainable == "all" or trainable == 0:
        return
    layers = blocks(body)
    if layers is None or trainable > len(layers):
        has = "shares one layer or has none" if layers is None else f"has {len(layers)}"
        raise BadInput("trainable_layers", f"{trainable} asked for, the model {has}", "lower it, or use 0 or all")
    for weight in [*_after(body, layers), *(w for block in list(layers)[-trainable:] for w in block.parameters())]:
        weight.requires_grad_(True)


def _after(body: nn.Module, layers: nn.ModuleList) -> list[nn.Parameter]:
    # the final norm: defined after the layers, or (OPT) before them under a telling name; never an embedding
    inside = {id(weight) for weight in layers.parameters()}
    embeddings = {id(m.weight) for m in body.modules() if isinstance(m, nn.Embedding)}
    found, passed = [], False
    for name, weight in body.named_parameters():
        passed = passed or id(weight) in inside
        if id(weight) not in inside | embeddings and (passed or "final" in name):
            found.append(weight)
    return found


def _config(folder: Path) -> Any:
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, **LOCAL_ONLY)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(str(folder), f"its config.json cannot be used: {_line(error)}") from None
    if config.is_encoder_decoder:
        raise BadInput(str(folder), "is an encoder-decoder", "take an encoder (BERT) or a decoder (GPT-2, Llama, Qwen)")
    return config


def _cut(config: Any, layers: int, folder: Path) -> None:
    """Before loading, so that the layers above are never read and the saved config tells the truth."""
    count = getattr(config, "num_hidden_layers", None)
    if count is None or layers > count:
        has = "does not say how many it has" if count is None else f"has {count}"
        raise BadInput("model.layers", f"{layers} asked for, {folder.name} {has}", "lower layers, or leave it out")
    for name, value in list(vars(config).items()):
        if "layer" in name and isinstance(value, list) and len(value) == count:  # layer_types and its like
            setattr(config, name, value[:layers])
    config.num_hidden_layers = layers


def _has_pooler(config: Any) -> bool:
    known = MODEL_MAPPING.get(type(config), None)
    kinds = [kind for kind in (known if isinstance(known, tuple) else (known,)) if kind is not None]
    return any("add_pooling_layer" in inspect.signature(kind.__init__).parameters for kind in kinds)


def _line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
