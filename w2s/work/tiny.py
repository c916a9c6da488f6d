"""Tiny transformers built in code, for tests and dry runs: real architectures, no downloads, always the same weights.

Their "pretrained" weights depend on family, width and parameter name only: neither on a run's seed nor on the depth, so
the first layers of a deeper model are the layers of a shallower one.
"""

# V vocabulary, D width

from __future__ import annotations

from typing import Any

import torch
import transformers
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, processors

from cluster.errors import BadInput
from w2s.examples import hash_unit
from w2s.learner import ModelRef
from w2s.work.body import check_writes, quiet, untouched_rng

hf: Any = transformers  # its constructors carry no types
POSITIONS = 512
PAD, BEGIN, END = "<pad>", "<begin>", "<end>"


def build(model: ModelRef) -> tuple[Any, Any]:
    """(body, Hugging Face tokenizer) of a `tiny:` reference. Raises BadInput for an odd width or too many layers."""
    if model.width % 2:
        raise BadInput("model.width", f"{model.width} is odd", "attention heads need an even width")
    if model.layers is not None and model.layers > model.depth:
        raise BadInput(
            "model.layers", f"{model.layers} asked for, depth is {model.depth}", "raise depth or lower layers"
        )
    family = model.source.removeprefix("tiny:")
    tokenizer = byte_tokenizer(family)
    config = _config(family, model.width, model.layers or model.depth, len(tokenizer))
    with quiet(), untouched_rng():
        body = hf.AutoModel.from_config(config, **({"add_pooling_layer": False} if family == "bert" else {}))
    _draw(body, f"{family} {model.width}")
    return body.eval(), tokenizer


def build_language_model(model: ModelRef) -> tuple[Any, Any]:
    """(causal language model, Hugging Face tokenizer): the same body under its unembedding, which llama does not tie."""
    body, tokenizer = build(model)
    check_writes(body.config, f"model {model.short}")
    with quiet(), untouched_rng():
        whole = hf.AutoModelForCausalLM.from_config(body.config)
    whole.base_model.load_state_dict(body.state_dict())
    if not whole.config.tie_word_embeddings:
        rows = whole.get_output_embeddings().weight
        generator = _generator(f"{model.source.removeprefix('tiny:')} {model.width}", "lm_head.weight")
        with torch.no_grad():
            rows.normal_(0.0, body.config.hidden_size**-0.5, generator=generator)
    return whole.eval(), tokenizer


def byte_tokenizer(family: str) -> Any:
    """One token a UTF-8 byte. As their elders do, bert adds begin and end to a text, llama begin, gpt2 nothing."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([PAD, BEGIN, END, *alphabet])}
    backend = Backend(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    frame = {"bert": f"{BEGIN} $A {END}", "llama": f"{BEGIN} $A"}.get(family)
    if frame is not None:
        specials = [(token, vocabulary[token]) for token in (BEGIN, END)]
        backend.post_processor = processors.TemplateProcessing(single=frame, special_tokens=specials)
    return hf.PreTrainedTokenizerFast(tokenizer_object=backend, pad_token=PAD, bos_token=BEGIN, eos_token=END)


def _config(family: str, width: int, depth: int, vocabulary: int) -> Any:
    heads = next(n for n in (4, 2, 1) if width % (2 * n) == 0)  # rotary positions need an even width a head
    ids = {"vocab_size": vocabulary, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if family == "gpt2":
        return hf.GPT2Config(n_embd=width, n_layer=depth, n_head=heads, n_positions=POSITIONS, **ids)
    shape = {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
        "max_position_embeddings": POSITIONS,
    }
    return {"bert": hf.BertConfig, "llama": hf.LlamaConfig}[family](**shape, **ids)


def _draw(body: Any, salt: str) -> None:
    # matrices of variance 1/width keep signals alive in a narrow model, where the usual 0.02 would not
    with torch.no_grad():
        for name, weight in body.named_parameters():
            if weight.ndim < 2:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            weight.normal_(0.0, body.config.hidden_size**-0.5, generator=_generator(salt, name))


def _generator(salt: str, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(int(hash_unit("tiny", salt, name) * 2**53))
