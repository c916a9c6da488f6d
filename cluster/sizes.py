"""How large a model is as it is trained: parameters, activations, floating point operations. Plain numbers, no torch.

Sizes(...)                          counted once from the architecture, kept as JSON
sizes.activations.bytes(rows, T)    what autograd keeps for a micro-batch
sizes.train_flops(T)                model FLOPs of one token, forward and backward
"""

# B rows, T tokens a row, L layers, D width

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRECISION_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
SMALL = 100_000  # elements: parameters below it stay gathered under ZeRO-3 (stage3_param_persistence_threshold)


@dataclass(frozen=True)
class Activations:
    """Bytes autograd keeps from forward to backward: constant + rows (linear T + square T²).

    `constant` does not grow with the batch: weights cast to half precision by autocast, position tables.
    """

    constant: float
    linear: float
    square: float

    def bytes(self, rows: int, tokens: int) -> int:
        """For `rows` rows padded to `tokens` tokens each."""
        return round(self.constant + rows * tokens * (self.linear + self.square * tokens))


@dataclass(frozen=True)
class Sizes:
    """Counts of elements, and what they lead to. `counted` False: activations are the textbook's, not the model's own.

    `learning` parameters get gradients; `reached` ones compute in layers a gradient passes through, learning or not.
    `computing` excludes embedding tables, which are looked up; `linear` ones are in torch's own linear modules.
    `largest_module` is what ZeRO-3 gathers for one module at once; `small` sums the parameters under SMALL elements, which it
    never lets go. `layer` is one layer's share of `plain`.
    """

    parameters: int
    learning: int
    computing: int
    reached: int
    learning_computing: int
    embedding: int
    linear: int
    largest_parameter: int
    largest_module: int
    small: int
    width: int
    depth: int
    depth_reached: int
    heads: int
    vocabulary: int
    outputs: int
    precision: str
    plain: Activations
    checkpointed: Activations
    layer: Activations
    counted: bool = True

    def activations(self, *, checkpointing: bool) -> Activations:
        return self.checkpointed if checkpointing else self.plain

    def forward_flops(self, tokens: int) -> float:
        """FLOPs of one token's forward pass in a row of `tokens`: 2 a weight, and 4 L D T for attention.

        Kaplan et al. 2020 (section 2.1); the attention term is that of Chowdhery et al. 2022 (PaLM, appendix B), which counts
        the whole T x T square for causal models too.
        """
        return 2.0 * self.computing + 4.0 * self.depth * self.width * tokens

    def train_flops(self, tokens: int) -> float:
        """FLOPs of one token's training step: 6 a learning weight and 12 L D T where everything learns (as in PaLM).

        A frozen weight costs 4 where a gradient passes through it and 2 below the first learning layer. What gradient
        checkpointing computes a second time is not counted: these are the model's FLOPs, not the hardware's.
        """
        weights = 2.0 * (self.reached + self.learning_computing)
        return self.forward_flops(tokens) + weights + 8.0 * self.depth_reached * self.width * tokens

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Sizes:
        """The inverse of `to_json`. Raises TypeError or KeyError for anything else."""
        curves = {name: Activations(**record[name]) for name in ("plain", "checkpointed", "layer")}
        return cls(**{**record, **curves})


def textbook(precision: str, width: int, depth: int) -> tuple[Activations, Activations, Activations]:
    """Activations (plain, checkpointed, one layer) where a model cannot be counted.

    Korthikanti et al. 2022 (Reducing Activation Recomputation, section 4.1) keep 34 bytes a token and width in half
    precision: 32 without the two dropout masks, so 16 numbers; the 5 heads T / D of the attention square are gone where
    attention is fused (their section 5's selective recomputation). The two layer norms compute in fp32 under autocast.
    Checkpointed: one layer input each.
    """
    size = PRECISION_BYTES[precision]
    per_token = 16.0 * size * width + (0.0 if size == 4 else 4.0 * width)
    layer = Activations(0.0, per_token, 0.0)
    return Activations(0.0, depth * per_token, 0.0), Activations(0.0, 4.0 * depth * width, 0.0), layer
