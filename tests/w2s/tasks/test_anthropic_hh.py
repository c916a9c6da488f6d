"""HH rows: pairs in an order that does not know the preference; the published single-dialogue form on request."""

from __future__ import annotations

from collections.abc import Callable

from w2s.preferences import shared_prompt
from w2s.tasks.anthropic_hh import ROWS, Config, examples

Copy = Callable[..., str]


def dialogue(question: str, answer: str) -> str:
    return f"\n\nHuman: {question}\n\nAssistant: {answer}"


def test_the_order_of_a_pair_does_not_know_which_one_was_chosen(copy: Copy) -> None:
    swapped = [{"chosen": row["rejected"], "rejected": row["chosen"]} for row in ROWS]
    path = copy(train=ROWS, test=swapped)
    one, other = (list(examples(Config(path=path), split)) for split in ("train", "test"))
    assert [row.texts for row in one] == [row.texts for row in other]
    assert [row.label for row in one] == [1 - row.label for row in other]


def test_labels_are_even_and_point_at_the_chosen_dialogue(copy: Copy) -> None:
    rows = [{"chosen": dialogue(f"q {i}", "Yes."), "rejected": dialogue(f"q {i}", "No.")} for i in range(600)]
    found = list(examples(Config(path=copy(train=rows)), "train"))
    assert all(row.texts[row.label] == raw["chosen"] for row, raw in zip(found, rows, strict=True))
    assert 0.44 < sum(row.label for row in found) / len(found) < 0.56


def test_single_shows_one_dialogue_and_says_whether_it_was_chosen(copy: Copy) -> None:
    path = copy(train=ROWS)
    for row, raw in zip(examples(Config(path=path, form="single"), "train"), ROWS, strict=True):
        assert row.texts == (raw["chosen" if row.label else "rejected"],)


def test_the_group_is_the_prompt_up_to_the_turn_where_the_dialogues_part() -> None:
    opening = dialogue("Hi", "Hello there.") + "\n\nHuman: More?\n\nAssistant:"
    assert shared_prompt(opening + " Yes, gladly.", opening + " Yes, but no.") == opening
    assert shared_prompt("same", "same") == "same"
    assert shared_prompt("apples", "apricots") == "ap"
    assert shared_prompt("x", "y") == "x"
