"""Stages that label in writing: their labels are texts, and no class has a probability."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from w2s.stages.labels import Labels
from w2s.stages.models import Write
from w2s.stages.parts import Part


@dataclass(frozen=True)
class Answers(Labels):
    """A stage that yields written answers by example id (answers.parquet), each with its log-probability."""


@dataclass(frozen=True)
class Generate(Answers):
    """What a writer writes after each row's text: greedily (temperature 0), to its end or `max_new_tokens`."""

    model: Write
    rows: Part
    max_new_tokens: int

    @property
    def words(self) -> str:
        return f"generate {self.rows.words} by {self.model.words.partition(' ')[2]}"

    @property
    def origin(self) -> str:
        return self.model.learner.model.short

    def on(self, part: Part) -> Generate:
        return dataclasses.replace(self, rows=part)
