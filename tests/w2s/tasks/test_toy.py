"""The toy task: deterministic, distinct rows, learnable by words alone but for its hard share."""

from __future__ import annotations

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from w2s.task import check_overlap, load
from w2s.tasks.toy import Config, examples


@pytest.mark.parametrize("pairs", [False, True])
def test_sizes_are_exact_rows_distinct_and_splits_apart(pairs: bool) -> None:
    config = Config(size=300, pairs=pairs)
    train, test = load(config, "train"), load(config, "test")
    assert (len(train.examples), len(test.examples)) == (300, 150)
    assert train.notes == test.notes == ()
    assert check_overlap(config, train.examples, test.examples) == (train.examples, ())
    assert all(len(row.texts) == 1 + pairs for row in train.examples)


def test_the_same_fields_make_the_same_rows_and_another_seed_others() -> None:
    assert list(examples(Config(), "train")) == list(examples(Config(), "train"))
    assert list(examples(Config(), "train")) != list(examples(Config(seed=1), "train"))


def test_a_larger_size_only_adds_rows() -> None:
    small, large = (list(examples(Config(size=size), "test")) for size in (40, 80))
    assert large[:20] == small


def test_noise_flips_that_share_of_labels_and_no_text() -> None:
    clean, noisy = (list(examples(Config(size=2000, noise=noise), "train")) for noise in (0.0, 0.2))
    assert [row.texts for row in clean] == [row.texts for row in noisy]
    assert 0.17 < sum(a.label != b.label for a, b in zip(clean, noisy, strict=True)) / 2000 < 0.23


def accuracy(config: Config, longest: int) -> float:
    train, test = list(examples(config, "train")), list(examples(config, "test"))
    words = CountVectorizer(ngram_range=(1, longest))
    counts = words.fit_transform([row.texts[0] for row in train])
    model = LogisticRegression(C=100.0, max_iter=1000).fit(counts, [row.label for row in train])
    return float(model.score(words.transform([row.texts[0] for row in test]), [row.label for row in test]))


def test_words_decide_easy_rows_and_word_pairs_the_hard_ones() -> None:
    config = Config(size=600, hard=0.3)
    single, double = accuracy(config, 1), accuracy(config, 2)
    assert accuracy(Config(size=300, hard=0.0), 1) > 0.98
    assert single < 0.85
    assert double > 0.95


def test_in_a_pair_the_label_is_the_index_of_the_good_text() -> None:
    for row in examples(Config(hard=0.0, pairs=True), "train"):
        assert any(
            f" {word} " in row.texts[row.label] for word in ("good", "great", "lovely", "happy", "bright", "kind")
        )
