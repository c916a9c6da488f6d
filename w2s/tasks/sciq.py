"""SciQ: is this answer to a science question right? One candidate a question, right or wrong by a fair draw.

Welbl, Liu, Gardner 2017, "Crowdsourcing Multiple Choice Science Questions" (CC BY-NC 3.0); text as in
openai/weak-to-strong. 11,679 training and 1,000 test questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from w2s.examples import Example, hash_unit
from w2s.hub import HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    SOURCE: ClassVar[str] = "SciQ (Welbl et al. 2017), hub allenai/sciq, CC BY-NC 3.0"
    COLUMNS: ClassVar[tuple[str, ...]] = ("question", "correct_answer", "distractor1", "distractor2", "distractor3")

    kind: Literal["sciq"] = "sciq"
    hub_id: str = "allenai/sciq"


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a question: `Q: ... A: ...` with the right answer (1) or one of three distractors (0)."""
    for row in rows(config, split):
        question, answer = row.text("question"), row.text("correct_answer")
        right = hash_unit("choice", question) < 0.5
        if not right:
            wrong = hash_unit("distractor", question)
            answer = row.text(f"distractor{1 + int(3 * wrong)}")
        yield Example((f"Q: {question} A: {answer}",), int(right), question)
