"""Static word vectors as a model: a text is the mean of its tokens' vectors (GloVe, model2vec, WordLlama)."""

# B texts, T tokens, V vocabulary, D width

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer as Backend
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast
from transformers.modeling_outputs import BaseModelOutput

from cluster.errors import BadInput

PAD_NAMES = ("[PAD]", "<pad>", "<|pad|>", "<unk>", "[UNK]")


class StaticBody(nn.Module):
    """An embedding table that answers like a transformer's body; `key` is the table's name in its file."""

    def __init__(self, vectors_VD: Tensor, key: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vectors_VD.shape[0], vectors_VD.shape[1], _weight=vectors_VD)
        self.key = key

    @property
    def width(self) -> int:
        return int(self.embedding.embedding_dim)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutput:
        """`last_hidden_state` [B, T, D]: the tokens' own vectors."""
        return BaseModelOutput(last_hidden_state=self.embedding(input_ids))


def load_vectors(file: Path) -> StaticBody:
    """The one 2-D tensor [V, D] of a safetensors file, in float32. Raises BadInput if there is none, or several."""
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise BadInput(str(file), f"cannot be read as safetensors: {error}") from None
    tables = {name: tensor for name, tensor in tensors.items() if tensor.ndim == 2}
    if len(tables) != 1:
        found = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items()) or "nothing"
        raise BadInput(
            str(file), f"holds {found}", "static word vectors are a file with one 2-D tensor [vocabulary, width]"
        )
    [(key, vectors_VD)] = tables.items()
    return StaticBody(vectors_VD.to(torch.float32), key)


def save_vectors(file: Path, vectors_VD: Tensor, key: str) -> None:
    """The inverse of `load_vectors`."""
    save_file({key: vectors_VD.contiguous()}, file)


def load_tokenizer(file: Path) -> Any:
    """A `tokenizers` JSON as a Hugging Face tokenizer, with a pad token if it has one. BadInput if unreadable."""
    try:
        backend = Backend.from_file(str(file))
    except Exception as error:  # the tokenizers' core raises bare Exception, for a missing file as for bad JSON
        raise BadInput(str(file), f"cannot be read as a tokenizers JSON: {error}") from None
    pad = next((name for name in PAD_NAMES if backend.token_to_id(name) is not None), None)
    return cast("Any", PreTrainedTokenizerFast)(tokenizer_object=backend, **({"pad_token": pad} if pad else {}))
