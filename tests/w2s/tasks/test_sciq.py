"""SciQ rows: golden texts and labels from the original columns, whatever the file format."""

from __future__ import annotations

from collections.abc import Callable

from w2s.examples import hash_unit
from w2s.tasks.sciq import Config, examples

Copy = Callable[..., str]


def question(text: str, answer: str) -> dict[str, str]:
    wrong = {f"distractor{i}": f"wrong {answer} {i}" for i in (1, 2, 3)}
    return {"question": text, "correct_answer": answer, "support": "s", **wrong}


ROWS = [
    question("What gas do plants take in?", "carbon dioxide"),
    question("What force pulls things down?", "gravity"),
    question("What is frozen water called?", "ice"),
    question("What organ pumps blood?", "heart"),
]
GOLDEN = [
    (("Q: What gas do plants take in? A: wrong carbon dioxide 3",), 0, "What gas do plants take in?"),
    (("Q: What force pulls things down? A: gravity",), 1, "What force pulls things down?"),
    (("Q: What is frozen water called? A: ice",), 1, "What is frozen water called?"),
    (("Q: What organ pumps blood? A: heart",), 1, "What organ pumps blood?"),
]


def test_four_rows_become_the_golden_texts_and_labels(copy: Copy) -> None:
    found = list(examples(Config(path=copy(train=ROWS[:1], test=ROWS)), "test"))
    assert [(row.texts, row.label, row.group) for row in found] == GOLDEN


def test_a_row_does_not_depend_on_its_neighbours(copy: Copy) -> None:
    found = list(examples(Config(path=copy(train=ROWS[::-1], test=ROWS)), "train"))
    assert [(row.texts, row.label, row.group) for row in found] == GOLDEN[::-1]


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
