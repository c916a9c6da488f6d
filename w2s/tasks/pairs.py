"""Preference pairs: which of two answers did people prefer? (HH, SHP, PKU-SafeRLHF, summaries, UltraFeedback, your own file)

Both answers are scored by one scalar head, and P(first is better) = sigmoid(r1 - r2): the reward models of Ouyang et al. 2022 and
of Burns et al. 2023, appendix A.3. Which answer comes first is drawn by hash. Every source is read in its own columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from w2s import choices
from w2s.examples import Example
from w2s.hub import HubTaskConfig, Place, rows
from w2s.preferences import SOURCES
from w2s.task import Split

Name = Literal["hh-helpful", "hh-harmless", "shp", "pku-saferlhf", "summarize", "ultrafeedback", "file"]


class Config(HubTaskConfig):
    """`source` chooses the data and with it the columns; hub_id and revision default to the source's own."""

    SOURCE: ClassVar[str] = (
        "HH-RLHF (Bai et al. 2022), SHP (Ethayarajh et al. 2022), PKU-SafeRLHF (Ji et al. 2023), "
        "summarize from feedback (Stiennon et al. 2020), UltraFeedback (Cui et al. 2023): hub; or a local file"
    )

    kind: Literal["pairs"] = "pairs"
    source: Name = Field("hh-helpful", description="file: columns chosen, rejected and, if they are answers, prompt")
    criterion: Literal["better", "safer"] = Field(
        "better", description="pku-saferlhf: preferred as the more helpful answer, or as the safer one"
    )
    hub_id: str = Field("", description="another copy on the hub; empty for the source's own")
    revision: str = Field("", description="branch, tag or commit; empty for the source's own")

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if self.source == "file" and self.path is None:
            raise ValueError("source: file needs a path")
        if self.criterion == "safer" and self.source != "pku-saferlhf":
            raise ValueError("criterion: safer is for source: pku-saferlhf alone")
        return self

    @property
    def place(self) -> Place:
        """The source's place on the hub, or the copy that was named."""
        own = SOURCES[self.source].place
        return Place(self.hub_id or own.id, self.revision or own.revision, own.train, own.test, own.subset, own.folder)


# Four rows of each source in its own columns: a prompt, a better and a worse answer.
_ASKED = (
    ("Is it late?", "It is nine.", "It depends."),
    ("Name a colour.", "Blue.", "No."),
    ("Name a colour.", "Red.", "No."),
    ("Hello!", "Hello to you.", "What?"),
)
_DIALOGUES = tuple(
    {"chosen": f"\n\nHuman: {ask}\n\nAssistant: {good}", "rejected": f"\n\nHuman: {ask}\n\nAssistant: {bad}"}
    for ask, good, bad in _ASKED
)
ROWS: dict[Name, tuple[dict[str, Any], ...]] = {
    "hh-helpful": _DIALOGUES,
    "hh-harmless": _DIALOGUES,
    "shp": tuple(
        {"post_id": f"p{i}", "history": ask, "human_ref_A": good, "human_ref_B": bad, "labels": 1}
        if i % 2
        else {"post_id": f"p{i}", "history": ask, "human_ref_A": bad, "human_ref_B": good, "labels": 0}
        for i, (ask, good, bad) in enumerate(_ASKED)
    ),
    "pku-saferlhf": tuple(
        {"prompt": ask, "response_0": bad, "response_1": good, "better_response_id": 1, "safer_response_id": i % 2}
        for i, (ask, good, bad) in enumerate(_ASKED)
    ),
    "summarize": tuple(
        {
            "info": {"post": None if i % 2 else ask, "article": ask if i % 2 else None},
            "summaries": [{"text": f" {good}", "policy": "ref"}, {"text": f" {bad}", "policy": "sup"}],
            "choice": 0,
        }
        for i, (ask, good, bad) in enumerate(_ASKED)
    ),
    "ultrafeedback": tuple(
        {
            "prompt": ask,
            "chosen": [{"role": "user", "content": ask}, {"role": "assistant", "content": good}],
            "rejected": [{"role": "user", "content": ask}, {"role": "assistant", "content": bad}],
        }
        for ask, good, bad in _ASKED
    ),
    "file": tuple(
        {"prompt": f"Human: {ask}\n\nAssistant:", "chosen": good, "rejected": bad} for ask, good, bad in _ASKED
    ),
}


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a comparison; comparisons of answers to one prompt share a group. The label is the better one's index."""
    read = SOURCES[config.source].read
    for row in rows(config, split):
        found = read(row, config.criterion)
        yield choices.pair(found.chosen, found.rejected, found.group)
