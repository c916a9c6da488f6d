"""The decoy task: a word that agrees with the label in training alone, and highlights that leave it out."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.errors import BadInput
from w2s.task import check_overlap, load
from w2s.tasks import toy
from w2s.tasks.decoy import Config, examples

TOY = toy.Config(size=1200)


def agreeing(config: Config, split: str) -> float:
    rows = load(config, split).examples  # type: ignore[arg-type]
    words = [row.texts[0].split()[-1 if config.place == "end" else 0] for row in rows]
    return float(np.mean([config.words.index(word) == row.label for word, row in zip(words, rows, strict=True)]))


@pytest.mark.parametrize("agree", [0.95, 0.5, 1.0])
@pytest.mark.parametrize("place", ["end", "start"])
def test_the_decoy_agrees_in_training_and_is_random_in_the_test(agree: float, place: str) -> None:
    config = Config.model_validate({"of": TOY, "agree": agree, "place": place})
    assert agreeing(config, "train") == pytest.approx(agree, abs=3 * (agree * (1 - agree) / 1200) ** 0.5 + 1e-9)
    assert agreeing(config, "test") == pytest.approx(0.5, abs=3 * (0.25 / 600) ** 0.5)


@pytest.mark.parametrize("place", ["end", "start"])
def test_highlights_are_everything_but_the_decoy(place: str) -> None:
    config = Config.model_validate({"of": toy.Config(size=40), "place": place, "words": ["omega", "psi"]})
    plain = {row.group: row for row in load(config.of, "train").examples}
    for row in examples(config, "train"):
        own = plain[row.group]
        [(start, end)] = row.highlights
        assert row.texts[0][start:end] == own.texts[0]
        rest = (row.texts[0][:start] + row.texts[0][end:]).strip()
        assert rest in config.words
        assert row.label == own.label
        assert row.id != own.id


def test_a_rows_decoy_knows_neither_its_place_nor_its_neighbours() -> None:
    small, large = (
        {row.group: row for row in load(Config(of=toy.Config(size=size)), "train").examples} for size in (40, 200)
    )
    assert all(large[group] == row for group, row in small.items())


def test_it_is_as_hard_as_what_it_is_made_of() -> None:
    config = Config(of=toy.Config(size=60, noise=0.2))
    assert (config.n_classes, config.chance, config.told) == (2, 0.5, "decoy of toy")
    assert config.highlighted
    train, test = load(config, "train"), load(config, "test")
    assert (len(train.examples), len(test.examples)) == (60, 30)
    assert check_overlap(config, train.examples, test.examples) == (train.examples, ())


def test_several_texts_a_row_have_no_place_for_one_decoy() -> None:
    config = Config(of=toy.Config(size=40, pairs=True))
    with pytest.raises(BadInput, match="its rows are 2 texts to choose among"):
        list(examples(config, "train"))


@pytest.mark.parametrize("fields,line", [
    ({"of": "toy", "words": ("a",)}, "a for 2 classes"),
    ({"of": "toy", "words": ("a", "a")}, "give one a class, all different"),
    ({"of": "toy", "words": ("a", " ")}, "an empty one is no decoy"),
    ({"of": {"kind": "chess", "answer": "move"}}, "has no texts with classes"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        Config.model_validate(fields)
