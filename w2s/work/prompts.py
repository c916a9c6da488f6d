"""Prompts as tokens: which rows are shown with their labels, what is cut where it grows too long, and which token is the answer."""

# N rows, W words

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import BadInput
from w2s.examples import hash_unit
from w2s.prompt import PLACE, Prompt
from w2s.work.encode import Tokenizer


@dataclass(frozen=True)
class Shot:
    """A row that is shown with its label: its id (for nobody is shown the answer to the question), one text, one class."""

    id: str
    text: str
    label: int


@dataclass(frozen=True)
class Question:
    """A prompt in tokens. `shots_left_out` and `cut` say what had to go to keep within max_tokens."""

    tokens: list[int]
    shots_left_out: int
    cut: bool


class Asker:
    """Assembles questions around texts. Raises BadInput where the template alone fills `max_tokens`."""

    def __init__(self, prompt: Prompt, shots: Sequence[Shot], tokenizer: Tokenizer, max_tokens: int) -> None:
        self.prompt, self.shots, self.max_tokens = prompt, tuple(shots), max_tokens
        self._plain = copy.copy(tokenizer)
        self._plain.specials, self._plain.n_specials = False, 0
        self._before = leading(tokenizer)
        self.words = word_tokens(prompt, self._plain)
        room = len(self._encode(self._written((), "")))
        if room >= max_tokens:
            what = f"{max_tokens} leaves no room for a text beside the template's {room} tokens"
            raise BadInput("max_tokens", what, "raise max_tokens, or shorten the template")

    def ask(self, text: str, row_id: str | None = None) -> Question:
        """The question about a text. Too long, it loses shots, the first ones first, and then the text its beginning.

        A question is read from its end: the template's last words and the end of the text always stay.
        """
        shots = [shot for shot in self.shots if shot.id != row_id]
        for left_out in range(len(shots) + 1):
            tokens = self._encode(self._written(shots[left_out:], text))
            if len(tokens) <= self.max_tokens:
                return Question(tokens, left_out, cut=False)
        kept, over = 0, len(text)
        while over - kept > 1:  # the longest end of the text that fits: `kept` characters do, `over` do not
            middle = (kept + over) // 2
            fits = len(self._encode(self._written((), text[len(text) - middle :]))) <= self.max_tokens
            kept, over = (middle, over) if fits else (kept, middle)
        return Question(self._encode(self._written((), text[len(text) - kept :])), len(shots), cut=True)

    def written(self, text: str) -> str:
        """The whole question in words, for people."""
        return self._written(self.shots, text)

    def _written(self, shots: Sequence[Shot], text: str) -> str:
        shown = "".join(self.prompt.shot(shot.text, shot.label) for shot in shots)
        return self.prompt.instruction + shown + self.prompt.ask(text)

    def _encode(self, question: str) -> list[int]:
        [tokens], _ = self._plain.encode([question], 10**9)
        return self._before + tokens


def leading(tokenizer: Tokenizer) -> list[int]:
    """The special tokens a text begins with. Those it would end with are left out: an answer follows, not the end."""
    if not tokenizer.specials:
        return []
    plain = list(tokenizer.hf(PLACE, add_special_tokens=False)["input_ids"])
    framed = list(tokenizer.hf(PLACE, add_special_tokens=True)["input_ids"])
    start = next((i for i in range(len(framed)) if framed[i : i + len(plain)] == plain), 0)
    return framed[:start]


def word_tokens(prompt: Prompt, plain: Tokenizer) -> list[int]:
    """The first token of each word, as it follows the template. Raises BadInput for words that begin with the same token."""
    before = prompt.tail or PLACE
    [stem, *whole], _ = plain.encode([before, *(before + word for word in prompt.words)], 10**9)
    found = []
    for word, tokens in zip(prompt.words, whole, strict=True):
        if tokens[: len(stem)] != stem or len(tokens) == len(stem):
            what = f"{word!r} melts into the end of the template: {_told(plain, tokens[-3:])}"
            raise BadInput("prompt.words", what, "end the template without a space, and begin each word with one")
        found.append(tokens[len(stem)])
    if len(set(found)) < len(found):
        told = "; ".join(f"{w!r} is {_told(plain, t[len(stem) :])}" for w, t in zip(prompt.words, whole, strict=True))
        remedy = "take words that differ in their first token, or move the space before them into the template"
        raise BadInput("prompt.words", f"they begin with the same token: {told}", remedy)
    return found


def draw(
    rows: Mapping[str, str], labels: Mapping[str, int], classes: int, count: int, seed: int, where: str
) -> list[Shot]:
    """`count` rows with as equally many of each class as there are, in an order of their own; by hash of (seed, id) alone.

    `rows` and `labels` by row id. Where a class has too few (a supervisor may never name it), others fill its places. Raises
    BadInput where there are not enough rows at all.
    """
    if len(rows) < count:
        raise BadInput(where, f"{count} shots of {len(rows)} rows", "ask for fewer shots, or take more rows")
    order = sorted(rows, key=lambda row_id: hash_unit("shot", seed, row_id))
    # which classes get one more, where the count does not divide, is left to the hash
    first = sorted(range(classes), key=lambda label: hash_unit("shots", seed, label))
    wanted = {label: count // classes + (place < count % classes) for place, label in enumerate(first)}
    by_class = [[row_id for row_id in order if labels[row_id] == label] for label in range(classes)]
    balanced = {row_id for label, many in wanted.items() for row_id in by_class[label][:many]}
    fill = [row_id for row_id in order if row_id not in balanced][: count - len(balanced)]
    chosen = balanced.union(fill)
    return [Shot(row_id, rows[row_id], labels[row_id]) for row_id in order if row_id in chosen]


def _told(plain: Tokenizer, tokens: Sequence[int]) -> str:
    names: Any = plain.hf.convert_ids_to_tokens(list(tokens))
    return ", ".join(repr(name) for name in names)
