"""Prompts: what is shown, what is cut, and which token is the answer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from cluster.errors import BadInput
from w2s.learner import ModelRef
from w2s.prompt import Prompt
from w2s.work import language, tiny
from w2s.work.encode import Tokenizer
from w2s.work.prompts import Asker, Shot, draw, leading, word_tokens

PROMPT = Prompt(template="Text: {text}\nGood? ", words=("0", "1"), instruction="Judge.\n", separator=" ;\n")
SHOTS = [Shot("a", "fine", 1), Shot("b", "foul", 0)]


def tokenizer(family: str = "gpt2") -> Tokenizer:
    return language.load(ModelRef(source=f"tiny:{family}"))[1]


def asker(max_tokens: int = 500, family: str = "gpt2", prompt: Prompt = PROMPT) -> Asker:
    return Asker(prompt, SHOTS, tokenizer(family), max_tokens)


def said(tokens: list[int], family: str = "gpt2") -> str:
    text: str = tokenizer(family).hf.decode(tokens)
    return text


def test_a_question_is_instruction_shots_and_text() -> None:
    shown = "Judge.\nText: fine\nGood? 1 ;\nText: foul\nGood? 0 ;\nText: {new}\nGood? "
    assert said(asker().ask("{new}").tokens) == asker().written("{new}") == shown


def test_nobody_is_shown_the_answer_to_the_question() -> None:
    assert said(asker().ask("foul", "b").tokens) == "Judge.\nText: fine\nGood? 1 ;\nText: foul\nGood? "


def test_too_long_it_loses_shots_first_and_then_the_texts_beginning() -> None:
    whole = len(asker().ask("abcdef").tokens)
    one = asker(whole - 1).ask("abcdef")
    assert (one.shots_left_out, one.cut) == (1, False)
    assert said(one.tokens) == "Judge.\nText: foul\nGood? 0 ;\nText: abcdef\nGood? "
    bare = len("Judge.\nText: \nGood? ")
    for room in range(1, 6):
        found = asker(bare + room).ask("abcdef")
        assert (found.shots_left_out, found.cut) == (2, True)
        assert said(found.tokens) == f"Judge.\nText: {'abcdef'[6 - room :]}\nGood? "
    exact = asker(bare + 6).ask("abcdef")
    assert (exact.shots_left_out, exact.cut, len(exact.tokens)) == (2, False, bare + 6)


def test_characters_of_several_tokens_are_cut_whole() -> None:
    bare = len("Judge.\nText: \nGood? ")
    assert said(asker(bare + 7).ask("日本語").tokens) == "Judge.\nText: 本語\nGood? "


def test_a_template_that_fills_everything_is_refused() -> None:
    with pytest.raises(BadInput, match="leaves no room for a text beside the template's 20 tokens"):
        asker(20)


def test_a_text_begins_as_the_model_is_used_to_and_does_not_end() -> None:
    """llama's tokenizer says begin; bert's would say end as well, which an answer cannot follow."""
    for family, names in (("gpt2", []), ("llama", [tiny.BEGIN]), ("bert", [tiny.BEGIN])):
        hf = tiny.byte_tokenizer(family)
        assert leading(Tokenizer(hf, len(hf))) == hf.convert_tokens_to_ids(names)
    found = asker(family="llama").ask("x").tokens
    assert found == tokenizer("llama").hf("" + asker().written("x"))["input_ids"]
    assert len(asker(len(found), "llama").ask("x").tokens) == len(found)


def test_the_answer_is_the_first_token_after_the_template() -> None:
    plain = tokenizer()
    assert word_tokens(PROMPT, plain) == plain.hf.convert_tokens_to_ids(["0", "1"])
    ask = Prompt(template="{text}", words=("no", "yes"))
    assert word_tokens(ask, plain) == plain.hf.convert_tokens_to_ids(["n", "y"])
    with pytest.raises(BadInput, match=r"begin with the same token: ' no' is 'Ġ', 'n', 'o'; ' yes' is 'Ġ'"):
        word_tokens(Prompt(template="{text}:", words=(" no", " yes")), plain)


def test_words_that_melt_into_the_template_are_refused() -> None:
    """A tokenizer with merges: after a space, "1" would be one token together with it."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate(["<pad>", "Ġ", "0", "1", "?", "Ġ1", "Ġ0"])}
    backend = Backend(models.BPE(vocab=vocabulary, merges=[("Ġ", "1"), ("Ġ", "0")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    plain = Tokenizer(PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>"), 7)
    assert word_tokens(Prompt(template="{text}?", words=(" 0", " 1")), plain) == [6, 5]
    with pytest.raises(BadInput, match="'0' melts into the end of the template: '\\?', 'Ġ0'"):
        word_tokens(Prompt(template="{text}? ", words=("0", "1")), plain)


def drawn(count: int, seed: int = 0, ids: list[str] | None = None, label: Any = None) -> list[Shot]:
    ids = ids or [f"row {i}" for i in range(40)]
    choose = label or (lambda row_id: int(row_id.split()[1]) % 3)
    return draw({i: i for i in ids}, {i: choose(i) for i in ids}, 3, count, seed, "here")


@pytest.mark.parametrize("count", [0, 1, 3, 5, 30])
def test_shots_are_balanced(count: int) -> None:
    many = Counter(shot.label for shot in drawn(count))
    assert sum(many.values()) == count
    assert max(many.values(), default=0) - min((many[label] for label in range(3)), default=0) <= 1


def test_shots_depend_on_rows_and_seed_alone() -> None:
    ids = [f"row {i}" for i in range(40)]
    assert drawn(5, ids=ids) == drawn(5, ids=ids[::-1])
    assert drawn(5) != drawn(5, seed=1)
    assert {
        len({drawn(4, seed=s)[0].label for s in range(30)}),
        len({drawn(4, seed=s)[-1].label for s in range(30)}),
    } == {3}
    extra = {Counter(shot.label for shot in drawn(4, seed=s)).most_common(1)[0][0] for s in range(30)}
    assert extra == {0, 1, 2}, "no class always gets the one more"


def test_a_class_nobody_names_is_made_up_for() -> None:
    found = drawn(6, label=lambda row_id: 1)
    assert [shot.label for shot in found] == [1] * 6
    assert len({shot.id for shot in found}) == 6
    with pytest.raises(BadInput, match="41 shots of 40 rows"):
        drawn(41)


@pytest.mark.parametrize(
    "fields,match",
    [
        ({"template": "no place"}, "stands in it 0 times"),
        ({"template": "{text} {text}"}, "stands in it 2 times"),
        ({"words": ["1", "1"]}, "not different words"),
        ({"words": ["", "1"]}, "not different words"),
        ({"words": ["1"]}, "at least 2"),
    ],
)
def test_a_prompt_says_no_at_once(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        Prompt.model_validate(fields)
