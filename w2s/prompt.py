"""A prompt: how a language model is asked for a label in words, without being trained (Burns et al. 2023, section 5.2.1)."""

# W words

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from w2s.config import Config

PLACE = "{text}"
Calibrate = Literal["none", "content_free", "prior"]


class Prompt(Config):
    """The words around a text. A shot is `template` with its text and, after it, its label's word; `separator` ends it."""

    template: str = Field(
        f"{PLACE}\nRespond with 1 if the answer is correct, and 0 otherwise.\nResponse:",
        description=f"a row as it is asked; {PLACE} stands for its text, and the label's word comes after the end",
    )
    words: tuple[str, ...] = Field(
        (" 0", " 1"),
        min_length=2,
        description="one a class, in order, as they follow the template; where candidates are scored: wrong, right",
    )
    instruction: str = Field("", description="said once, before everything else")
    separator: str = Field("\n\n", description="after each shot")
    content_free: tuple[str, ...] = Field(
        ("N/A", "", "[MASK]"), min_length=1, description="texts that say nothing, for calibration (Zhao et al. 2021)"
    )

    @model_validator(mode="after")
    def _fits(self) -> Prompt:
        if self.template.count(PLACE) != 1:
            raise ValueError(f"template: {PLACE} stands in it {self.template.count(PLACE)} times; it must once")
        if len(set(self.words)) < len(self.words) or not all(self.words):
            raise ValueError(f"words: {list(self.words)} are not different words")
        return self

    @property
    def label(self) -> str:
        """A name for tables."""
        return "/".join(word.strip() for word in self.words)

    @property
    def tail(self) -> str:
        """What stands between a text and the word that is asked for."""
        return self.template.partition(PLACE)[2]

    def ask(self, text: str) -> str:
        """A row, up to where its label's word is due."""
        head, _, tail = self.template.partition(PLACE)
        return head + text + tail

    def shot(self, text: str, label: int) -> str:
        """A row with its label."""
        return self.ask(text) + self.words[label] + self.separator
