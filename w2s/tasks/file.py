"""Your own data: a local JSON-lines, CSV, Parquet or Arrow file, with columns mapped to texts, label and group."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any, ClassVar, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from cluster.errors import BadInput
from cluster.key import content_key
from w2s import tables
from w2s.config import LocalPath
from w2s.domains import DomainConfig, named
from w2s.examples import Example, hash_unit
from w2s.registry import unknown
from w2s.task import Split


class Config(DomainConfig):
    """Which columns make an example: `text: review`, `text: "{question} {answer}"`, or `texts: [first, second]`.

    With `domain`, `source` and `shift` the distribution shifts; rows of domains that are not named are left out.
    """

    SOURCE: ClassVar[str] = "a local file"

    kind: Literal["file"] = "file"
    path: LocalPath = Field(description="jsonl, jsonl.gz, csv, csv.gz, parquet or arrow, told by suffix")
    test_path: LocalPath | None = Field(
        None, description="the test split; without it test_share of path is the test split"
    )
    test_share: float = Field(0.25, gt=0, lt=1, description="share of the groups, by hash; unused with test_path")
    text: str | None = Field(None, description="a column, or a template with {columns}")
    texts: tuple[str, ...] | None = Field(None, description="columns or templates of the candidates; label is an index")
    label: str = Field("label", description="column of the class")
    labels: dict[str, int] | None = Field(
        None, description="what the label column holds -> class; null: it holds 0, 1, ..."
    )
    group: str | None = Field(
        None, description="column; rows of one group never straddle two splits (default: the text)"
    )
    # written n_classes in a recipe; a field of that name would shadow the property every task has
    classes: int = Field(2, ge=2, le=1000, validation_alias=AliasChoices("n_classes", "classes"))

    @field_validator("labels", mode="before")
    @classmethod
    def _names_as_text(cls, value: Any) -> Any:
        # YAML reads `yes:` and `1:` as a boolean and a number
        return {_name(name): index for name, index in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text (one text a row) or texts (candidates to choose among)")
        if self.texts is not None and len(self.texts) != self.classes:
            raise ValueError(f"{len(self.texts)} texts for {self.classes} classes: give one text a class")
        if self.labels is not None and not all(0 <= index < self.classes for index in self.labels.values()):
            raise ValueError(f"labels maps to classes outside 0..{self.classes - 1}; set n_classes")
        for template in self.templates:
            columns_of(template)
        return self

    def __hash__(self) -> int:
        return hash(content_key(self.dump()))  # `labels` is a dict

    @property
    def n_classes(self) -> int:
        return self.classes

    @property
    def chance(self) -> float:
        """1 / classes: what the commonest class's share is, only the file knows."""
        return 1 / self.classes

    @property
    def templates(self) -> tuple[str, ...]:
        return self.texts if self.texts is not None else (self.text or "",)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """The rows of a split as mapped. Raises BadInput naming file, row and column."""
    from_test = split == "test" and config.test_path is not None
    for row in tables.read(Path(config.test_path if from_test and config.test_path else config.path)):
        texts = tuple(_fill(row, template) for template in config.templates)
        group = row.text(config.group) if config.group is not None else "\n".join(texts)
        drawn = hash_unit("test", group) < config.test_share
        if config.domain is not None:
            placed = config.placed(named(row.value(config.domain)), drawn=drawn, test_file=from_test)
            if placed is not None and placed[1] == (split == "test"):
                yield Example(texts, _label(row, config), group, side=placed[0])
        elif config.test_path is not None or drawn == (split == "test"):
            yield Example(texts, _label(row, config), group)


def columns_of(template: str) -> tuple[str, ...]:
    """The columns a template names; none when it has no braces. Raises ValueError when its braces make no sense."""
    names = []
    for _, name, spec, conversion in Formatter().parse(template):
        if name == "" or spec or conversion:
            raise ValueError(f"'{template}': write {{column}} and nothing else between the braces")
        if name is not None:
            names.append(name)
    return tuple(names)


def _fill(row: tables.Row, template: str) -> str:
    if not columns_of(template):
        return row.text(template)
    pieces = Formatter().parse(template)
    return "".join(literal + (row.text(name) if name is not None else "") for literal, name, _, _ in pieces)


def _label(row: tables.Row, config: Config) -> int:
    if config.labels is None:
        return row.integer(config.label)
    found = _name(row.value(config.label))
    if found not in config.labels:
        what = f"column '{config.label}': {unknown('label', found, list(config.labels))}"
        raise BadInput(row.where, what, "add it to labels, or correct the row")
    return config.labels[found]


def _name(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value, default=str)
