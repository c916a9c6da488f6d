"""Greedy writing: what transformers' own generate writes, alone or in any batch, and how probable each token was."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from w2s.learner import Learner, ModelRef
from w2s.work import language
from w2s.work.encode import Tokenizer
from w2s.work.evaluate import all_scores
from w2s.work.ranks import Ranks
from w2s.work.scorer import PlainScorer
from w2s.work.script import Script
from w2s.work.table import RowTable
from w2s.work.writer import NOTHING, Writer

MOST = 12
TEXTS = ("a", "the old clock", "b" * 40, "one, two, three, four", "", "x y", "q" * 7, "the new")


def model(family: str) -> tuple[Any, Tokenizer]:
    whole, its = language.load(ModelRef(source=f"tiny:{family}", width=32, depth=2))
    with torch.no_grad():  # louder, so that the most probable token changes from place to place
        for name, weight in whole.named_parameters():
            weight.mul_(3.0 if weight.ndim > 1 and "emb" not in name and "wte" not in name else 1.0)
    return whole, its


def end_of(whole: Any, its: Tokenizer) -> int:
    """A token that some of the texts come to before the last place, so that ends are met."""
    written = write(whole, its, -5)[:, :MOST]
    middle = written[:, 3 : MOST - 2].flatten().tolist()
    return int(max(set(middle), key=middle.count))


def prompts(its: Tokenizer) -> list[list[int]]:
    return Script(its, 100, MOST).prompts(TEXTS)[0]


def write(whole: Any, its: Tokenizer, end: int, rows: list[int] | None = None, **how: Any) -> torch.Tensor:
    chosen = prompts(its) if rows is None else [prompts(its)[row] for row in rows]
    with torch.no_grad():
        return Writer(whole, end, MOST, **how)(*its.pad(chosen))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_it_writes_what_transformers_generates(family: str) -> None:
    whole, its = model(family)
    end = end_of(whole, its)
    told = write(whole, its, end)
    lengths = set()
    for row, prompt in enumerate(prompts(its)):
        ids = torch.tensor([prompt])
        expected = whole.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1, max_new_tokens=MOST,
            eos_token_id=end, pad_token_id=its.pad_id,
        )[0, len(prompt) :].tolist()  # fmt: skip
        found = [int(token) for token in told[row, :MOST] if token != NOTHING]
        assert found == expected, TEXTS[row]
        lengths.add(len(found))
    assert len(lengths) > 1, "some come to an end before others"


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_company_changes_nothing(family: str) -> None:
    whole, its = model(family)
    end = end_of(whole, its)
    together = write(whole, its, end)
    for row in range(len(TEXTS)):
        alone = write(whole, its, end, [row])
        assert alone[0, :MOST].tolist() == together[row, :MOST].tolist()
        torch.testing.assert_close(alone[0, MOST:], together[row, MOST:], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_log_probabilities_are_those_of_one_reading(family: str) -> None:
    """In float64 over the whole text, prompt and answer, by transformers' logits."""
    whole, its = model(family)
    end = end_of(whole, its)
    told = write(whole, its, end)
    for row, prompt in enumerate(prompts(its)):
        written = [int(token) for token in told[row, :MOST] if token != NOTHING]
        with torch.no_grad():
            logits_TV = whole(input_ids=torch.tensor([prompt + written])).logits[0].double()
        expected = [float(logits_TV[len(prompt) - 1 + i].log_softmax(-1)[token]) for i, token in enumerate(written)]
        found = told[row, MOST:].tolist()
        assert found[: len(written)] == pytest.approx(expected, abs=1e-4)
        assert found[len(written) :] == [0.0] * (MOST - len(written)), "nothing was written there"


def test_in_lockstep_the_same_is_written_in_as_many_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, its = model("gpt2")
    end = int(write(whole, its, -5, [1])[0, 2])  # ends at once, or nearly
    passes: list[int] = []
    forward = type(whole).forward
    monkeypatch.setattr(type(whole), "forward", lambda self, *a, **k: passes.append(1) or forward(self, *a, **k))
    free = write(whole, its, end, [1])
    assert len(passes) < MOST
    passes.clear()
    assert torch.equal(write(whole, its, end, [1], lockstep=True), free)
    assert len(passes) == MOST


def test_it_answers_as_whatever_scores_batches() -> None:
    whole, its = model("llama")
    end = end_of(whole, its)
    learner = Learner.model_validate({"model": "tiny:llama"})
    rows = RowTable(tuple(map(str, range(len(TEXTS)))), tuple((text,) for text in TEXTS), (0,) * len(TEXTS), 2)
    data = Script(its, 100, MOST).to_ask(rows)
    found = all_scores(PlainScorer(Writer(whole, end, MOST), learner, Ranks()), data, its)
    assert found[:, :MOST].tolist() == write(whole, its, end)[:, :MOST].tolist()
