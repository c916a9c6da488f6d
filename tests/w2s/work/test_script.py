"""Prompts and answers as tokens: the boundary between them is exact, and what is cut is cut where it should be."""

from __future__ import annotations

import pytest
import torch

from cluster.errors import BadInput
from w2s.learner import ModelRef
from w2s.work.encode import Tokenizer
from w2s.work.language import ANSWER, load
from w2s.work.script import Script
from w2s.work.table import RowTable

ROWS = RowTable(
    ("p", "q", "r"), (("to be",), ("a much longer text",), ("x",)), (0, 0, 0), 2, None, (" yes", " no", " y")
)
BEGIN, END = 1, 2  # of the byte tokenizer


def tokenizer(family: str) -> Tokenizer:
    found: Tokenizer = load(ModelRef(source=f"tiny:{family}"))[1]
    return found


def ids(found: Tokenizer, text: str) -> list[int]:
    told: list[int] = found.hf(text, add_special_tokens=False)["input_ids"]
    return told


@pytest.mark.parametrize(("family", "before"), [("gpt2", []), ("llama", [BEGIN])])
def test_a_row_is_prompt_answer_and_end(family: str, before: list[int]) -> None:
    its = tokenizer(family)
    data = Script(its, 40, 8).to_learn(ROWS, ROWS.answers or (), "truncate")
    assert data.tokens[0] == [[*before, *ids(its, "to be"), *ids(its, " yes"), END]]
    assert data.answer_tokens == (5, 4, 3)
    batch = data.batch([2, 0], its)
    for place, (row, length) in enumerate(((2, 3), (0, 5))):
        whole = len(data.tokens[row][0])
        assert batch.attention_mask[place].tolist() == [
            *[1] * (whole - length), *[ANSWER] * length, *[0] * (batch.input_ids.shape[1] - whole)
        ]  # fmt: skip
    assert not (set(data.batch([1], its, torch.zeros(1)).weight_B.tolist()) - {0.0})


@pytest.mark.parametrize(("family", "before"), [("gpt2", []), ("llama", [BEGIN])])
def test_a_long_prompt_loses_its_beginning_in_learning_and_asking_alike(family: str, before: list[int]) -> None:
    its = tokenizer(family)
    script = Script(its, 20, 8)
    kept = [*before, *ids(its, "a much longer text")[-(12 - len(before)) :]]
    learned, asked = script.to_learn(ROWS, ROWS.answers or (), "truncate"), script.to_ask(ROWS)
    assert learned.tokens[1] == [[*kept, *ids(its, " no"), END]]
    assert asked.tokens[1] == [kept]
    assert (learned.truncated, asked.truncated) == (1, 1)
    assert max(map(len, (row[0] for row in learned.tokens))) <= 20
    dropped = script.to_learn(ROWS, ROWS.answers or (), "drop")
    assert (dropped.ids, dropped.dropped, dropped.truncated) == (("p", "r"), 1, 0)
    assert dropped.answer_tokens == (5, 3), "each row keeps its own answer's length"
    assert dropped.target_NC.shape == (2, 1)


def test_a_long_answer_is_cut_before_its_end_and_an_empty_one_is_its_end() -> None:
    its = tokenizer("gpt2")
    script = Script(its, 20, 4)
    assert script.answers([" yes", "", " no"]) == (
        [ids(its, " yes"), [END], [*ids(its, " no"), END]],
        [True, False, False],
    )
    assert script.to_learn(ROWS, (" yes", "", " no"), "truncate").answers_cut == 1


def test_text_is_what_stands_before_the_end() -> None:
    its = tokenizer("llama")
    script = Script(its, 40, 16)
    for text in (" Qxc1+", " a , b .", "", "ü"):
        [tokens], _ = script.answers([text])
        assert script.text(tokens) == text
        assert script.text([*tokens, 80, END, 90]) == text


def test_what_cannot_be_written_is_refused() -> None:
    its = tokenizer("llama")
    with pytest.raises(BadInput, match="no room for a prompt beside an answer's 8 tokens"):
        Script(its, 9, 8)
    Script(its, 10, 8)
    its.hf.eos_token = None
    with pytest.raises(BadInput, match="no end token"):
        Script(its, 40, 8)
