"""Cosmos QA: is this the answer to a question about an everyday story? One candidate a question, right or wrong.

Huang et al. 2019, "Cosmos QA: Machine Reading Comprehension with Contextual Commonsense Reasoning" (CC BY 4.0); text
as in openai/weak-to-strong. 25,262 training questions; the 2,985 validation questions serve as test (the test split
has no answers).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from cluster.errors import BadInput
from w2s.examples import Example, hash_unit
from w2s.hub import HubTaskConfig, rows
from w2s.tables import Row
from w2s.task import Split

CANDIDATES = 4
NONE_OF_THEM = "None of the above choices ."


class Config(HubTaskConfig):
    SOURCE: ClassVar[str] = "Cosmos QA (Huang et al. 2019), hub allenai/cosmos_qa, CC BY 4.0"
    TEST_SPLIT: ClassVar[str] = "validation"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "context", "question", *(f"answer{i}" for i in range(CANDIDATES)), "label",
    )  # fmt: skip

    kind: Literal["cosmos_qa"] = "cosmos_qa"
    hub_id: str = "allenai/cosmos_qa"
    revision: str = "refs/convert/parquet"  # main holds a loading script, which `datasets` 4 no longer runs


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a question, with the right answer (1) or another candidate (0). Questions on one context share a group.

    Where the right answer is that none of the choices fits, the row always shows a wrong one: "none of the above" says
    nothing about the story. Such questions push the share of 1 slightly under a half.
    """
    for row in rows(config, split):
        context, question = row.text("context"), row.text("question")
        label, answer = _candidate(row, context, question)
        yield Example((f"Context: {context}\nQuestion: {question}\nAnswer: {answer}",), label, context)


def _candidate(row: Row, context: str, question: str) -> tuple[int, str]:
    answers = [row.text(f"answer{i}") for i in range(CANDIDATES)]
    truth = row.integer("label")
    if not 0 <= truth < CANDIDATES:
        raise BadInput(row.where, f"label {truth} is not one of 0..{CANDIDATES - 1}", "this split has no answers")
    # the question is in the draw too, or all questions on one context would be right or wrong together
    if NONE_OF_THEM not in answers[truth] and hash_unit("choice", context, question) < 0.5:
        return 1, answers[truth]
    wrong = [answer for answer in answers if answer != answers[truth]]
    if not wrong:
        raise BadInput(row.where, "all candidate answers are the same", "leave the row out")
    return 0, wrong[int(len(wrong) * hash_unit("distractor", context, question))]
