"""A linear head on a frozen model's hidden states: which layers it reads, and how it is fitted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from w2s.config import Config
from w2s.examples import hash_unit

Layer = Literal["middle"] | int


class Subspace(Config):
    """A share of the features, drawn by chance: what one member of a crowd reads (random subspaces, Ho 1998)."""

    share: float = Field(0.5, gt=0, le=1, description="of the features")
    seed: int = Field(0, ge=0, description="which they are")

    def columns(self, width: int) -> list[int]:
        """Places of the features, in order; at least one."""
        ranked = sorted(range(width), key=lambda place: hash_unit("feature", self.seed, place))
        return sorted(ranked[: max(1, round(self.share * width))])


class Probe(Config):
    """A linear head on the frozen model's hidden states, which are computed once for all heads (Burns et al. 2023, D.2).

    All rows are one batch, in float64. The loss is the mean over rows plus `l2` times the squared weights, of inputs that were
    standardised on the rows it learns from.
    """

    layer: Layer | tuple[Layer, ...] = Field(
        "middle", description="0 embeddings, 1 .. depth, -1 the last; middle; several are put side by side"
    )
    embed: tuple[Layer, ...] = Field(
        (), description="layers to keep when embedding, so that probes of each share one pass"
    )
    optimizer: Literal["auto", "lbfgs", "adam"] = Field(
        "auto",
        description="auto: lbfgs where the loss stays the same throughout, adam where it changes as training goes on",
    )
    steps: int = Field(300, ge=1, le=100_000, description="most steps; lbfgs ends earlier where nothing moves any more")
    lr: float = Field(0.05, gt=0, description="of adam")
    l2: Literal["auto"] | Annotated[float, Field(ge=0)] = Field(
        "auto", description="auto: by cross-validation on the labels it learns from; a number is 21 times as fast"
    )
    standardise: bool = Field(True, description="centre and scale every feature")
    subspace: Subspace | None = Field(None, description="read only a random share of the features")

    def identity(self) -> dict[str, Any]:
        """As it enters a key. With all features it is what it was before there were shares."""
        fields = super().identity()
        if fields["subspace"] is None:
            del fields["subspace"]
        return fields

    @property
    def read(self) -> tuple[Layer, ...]:
        """The layers the head reads."""
        return self.layer if isinstance(self.layer, tuple) else (self.layer,)

    @property
    def kept(self) -> tuple[Layer, ...]:
        """The layers the Embed stage keeps: those of `embed` and those the head reads."""
        return tuple(sorted({*self.embed, *self.read}, key=str))


PROBE_LACKS = ("epochs", "batch", "batch_tokens", "bucket", "trainable_layers", "lora", "dropout", "patience")
"""Choices of a finetuned learner that a probe has no use for: refused, so that nobody believes they act."""
