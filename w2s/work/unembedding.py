"""A head that begins as the language model's own judgement: the unembedding rows of one word a class (Burns et al. 2023, A).

Rows are read from the model's files, never from live parameters, which ZeRO-3 may have cut up while they were loaded. They are
taken as they are: a model that scales or caps its logits, or adds a bias, ranks words as its rows do but gives other numbers.
"""

# K words, D width

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.core_model_loading import revert_weight_conversion

from cluster.errors import BadInput
from w2s.learner import ModelRef
from w2s.work import body as bodies
from w2s.work import tiny
from w2s.work.encode import Tokenizer

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"


def word_rows(words: Sequence[str], tokenizer: Tokenizer, config: Any, model: ModelRef, folder: Path | None) -> Tensor:
    """[K, D], float32: of each word's one token, the row that the model's next-token logits come from.

    `config` is the body's; `folder` holds the model's files, None for a tiny model that is built in code. Raises BadInput
    for an encoder, a word of several tokens, two words of one token, or files without an unembedding.
    """
    bodies.check_writes(config, f"head: words, model {model.short}")
    ids = word_ids(words, tokenizer)
    if folder is None:
        head = tiny.build_language_model(model)[0].get_output_embeddings()
        rows_KD: Tensor = head.weight.detach()[ids].clone()
        return rows_KD
    return _read(folder, _names(config), ids)


def word_ids(words: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """Each word's one token. Raises BadInput with the tokens there are instead."""
    found = [list(tokenizer.hf(word, add_special_tokens=False)["input_ids"]) for word in words]
    for word, ids in zip(words, found, strict=True):
        if len(ids) != 1:
            tokens = ", ".join(repr(token) for token in tokenizer.hf.convert_ids_to_tokens(ids)) or "none"
            remedy = "take words that are one token each; most vocabularies hold them with a space before"
            raise BadInput("head_words", f"{word!r} is {len(ids)} tokens to this model: {tokens}", remedy)
    flat = [ids[0] for ids in found]
    if len(set(flat)) < len(flat):
        raise BadInput("head_words", f"{list(words)} are one and the same token to this model", "take other words")
    return flat


def _names(config: Any) -> list[str]:
    """What the unembedding may be called in the model's files, likeliest first."""
    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    # by the class itself: from_config would shard it, with all ranks taking part, where ZeRO-3 is on
    with bodies.quiet(), bodies.untouched_rng(), torch.device("meta"):
        frame: Any = (kind[0] if isinstance(kind, tuple) else kind)(copy.deepcopy(config))
    head = frame.get_output_embeddings()
    names = [name for name, weight in frame.named_parameters(remove_duplicate=False) if weight is head.weight]
    found = []
    for name in names:
        [filed] = revert_weight_conversion(frame, {name: head.weight})  # Pythia's files say embed_out for lm_head
        # a body alone, as GPT-2 is filed, goes without its prefix
        found += [filed, name, name.removeprefix(f"{frame.base_model_prefix}.")]
    return list(dict.fromkeys(found))


def _read(folder: Path, names: Sequence[str], ids: Sequence[int]) -> Tensor:
    """Rows of the first of these tensors that the folder's files hold."""
    try:
        index = folder / INDEX
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"] if index.is_file() else None
        for name in names:
            file = folder / (ONE if places is None else places.get(name, ""))
            if not file.is_file():
                continue
            with safe_open(file, framework="pt") as tensors:
                if name in tensors.keys():  # noqa: SIM118 - this is no mapping
                    table = tensors.get_slice(name)
                    return torch.cat([table[row : row + 1] for row in ids]).to(torch.float32)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise BadInput(str(folder), f"its weights cannot be read: {error}", "fetch the model again") from None
    what = f"holds no unembedding ({names[0]}): a body alone writes no words"
    raise BadInput(str(folder), what, "take the folder of the whole language model, or head: zero")
