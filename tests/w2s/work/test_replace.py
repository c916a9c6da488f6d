"""Token CoRM's draws: irrelevant tokens alone, alike however a batch is cut, and of the step and the row alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cluster.errors import BadInput
from w2s.examples import example_id
from w2s.explain import Explain
from w2s.work.dataset import Dataset, encode
from w2s.work.encode import Tokenizer
from w2s.work.replace import Replacer
from w2s.work.table import RowTable
from w2s.work.tiny import byte_tokenizer

TOKENIZER = Tokenizer(byte_tokenizer("bert"), 259)
TEXTS = ("abcdefghij" * 4, "klmno" * 10, "pq" * 9, "r" * 30)


def data(explain: Explain) -> Dataset:
    ids = tuple(example_id("", (text,)) for text in TEXTS)
    rows = RowTable(ids, tuple((text,) for text in TEXTS), (0, 1, 0, 1), 2, (((0, 8),),) * 3 + ((),))
    target = torch.tensor([[1.0, 0], [0.25, 0.75], [0.5, 0.5], [0, 1]])
    return encode(TOKENIZER, rows, target, 64, "truncate", None, explain)


def drawn(explain: Explain, rows: list[int], step: int = 5, seed: int = 1) -> list[list[int]]:
    """Each row's tokens after the draw, without padding."""
    found = data(explain)
    batch = Replacer(explain, found, TOKENIZER, seed)(found.batch(rows, TOKENIZER), rows, step)
    assert batch.replaced_BT is not None
    return [ids[: int(mask.sum())].tolist() for ids, mask in zip(batch.replaced_BT, batch.attention_mask, strict=True)]


def test_only_irrelevant_tokens_are_replaced_and_as_often_as_asked() -> None:
    explain = Explain(prob=0.4)
    found = data(explain)
    shares = []
    for step in range(60):
        for row, new in enumerate(drawn(explain, [0, 1, 2, 3], step)):
            old, mask = np.array(found.tokens[row][0]), np.array(found.irrelevant[row])  # type: ignore[index]
            changed = np.array(new) != old
            assert not changed[mask == 0].any()
            shares.append(changed[mask == 1].mean() if row == 0 else np.nan)
    # a random byte of the texts is the same one again in one draw of about ten
    assert np.nanmean(shares) == pytest.approx(0.4 * 0.95, abs=0.05)
    assert drawn(explain, [3])[0] == found.tokens[3][0], "a row without a reason is as it was"


def test_who_is_beside_a_row_and_in_what_order_changes_nothing() -> None:
    explain = Explain(prob=0.5)
    together = drawn(explain, [0, 1, 2, 3])
    assert [drawn(explain, [row])[0] for row in range(4)] == together
    assert drawn(explain, [2, 0]) == [together[2], together[0]]


def test_steps_and_seeds_draw_anew() -> None:
    explain = Explain(prob=0.5)
    assert drawn(explain, [0], step=5) == drawn(explain, [0], step=5)
    assert len({str(drawn(explain, [0], step, seed)) for step in (5, 6) for seed in (1, 2)}) == 4


def test_random_tokens_are_those_of_the_texts_and_never_special() -> None:
    explain = Explain(prob=1.0)
    known = {token for row in data(explain).tokens for text in row for token in text} - set(
        TOKENIZER.hf.all_special_ids
    )
    new = [t for step in range(20) for t in drawn(explain, [0, 1], step)[0][9:-1]]
    assert set(new) <= known
    assert len(set(new)) > 10


def test_a_label_that_says_nothing_is_left_alone() -> None:
    explain = Explain(prob=1.0, reliability="confidence")
    assert drawn(explain, [2])[0] == data(explain).tokens[2][0]
    assert drawn(explain, [0])[0] != data(explain).tokens[0][0]


def test_a_mask_token_is_asked_for_where_there_is_one() -> None:
    explain = Explain(prob=1.0, replace="mask")
    with pytest.raises(BadInput, match="has no mask token"):
        Replacer(explain, data(explain), TOKENIZER, 0)
    hf = byte_tokenizer("bert")
    hf.mask_token = "a"
    own = Tokenizer(hf, 259)
    found = data(explain)
    batch = Replacer(explain, found, own, 0)(found.batch([0], own), [0], 0)
    assert batch.replaced_BT is not None
    assert set(batch.replaced_BT[0, 9:-1].tolist()) == {hf.mask_token_id}
