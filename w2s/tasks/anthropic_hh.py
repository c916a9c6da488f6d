"""Anthropic HH: which of two dialogues did a human prefer?

Bai et al. 2022, "Training a Helpful and Harmless Assistant with RLHF" (MIT; offensive text occurs). About 160,800
training and 8,552 test comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from w2s.examples import Example, hash_unit
from w2s.hub import HubTaskConfig, rows
from w2s.task import Split

TURN = "\n\nAssistant:"


class Config(HubTaskConfig):
    SOURCE: ClassVar[str] = "HH-RLHF (Bai et al. 2022), hub Anthropic/hh-rlhf, MIT"
    COLUMNS: ClassVar[tuple[str, ...]] = ("chosen", "rejected")

    kind: Literal["anthropic_hh"] = "anthropic_hh"
    hub_id: str = "Anthropic/hh-rlhf"
    form: Literal["pairs", "single"] = Field(
        "pairs", description="single: one dialogue, was it the chosen one? (the published format; near chance)"
    )


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a comparison; comparisons with the same prompt share a group.

    `pairs`: both dialogues, in an order drawn by hash; the label is the index of the chosen one. `single`: one of the
    two, drawn by hash; the label says whether it was chosen. This is what openai/weak-to-strong trains on, and every
    model it reports stays near chance (about .49): a dialogue alone hardly tells whether another was better.
    """
    for row in rows(config, split):
        chosen, rejected = row.text("chosen"), row.text("rejected")
        group = prompt(chosen, rejected)
        # drawn over the sorted texts: the order must not know which one was chosen
        pair = sorted((chosen, rejected))
        if hash_unit("choice", group, *pair) < 0.5:
            pair.reverse()
        if config.form == "pairs":
            yield Example((pair[0], pair[1]), pair.index(chosen), group)
        else:
            yield Example((pair[0],), int(pair[0] == chosen), group)


def prompt(chosen: str, rejected: str) -> str:
    """What both dialogues share, up to the assistant's turn where they part."""
    length = next((i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), None)
    shared = chosen[: min(len(chosen), len(rejected)) if length is None else length]
    cut = shared.rfind(TURN)
    return shared[: cut + len(TURN)] if cut >= 0 else shared or chosen
