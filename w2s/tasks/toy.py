"""Toy sentiment made by code: instant, offline, hard enough that a small model is worse than a larger. For tests.

A row is a few neutral words around one feeling word ("the old clock was lovely today"). Most rows are decided by the
feeling word alone. A share `hard` of them has "not" right before it, which turns the feeling round: word counts alone
cannot tell ("not" goes with both classes), a model of word order or of word pairs can.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from w2s.examples import Example, hash_unit
from w2s.task import Split, TaskConfig

GOOD = ("good", "great", "lovely", "happy", "bright", "kind")
BAD = ("bad", "awful", "ugly", "sad", "gloomy", "cruel")
THINGS = (
    "clock",
    "river",
    "garden",
    "letter",
    "song",
    "window",
    "teacher",
    "train",
    "dinner",
    "painting",
    "dog",
    "story",
)
TRAITS = ("old", "new", "small", "red", "quiet", "long", "wooden", "local")
TIMES = ("today", "again", "then", "here", "tonight", "lately", "there", "now")
PLACES = ("upstairs", "outside", "downtown", "indoors", "nearby", "abroad")
TEST_SHARE = 1 / 3


class Config(TaskConfig):
    SOURCE: ClassVar[str] = "made by code"

    kind: Literal["toy"] = "toy"
    size: int = Field(400, ge=8, le=4000, description="training rows; the test split has half as many")
    hard: float = Field(0.25, ge=0, le=1, description="share of rows whose feeling is turned round by 'not'")
    noise: float = Field(
        0.0, ge=0, lt=0.5, description="share of labels flipped, in both splits: no model exceeds 1 - noise"
    )
    seed: int = 0
    pairs: bool = Field(
        False, description="two texts a row, of opposite feeling; the label is the index of the good one"
    )


def examples(config: Config, split: Split) -> Iterator[Example]:
    """`size` distinct training rows, or size // 2 test rows. Its text decides a row's split, so none is in both."""
    rng = random.Random(f"toy/{config.seed}/{config.pairs}")
    wanted = config.size if split == "train" else config.size // 2
    seen: set[str] = set()
    while len(seen) < wanted:
        row = _pair(rng, config.hard) if config.pairs else _single(rng, config.hard)
        in_test = hash_unit("toy split", row.group) < TEST_SHARE
        if in_test == (split == "test") and row.group not in seen:
            seen.add(row.group)
            flipped = hash_unit("toy noise", config.seed, row.group) < config.noise
            yield Example(row.texts, 1 - row.label, row.group) if flipped else row


def _single(rng: random.Random, hard: float) -> Example:
    label = rng.randrange(2)
    text = _sentence(rng, label, hard)
    return Example((text,), label, text)


def _pair(rng: random.Random, hard: float) -> Example:
    label = rng.randrange(2)
    texts = (_sentence(rng, 1 - label, hard), _sentence(rng, label, hard))
    return Example(texts, label, "\n".join(texts))


def _sentence(rng: random.Random, good: int, hard: float) -> str:
    turned = rng.random() < hard
    feeling = rng.choice(GOOD if bool(good) != turned else BAD)
    subject = f"the {rng.choice(TRAITS)} {rng.choice(THINGS)} was"
    return f"{subject} {'not ' if turned else ''}{feeling} {rng.choice(PLACES)} {rng.choice(TIMES)}"
