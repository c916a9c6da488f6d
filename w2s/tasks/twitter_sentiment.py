"""Twitter sentiment: is a tweet positive? (EleutherAI's copy, as used by Burns et al. 2023 and EleutherAI/w2s)

The tweet alone. The hub's page names no paper; chance is given as a half.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s.examples import Example
from w2s.hub import HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    SOURCE: ClassVar[str] = "Twitter sentiment, hub EleutherAI/twitter-sentiment"
    COLUMNS: ClassVar[tuple[str, ...]] = ("text", "label")

    kind: Literal["twitter_sentiment"] = "twitter_sentiment"
    hub_id: str = "EleutherAI/twitter-sentiment"


ROWS: tuple[dict[str, Any], ...] = (
    {"text": "best day ever, thanks all", "label": 1},
    {"text": "missed the bus again", "label": 0},
    {"text": "new puppy!!", "label": 1},
    {"text": "@sam this is so sad", "label": 0},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a tweet, its own group. Label 1: positive."""
    for row in rows(config, split):
        text = row.text("text")
        yield Example((text,), row.integer("label"), text)
