"""A frozen model read at some of its layers: hidden states pooled to one vector a text."""

# B texts, T tokens, L layers read, D width

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from cluster.errors import BadInput
from w2s.learner import Layer
from w2s.work import body as bodies
from w2s.work.pooling import Pooling, pool
from w2s.work.static import StaticBody


class Reader(nn.Module):
    """A body that answers with [B, L, D]: its hidden states after some of its layers, pooled over each text's tokens."""

    def __init__(self, body: nn.Module, pooling: Pooling, layers: Sequence[Layer], name: str) -> None:
        super().__init__()
        self.body = body.requires_grad_(False)
        self._pooling: Pooling = pooling
        self._places = [_place(layer, depth(body), name) for layer in layers]
        self._trim()

    def forward(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        if isinstance(self.body, StaticBody):
            states = [self.body(input_ids=input_ids_BT, attention_mask=attention_mask_BT).last_hidden_state]
        else:
            told = self.body(input_ids=input_ids_BT, attention_mask=attention_mask_BT, output_hidden_states=True)
            states = told.hidden_states
        pooled = [pool(self._pooling, states[place], attention_mask_BT).float() for place in self._places]
        return torch.stack(pooled, dim=1)

    def _trim(self) -> None:
        """Layers above the highest one read are not computed. One more stays: the very last state is normalised by some
        models, and must be so only where it is the last of the whole model."""
        blocks = None if isinstance(self.body, StaticBody) else bodies.blocks(self.body)
        highest = max(self._places)
        if blocks is not None and highest + 1 < len(blocks):
            del cast("Any", blocks)[highest + 1 :]


def depth(body: nn.Module) -> int:
    """How many layers a body has; word vectors have none."""
    return 0 if isinstance(body, StaticBody) else int(cast("Any", body).config.num_hidden_layers)


def _place(layer: Layer, layers: int, name: str) -> int:
    """A layer's place among the hidden states: 0 for the embeddings, up to `layers`. Raises BadInput for one too high."""
    if layer == "middle":
        return (layers + 1) // 2
    place = layer if layer >= 0 else layers + 1 + layer
    if not 0 <= place <= layers:
        what = f"layer {layer}, but this model has {layers}"
        raise BadInput(f"model {name}", what, f"0 (embeddings) to {layers}, or -1 (last) to -{layers + 1}, or middle")
    return place
