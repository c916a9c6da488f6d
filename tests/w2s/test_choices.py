"""Multiple choice: which candidate is shown, and where, is drawn by hash; labels are even; doubled answers are left out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cluster.errors import BadInput
from w2s import choices, sift
from w2s.choices import Form, Question
from w2s.examples import Example
from w2s.tables import Row
from w2s.tasks.quail import Config


def asked(
    number: int = 0, candidates: tuple[str, ...] = ("w", "x", "y", "z"), right: int = 1, **changes: Any
) -> Question:
    question = f"question {number}"
    return Question(question, (question,), candidates, right, lambda text: f"{question} {text}", **changes)


def shown(form: Form, count: int = 800, **changes: Any) -> list[Example]:
    return [item for number in range(count) for item in choices.items(asked(number, **changes), form)]


def test_single_is_right_half_of_the_time_and_wrong_answers_come_evenly() -> None:
    rows = shown("single")
    assert len(rows) == 800
    assert all((row.texts[0][-1] == "x") == (row.label == 1) for row in rows)
    assert 0.45 < sum(row.label for row in rows) / 800 < 0.55
    wrong = Counter(row.texts[0][-1] for row in rows if not row.label)
    assert set(wrong) == set("wyz")
    assert max(wrong.values()) < 0.4 * sum(wrong.values())


def test_all_gives_every_question_as_many_right_as_wrong_items() -> None:
    rows = shown("all")
    by_group = Counter((row.group, row.label) for row in rows)
    assert set(by_group.values()) == {1}
    assert len(rows) == 1600


def test_choice_puts_the_right_one_anywhere_and_shows_all() -> None:
    rows = shown("choice")
    assert all(sorted(text[-1] for text in row.texts) == ["w", "x", "y", "z"] for row in rows)
    assert all(row.texts[row.label][-1] == "x" for row in rows)
    assert max(Counter(row.label for row in rows).values()) < 0.3 * 800


@pytest.mark.parametrize("form", ["single", "all", "choice"])
def test_the_order_of_candidates_in_a_row_hardly_matters_and_never_moves_the_right_one(form: Form) -> None:
    one, other = shown(form), shown(form, candidates=("z", "x", "y", "w"))
    assert [row.label for row in one] == [row.label for row in other]
    if form == "choice":
        assert one == other


def test_a_right_answer_that_is_refused_is_never_shown_as_right() -> None:
    assert {row.label for row in shown("single", refuse=True)} == {0}
    assert shown("all", refuse=True) == []
    assert len(shown("choice", refuse=True)) == 800


def test_a_wrong_answer_that_reads_like_the_right_one_is_never_shown_as_wrong() -> None:
    rows = shown("single", candidates=("x", "x", "y", "x"))
    assert {row.texts[0][-1] for row in rows if not row.label} == {"y"}
    doubled = shown("choice", 4, candidates=("x", "x", "y", "z")) + shown("choice", 9)[4:]
    kept, dropped = sift.check("task x", doubled, 4)
    assert (len(kept), dropped) == (5, {"a wrong candidate reads like the right one": 4})


def test_candidates_that_all_read_alike_give_no_wrong_item() -> None:
    assert {row.label for row in shown("single", candidates=("x", "x"))} == {1}
    assert shown("all", candidates=("x", "x")) == []


def test_alone_writes_candidates_that_are_scored_against_each_other() -> None:
    (row,) = choices.items(asked(alone=lambda text: text.upper()), "choice")
    assert sorted(row.texts) == ["W", "X", "Y", "Z"]
    assert next(iter(choices.items(asked(alone=lambda text: text.upper()), "single"))).texts[0].startswith("question")


def test_classes_and_chance_follow_the_form() -> None:
    assert (Config().n_classes, Config().chance) == (2, 0.5)
    assert (Config(form="choice").n_classes, Config(form="choice").chance) == (4, 0.25)
    assert Config(form="all").chance == 0.5
    assert len({str(Config(form=form).identity()) for form in ("single", "all", "choice")}) == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"label": 4}, r"label 4 is not one of 0\.\.3"),
        ({"label": -1}, "label -1"),
        ({"label": "D"}, "not a whole number"),
        ({"label": None}, "is null"),
    ],
)
def test_a_place_outside_the_candidates_is_told(values: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        choices.index(Row("x", 3, values), "label", 4)
    assert choices.index(Row("x", 3, {"label": "3"}), "label", 3, first=1) == 2


def test_a_letter_that_is_not_there_and_a_flat_column_are_told() -> None:
    letters = {"text": ["a", "b"], "label": ["A", "B"]}
    assert choices.lettered(Row("x", 1, {"choices": letters, "answerKey": "B"})) == (("a", "b"), 1)
    with pytest.raises(BadInput, match="answerKey 'C' is not one of A, B"):
        choices.lettered(Row("x", 1, {"choices": letters, "answerKey": "C"}))
    with pytest.raises(BadInput, match="holds str, not columns of its own"):
        choices.lettered(Row("x", 1, {"choices": str(letters), "answerKey": "C"}))
    with pytest.raises(BadInput, match="holds str, not a list of texts"):
        Row("x", 1, {"answers": "['a']"}).texts("answers")


def test_a_pairs_order_does_not_know_which_was_chosen() -> None:
    for number in range(50):
        one, other = choices.pair(f"a {number}", "b", "g"), choices.pair("b", f"a {number}", "g")
        assert one.texts == other.texts
        assert one.label == 1 - other.label
        assert choices.one_of(one).label == int(one.label == 0)
