"""Prompts and answers as tokens: what is cut where they are too long, where an answer begins, and the batches of both."""

# N rows, M tokens of an answer at most

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cluster.errors import BadInput
from w2s.work.dataset import NO_LIMIT, Batch, Dataset
from w2s.work.encode import Tokenizer
from w2s.work.language import ANSWER
from w2s.work.prompts import leading
from w2s.work.table import RowTable


@dataclass(frozen=True)
class Answering(Dataset):
    """Rows to learn writing from: tokens are prompt, answer and end; `answer_tokens` says how many are of answer and end.

    `answers_cut` counts answers that were longer than M tokens, of which the first M are learned.
    """

    answer_tokens: tuple[int, ...]
    answers_cut: int

    def batch(self, rows: Sequence[int], tokenizer: Tokenizer, weight_B: Tensor | None = None) -> Batch:
        """As any dataset's, but the mask says ANSWER where a token is of an answer."""
        made = super().batch(rows, tokenizer, weight_B)
        for place, row in enumerate(rows):
            end = len(self.tokens[row][0])
            made.attention_mask[place, end - self.answer_tokens[row] : end] = ANSWER
        return made


class Script:
    """How prompts and answers are tokenised for one model: apart, so that where an answer begins is exact, and a prompt's
    tokens are those it is asked with.

    A prompt leaves room for M tokens in `max_tokens`, whatever its answer; too long, it loses its beginning. Raises BadInput
    where there is no room for a prompt, or the tokenizer has no end token.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, max_new_tokens: int) -> None:
        self._tokenizer, self._most = tokenizer, max_new_tokens
        self._plain = copy.copy(tokenizer)
        self._plain.specials, self._plain.n_specials = False, 0
        self._before = leading(tokenizer)
        self._room = max_tokens - max_new_tokens - len(self._before)
        if self._room < 1:
            what = f"{max_tokens} leaves no room for a prompt beside an answer's {max_new_tokens} tokens"
            raise BadInput("max_tokens", what, "raise max_tokens")
        if tokenizer.hf.eos_token_id is None:
            raise BadInput("model", "its tokenizer has no end token", "take a model that knows where a text ends")
        self.end: int = int(tokenizer.hf.eos_token_id)

    def prompts(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Each prompt's tokens, and whether it lost its beginning."""
        found, _ = self._plain.encode(texts, NO_LIMIT)
        return [self._before + tokens[-self._room :] for tokens in found], [len(row) > self._room for row in found]

    def answers(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Each answer's tokens with the end after them, and whether more than M were cut to these."""
        found: list[list[int]] = []
        for text, tokens in zip(texts, self._plain.encode(texts, NO_LIMIT)[0], strict=True):
            found.append([*(tokens if text else []), self.end])  # no text has no tokens, but `encode` is never empty
        return [tokens[: self._most] for tokens in found], [len(tokens) > self._most for tokens in found]

    def text(self, tokens: Sequence[int]) -> str:
        """What some tokens say, up to the end token."""
        kept = list(tokens[: tokens.index(self.end)]) if self.end in tokens else list(tokens)
        told: str = self._tokenizer.hf.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return told

    def to_learn(self, rows: RowTable, answers: Sequence[str], too_long: str) -> Answering:
        """Rows with the answers to be learned. `too_long`: drop leaves out rows whose prompt would be cut, truncate cuts."""
        prompts, cut = self.prompts([texts[0] for texts in rows.texts])
        written, shortened = self.answers(answers)
        kept = [i for i in range(len(rows)) if not (too_long == "drop" and cut[i])]
        return Answering(
            ids=tuple(rows.ids[i] for i in kept),
            tokens=[[prompts[i] + written[i]] for i in kept],
            target_NC=torch.zeros(len(kept), 1),
            truth_N=torch.zeros(len(kept), dtype=torch.long),
            weight_N=torch.ones(len(kept)),
            truncated=sum(cut[i] for i in kept),
            dropped=len(rows) - len(kept),
            unweighted=0,
            answer_tokens=tuple(len(written[i]) for i in kept),
            answers_cut=sum(shortened[i] for i in kept),
        )

    def to_ask(self, rows: RowTable) -> Dataset:
        """Rows to be answered; `target_NC` has the shape of what a Writer says."""
        prompts, cut = self.prompts([texts[0] for texts in rows.texts])
        return Dataset(
            ids=rows.ids,
            tokens=[[tokens] for tokens in prompts],
            target_NC=torch.zeros(len(rows), 2 * self._most),
            truth_N=torch.zeros(len(rows), dtype=torch.long),
            weight_N=torch.ones(len(rows)),
            truncated=sum(cut),
            dropped=0,
            unweighted=0,
        )
