"""Amazon polarity: is a product review positive? (Zhang, Zhao, LeCun 2015)

"Character-level Convolutional Networks for Text Classification": stars 1-2 are negative, 4-5 positive, 3 left out; text as in
openai/weak-to-strong. 3,600,000 training and 400,000 test reviews, balanced: set n_train and n_test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s.examples import Example
from w2s.hub import HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    SOURCE: ClassVar[str] = "Amazon polarity (Zhang et al. 2015), hub fancyzhx/amazon_polarity"
    COLUMNS: ClassVar[tuple[str, ...]] = ("label", "title", "content")

    kind: Literal["amazon_polarity"] = "amazon_polarity"
    hub_id: str = "fancyzhx/amazon_polarity"


ROWS: tuple[dict[str, Any], ...] = (
    {"label": 1, "title": "Great", "content": "Works well."},
    {"label": 0, "title": "Broken", "content": "It came in two."},
    {"label": 1, "title": "", "content": "No title but happy."},
    {"label": 0, "title": 'Meh: "fine"', "content": "Not\nfine."},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a review: `title content`; each review is its own group."""
    for row in rows(config, split):
        text = f"{row.text('title')} {row.text('content')}"
        yield Example((text,), row.integer("label"), text)
