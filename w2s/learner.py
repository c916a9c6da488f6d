"""A learner: which pretrained model, and how it is finetuned. All of it is science: any change here is another result.

The model itself, the optimizer and probes have files of their own (`model_ref`, `optim`, `probe`); their names are here as well.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from w2s.config import Config
from w2s.model_ref import PIP_SOURCE as PIP_SOURCE
from w2s.model_ref import ModelRef as ModelRef
from w2s.model_ref import is_local as is_local
from w2s.optim import Optim as Optim
from w2s.optim import Schedule as Schedule
from w2s.probe import PROBE_LACKS
from w2s.probe import Layer as Layer
from w2s.probe import Probe as Probe


class Lora(Config):
    """Low-rank adapters (Hu et al. 2021): the body stays as it is, two thin matrices beside each target layer learn."""

    rank: int = Field(8, ge=1, le=4096)
    alpha: int = Field(16, ge=1, description="the adapters' product is scaled by alpha / rank")
    targets: Literal["auto"] | tuple[str, ...] = Field(
        "auto", description="names of linear layers, or ends of names; auto: all in the transformer layers"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="on what goes into the adapters; needs the learner's dropout: true"
    )

    @field_validator("targets")
    @classmethod
    def _ordered(cls, value: Any) -> Any:
        if value == ():
            raise ValueError("no layer is named: name some, or write auto")
        return value if value == "auto" else tuple(sorted(set(value)))


class Learner(Config):
    """A pretrained model and how to finetune it."""

    model: ModelRef
    optim: Optim = Optim()
    schedule: Schedule = Schedule()
    epochs: float = Field(2, gt=0, le=1000)
    batch: int = Field(32, ge=1, description="rows per optimizer step, over all devices")
    batch_tokens: int | None = Field(
        None, ge=1, description="instead of `batch`: fill each step up to so many padded tokens"
    )
    bucket: bool = Field(True, description="group rows of similar length into a batch")
    max_tokens: int = Field(512, ge=2, description="longest text, in tokens")
    too_long: Literal["truncate", "drop"] = Field(
        "truncate", description="training rows over max_tokens; prediction truncates"
    )
    trainable_layers: Literal["all"] | Annotated[int, Field(ge=0)] = Field(
        "all", description="how many of the last layers learn; 0 trains the head alone"
    )
    lora: Lora | None = Field(
        None, description="learn low-rank adapters (and the head) instead of the body's own weights"
    )
    probe: Probe | None = Field(
        None, description="train a head on the frozen model's hidden states instead of finetuning it"
    )
    pooling: Literal["auto", "last", "mean", "cls"] = Field(
        "auto", description="auto: last token for decoders, mean for encoders"
    )
    head: Literal["zero", "normal", "words"] = Field(
        "zero",
        description="what the head starts from; words: the model's own output rows of head_words (Burns et al. 2023)",
    )
    head_words: tuple[str, ...] | None = Field(
        None,
        description="head: words only: one word a class, in order, each a single token; one where candidates are scored",
    )
    dropout: bool = Field(False, description="keep the model's own dropout on while training")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="of the forward and backward pass; weights and optimizer are kept in fp32"
    )
    evaluate: Literal["never", "epoch"] | Annotated[int, Field(ge=1)] = Field("epoch", description="or every N steps")
    select: Literal["last", "best", "oracle"] = Field(
        "last",
        description="best: highest agreement with the held-out labels it learns from; oracle: by ground truth, a bound",
    )
    patience: int | None = Field(None, ge=1, description="stop after so many evaluations without a better one")

    @field_validator("trainable_layers", mode="before")
    @classmethod
    def _digits(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    @model_validator(mode="after")
    def _fits(self) -> Learner:
        if self.evaluate == "never" and (self.select != "last" or self.patience is not None):
            raise ValueError("select and patience need evaluations: set evaluate to 'epoch' or a number of steps")
        if self.model.form == "static" and self.model.layers is not None:
            raise ValueError("static word vectors have no layers to cut")
        return self

    @model_validator(mode="after")
    def _head_reads(self) -> Learner:
        if (self.head == "words") != (self.head_words is not None):
            raise ValueError("head: words and head_words go together: give both, or neither")
        if self.head_words is None:
            return self
        if not self.head_words or len(set(self.head_words)) < len(self.head_words):
            raise ValueError(f"head_words: {list(self.head_words)} are not different words, one a class")
        if self.model.form in ("static", "features", "given") or self.probe is not None:
            raise ValueError(
                "head: words needs a language model that is finetuned: a probe or word vectors write no words"
            )
        if self.pooling not in ("auto", "last"):
            raise ValueError(f"head: words reads the next word at the last token, not pooling: {self.pooling}")
        return self

    @model_validator(mode="after")
    def _adapts(self) -> Learner:
        if self.lora is None:
            return self
        if self.model.form == "static":
            raise ValueError("lora: static word vectors have no linear layers to adapt")
        if self.trainable_layers != "all":
            raise ValueError(
                "lora freezes the whole body; leave trainable_layers at all, and choose layers by lora.targets"
            )
        if self.lora.dropout and not self.dropout:
            raise ValueError(
                "lora.dropout needs dropout: true; without it training runs in eval mode, where no dropout acts"
            )
        return self

    @model_validator(mode="after")
    def _probes(self) -> Learner:
        if self.model.form == "features" and self.probe is None:
            raise ValueError(f"{self.model.source} has nothing to finetune: set probe: {{}} to train a head on it")
        if self.probe is None:
            return self
        if self.model.form == "features" and (self.probe.layer != "middle" or self.probe.embed):
            raise ValueError(f"{self.model.source} has no layers: leave probe.layer and probe.embed out")
        odd = [name for name in PROBE_LACKS if getattr(self, name) != type(self).model_fields[name].get_default()]
        if odd:
            raise ValueError(
                f"probe: a head alone is trained, on all rows at once, so {', '.join(odd)} means nothing here"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """The learner as it enters a key. Without adapters, probe or words it is what it was before there were any."""
        fields = super().identity()
        for name in ("lora", "probe", "head_words"):
            if fields[name] is None:
                del fields[name]
        return fields
