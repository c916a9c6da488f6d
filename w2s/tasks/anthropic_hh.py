"""Anthropic HH: which of two dialogues did a human prefer? (Bai et al. 2022)

"Training a Helpful and Harmless Assistant with RLHF" (MIT; offensive text occurs). About 160,800 training and 8,552 test
comparisons. `form: single` is the published format of openai/weak-to-strong, one dialogue without the other: every model it
reports stays at chance (about .49). The task `pairs` has the helpful and the harmless part apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from w2s import choices
from w2s.examples import Example
from w2s.hub import HubTaskConfig, rows
from w2s.preferences import dialogues
from w2s.task import Split


class Config(HubTaskConfig):
    SOURCE: ClassVar[str] = "HH-RLHF (Bai et al. 2022), hub Anthropic/hh-rlhf, MIT"
    COLUMNS: ClassVar[tuple[str, ...]] = ("chosen", "rejected")

    kind: Literal["anthropic_hh"] = "anthropic_hh"
    hub_id: str = "Anthropic/hh-rlhf"
    form: Literal["pair", "single"] = Field(
        "pair", description="single: one dialogue, was it the chosen one? (the published format; at chance)"
    )


ROWS: tuple[dict[str, Any], ...] = (
    {
        "chosen": "\n\nHuman: Is it late?\n\nAssistant: It is nine.",
        "rejected": "\n\nHuman: Is it late?\n\nAssistant: It depends.",
    },
    {
        "chosen": "\n\nHuman: Name a colour.\n\nAssistant: Blue.",
        "rejected": "\n\nHuman: Name a colour.\n\nAssistant: No.",
    },
    {
        "chosen": "\n\nHuman: Hello!\n\nAssistant: What?",
        "rejected": "\n\nHuman: Hello!\n\nAssistant: Hello to you.",
    },
    {
        "chosen": "\n\nHuman: Tell a joke.\n\nAssistant: A short one.",
        "rejected": "\n\nHuman: Tell a joke.\n\nAssistant: Why me?",
    },
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a comparison; comparisons with the same prompt share a group.

    `pair`: both dialogues, in an order drawn by hash; the label is the index of the chosen one. `single`: one of the
    two, drawn by hash; the label says whether it was chosen.
    """
    for row in rows(config, split):
        found = dialogues(row)
        both = choices.pair(found.chosen, found.rejected, found.group)
        yield both if config.form == "pair" else choices.one_of(both)
