"""Real rows through the `file`, `esnli`, `pairs` and `chess` tasks, where a folder of data sets lies beside the checkout.

Skipped, with the reason, where there is none.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import chess as rules
import pytest

from cluster.errors import BadInput
from tests.conftest import ROOT
from w2s.task import check_overlap, load
from w2s.tasks import chess, esnli, pairs
from w2s.tasks.file import Config

DATA = ROOT.parent / "shared" / "data"
NAMES = (
    "agnews_sci_vs_business", "cola", "customer_reviews", "esnli", "movie_reviews", "piqa", "pros_cons", "rt_polarity", "rte",
    "sarcasm", "sciq", "sciq_with_support", "subj", "truthfulqa", "vader_all", "vader_movie", "winogrande",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    not (DATA / "manifest.json").is_file(), reason="no folder ../shared/data beside the checkout"
)


def files(name: str) -> dict[str, str]:
    return {"path": str(DATA / f"{name}.train.jsonl.gz"), "test_path": str(DATA / f"{name}.test.jsonl.gz")}


def config(name: str, **changes: object) -> Config:
    return Config.model_validate({"kind": "file", "text": "{text}", "label": "label", **files(name), **changes})


def manifest(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((DATA / "manifest.json").read_text())[name]
    return told


@pytest.mark.parametrize("name", NAMES)
def test_every_row_arrives_with_its_label(name: str) -> None:
    told = manifest(name)
    train, test = load(config(name), "train"), load(config(name), "test")
    # what is missing was a repeat of another row, and is told in a note
    assert told["train"] * 0.98 <= len(train.examples) <= told["train"]
    assert told["test"] * 0.98 <= len(test.examples) <= told["test"]
    assert bool(train.notes) == (len(train.examples) < told["train"])
    positive = sum(example.label for example in train.examples) / len(train.examples)
    assert positive == pytest.approx(told["pos_train"], abs=0.01)
    kept, _ = check_overlap(config(name), train.examples, test.examples)
    assert len(kept) == len(train.examples)


def test_contradictions_in_real_data_are_refused_or_left_out() -> None:
    with pytest.raises(BadInput, match="rows occur twice with different labels"):
        load(config("cosmosqa"), "train")
    loaded = load(config("cosmosqa", drop_conflicts=True), "train")
    assert any("two labels" in note for note in loaded.notes)


def test_fewer_rows_are_a_subset_of_more() -> None:
    few, more = load(config("sciq", n_train=500), "train"), load(config("sciq", n_train=1500), "train")
    assert {e.id for e in few.examples} <= {e.id for e in more.examples}


def test_esnli_rows_carry_the_words_that_the_explanation_repeats() -> None:
    found = load(esnli.Config(**files("esnli")), "test").examples
    assert len(found) >= 0.98 * manifest("esnli")["test"]
    assert sum(bool(row.highlights) for row in found) > 0.95 * len(found)
    for row in found:
        premise = row.texts[0].partition("\nHypothesis: ")[0]
        assert row.group == premise
        words = [row.texts[0][start:end] for start, end in row.highlights]
        assert all(word.strip() == word and word and word != "Hypothesis" for word in words)
    lit = sum(end - start for row in found for start, end in row.highlights) / sum(len(row.texts[0]) for row in found)
    assert 0.1 < lit < 0.5, "a reason is neither nothing nor everything"


@pytest.mark.parametrize("name", ["hh_harmless", "hh_harmless_multiturn"])
def test_preferences_become_pairs_in_an_even_order(name: str) -> None:
    settings = pairs.Config.model_validate({"source": "file", **files(name)})
    train, test = load(settings, "train"), load(settings, "test")
    assert len(train.examples) >= 0.98 * manifest(name)["train"]
    kept, _ = check_overlap(settings, train.examples, test.examples)
    assert len(kept) >= 0.98 * len(train.examples)
    assert 0.45 < Counter(row.label for row in kept)[0] / len(kept) < 0.55
    first, second = kept[0].texts
    assert first.startswith(kept[0].group)
    assert second.startswith(kept[0].group)


def test_real_mates_are_told_from_moves_that_are_legal_and_do_not_mate() -> None:
    settings = chess.Config.model_validate({"form": "candidates", **files("chess_mates")})
    found = load(settings, "test").examples
    # a solution that is the only legal move, or whose every other move mates too, makes no question
    assert len(found) >= 0.97 * manifest("chess_mates")["test"]
    assert 0.45 < Counter(row.label for row in found)[0] / len(found) < 0.55
    for row in found[:200]:
        fen, move = row.texts[1 - row.label].removeprefix("FEN: ").split("\nMove: ")
        board = rules.Board(fen)
        board.push_san(move)
    single = load(settings.model_copy(update={"form": "single"}), "test").examples
    assert {row.group for row in single} == {row.group for row in found}
    assert 0.45 < sum(row.label for row in single) / len(single) < 0.55
