"""SciQ: fair draws; the passage that supports an answer stands before the question where it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from w2s.examples import hash_unit
from w2s.tasks.sciq import Config, examples

Copy = Callable[..., str]


def question(text: str, answer: str) -> dict[str, str]:
    wrong = {f"distractor{i}": f"wrong {answer} {i}" for i in (1, 2, 3)}
    return {"question": text, "correct_answer": answer, "support": "s", **wrong}


def test_right_and_wrong_answers_are_drawn_evenly(copy: Copy) -> None:
    many = [question(f"question {i}", f"answer {i}") for i in range(1000)]
    found = list(examples(Config(path=copy(train=many)), "train"))
    assert 0.45 < sum(row.label for row in found) / len(found) < 0.55
    for row, raw in zip(found, many, strict=True):
        shown = row.texts[0].removeprefix(f"Q: {raw['question']} A: ")
        assert (shown == raw["correct_answer"]) == (row.label == 1)
        assert (hash_unit("choice", raw["question"]) < 0.5) == (row.label == 1)
    distractors = {row.texts[0][-1] for row in found if row.label == 0 and " wrong " in row.texts[0]}
    assert len({t for t in distractors if t in "123"}) == 3


def test_support_stands_before_the_question_where_there_is_one(copy: Copy) -> None:
    rows = [question("q 1", "a"), {**question("q 2", "a"), "support": ""}]
    first, second = examples(Config(path=copy(train=rows), support=True), "train")
    assert first.texts[0].startswith("s\nQ: q 1 A: ")
    assert second.texts[0].startswith("Q: q 2 A: ")
