"""Dropout draws: another number another draw, the same one the same, whatever stands beside a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench
from w2s.labels import LabelTable
from w2s.learner import Learner
from w2s.recipe import Recipe
from w2s.stages import Predict
from w2s.work.dataset import encode
from w2s.work.dropout import check_dropout, drawn_scores
from w2s.work.evaluate import all_scores
from w2s.work.model import load
from w2s.work.ranks import Ranks
from w2s.work.scorer import PlainScorer
from w2s.work.table import RowTable

TEXTS = ("a clock", "the long river was", "was not good", "ugly", "a kind dog was here")
LEARNER = Learner.model_validate({"model": {"source": "tiny:bert", "width": 16}, "head": "normal", "max_tokens": 64})


def scores(order: list[int], draw: int) -> torch.Tensor:
    model, tokenizer = load(LEARNER, 2, 0)
    rows = RowTable(tuple(f"id {i}" for i in order), tuple((TEXTS[i],) for i in order), tuple(i % 2 for i in order), 2)
    data = encode(tokenizer, rows, torch.zeros(len(order), 2), 64, "truncate")
    return drawn_scores(PlainScorer(model, LEARNER, Ranks()), data, tokenizer, draw)


def test_a_rows_draw_is_its_own() -> None:
    """Alone, in company, in another order: the same bits."""
    together = scores([0, 1, 2, 3, 4], 1)
    for order in ([4, 2, 0, 1, 3], [3], [1, 3]):
        assert torch.equal(scores(order, 1), together[order])


def test_draws_differ_by_number_and_by_row() -> None:
    draws = torch.stack([scores([0, 1, 2, 3, 4], draw) for draw in range(3)])
    assert len({tuple(row.tolist()) for row in draws.flatten(0, 1)}) == 15
    assert not torch.equal(draws[0] - draws[1], (draws[0] - draws[1])[0].expand(5, 2))


def test_their_mean_is_near_to_the_model_without() -> None:
    model, tokenizer = load(LEARNER, 2, 0)
    rows = RowTable(("id 0",), ((TEXTS[0],),), (0,), 2)
    data = encode(tokenizer, rows, torch.zeros(1, 2), 64, "truncate")
    scorer = PlainScorer(model, LEARNER, Ranks())
    draws = torch.cat([drawn_scores(scorer, data, tokenizer, draw) for draw in range(100)])
    plain = all_scores(scorer, data, tokenizer)
    assert abs(draws.mean(0) - plain[0]).max() < draws.std(0).max()
    assert torch.equal(plain, all_scores(scorer, data, tokenizer)), "and the model is left as it was"


def test_asking_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    scores([0, 1], 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_without_dropout() -> None:
    model, _ = load(Learner.model_validate({"model": {"source": "tiny:llama", "width": 16}}), 2, 0)
    with pytest.raises(BadInput, match="has no dropout, so every draw is the same; set over: members"):
        check_dropout(model, "here")
    for family in ("bert", "gpt2"):
        check_dropout(
            load(Learner.model_validate({"model": {"source": f"tiny:{family}", "width": 16}}), 2, 0)[0], "here"
        )


def test_through_the_stages(tmp_path: Path) -> None:
    """A trained model read back from its folder draws as well; without a draw its key is what it was."""
    bench = Bench(Recipe.model_validate(toy_recipe(task__size=80, task__n_test=20)), tmp_path)
    world = bench.recipe.world(0)
    model, test = world.train(world.weak, "weak"), world.part("test")
    plain = Predict(model, test)  # type: ignore[arg-type]
    drawn = [Predict(model, test, draw) for draw in range(2)]  # type: ignore[arg-type]
    bench.prepare(plain)
    tables = []
    for stage in (plain, *drawn):
        bench.run(stage)
        tables.append(LabelTable.load(bench.out(stage)).join(LabelTable.load(bench.out(plain)).ids, "").logits_NC)
    assert not np.allclose(tables[1], tables[2])
    assert not np.allclose(tables[0], tables[1])
    assert "draw" not in plain.science()
    assert drawn[1].on(world.part("val")).draw == 1
