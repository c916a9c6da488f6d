"""VADER ratings: is a sentence positive in the mean of about 20 people's ratings? (Hutto, Gilbert 2014)

"VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text" (MIT): the label is the sign of the mean of
ratings from -4 to 4. The sentences come with the source archive of the Python package, so this task needs a package index
and no hub. Rows kept at min_abs_rating 0.5: movie 10,072, amazon 2,985, nyt 2,970, tweets 3,432.
"""

from __future__ import annotations

import math
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from cluster.errors import BadInput
from w2s import assets
from w2s.examples import Example, hash_unit
from w2s.task import Split, TaskConfig

Domain = Literal["movie", "amazon", "nyt", "tweets"]

REF = "pip:vaderSentiment==3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
SHA256 = "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa"
ARCHIVE_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"

FILES: dict[Domain, str] = {
    "movie": "movieReviewSnippets",
    "amazon": "amazonReviewSnippets",
    "nyt": "nytEditorialSnippets",
    "tweets": "tweets",
}
NUMBERED_BY_TEXT = ("amazon", "nyt")  # ids there are REVIEW_SENTENCE or ARTICLE_SENTENCE; the others number sentences

# share of the commoner class among rows with |rating| >= 0.5
MAJORITY = {"movie": 0.504, "amazon": 0.586, "nyt": 0.600, "tweets": 0.683, "all": 0.528}


class Config(TaskConfig):
    SOURCE: ClassVar[str] = "VADER (Hutto & Gilbert 2014), PyPI vaderSentiment 3.3.2 source archive, MIT"

    kind: Literal["vader"] = "vader"
    domain: Literal["movie", "amazon", "nyt", "tweets", "all"] = "movie"
    min_abs_rating: float = Field(
        0.5, ge=0, lt=4, description="leave out rows with |mean rating| below; 0 is left out always"
    )
    test_share: float = Field(0.25, gt=0, lt=1, description="share of the groups in the test split, by hash")
    # short sentences such as "i love it!" occur in several reviews
    drop_overlap: bool = Field(True, description="leave out training rows that are in the test split (else refused)")

    @property
    def chance(self) -> float:
        """Accuracy of the best constant answer, as measured at the default min_abs_rating."""
        return 0.5 if self.balance else MAJORITY[self.domain]


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a sentence. Sentences of one product review or article share a group; a snippet or tweet is its own.

    Raises BadEnvironment when the package cannot be fetched, BadInput when it is not the one this was written for.
    """
    yield from read(fetch(config), config, split)


def fetch(config: Config) -> Path:
    """The ratings archive, fetched once. Raises BadEnvironment when the package index does not answer."""
    return assets.fetch(REF, SHA256, archive_sha256=ARCHIVE_SHA256)


def read(archive: Path, config: Config, split: Split) -> Iterator[Example]:
    """The rows of a split out of the ratings archive (a tar.gz with tab-separated id, mean rating, sentence)."""
    domains: list[Domain] = list(FILES) if config.domain == "all" else [config.domain]
    for domain in domains:
        for number, (id, rating, text) in enumerate(_lines(archive, domain), 1):
            value = _rating(rating, f"{FILES[domain]}, line {number}")
            group = f"{domain}:{id.rsplit('_', 1)[0]}" if domain in NUMBERED_BY_TEXT else text
            in_test = hash_unit("test", group) < config.test_share
            if text and value != 0 and abs(value) >= config.min_abs_rating and in_test == (split == "test"):
                yield Example((text,), int(value > 0), group)


def _lines(archive: Path, domain: Domain) -> Iterator[tuple[str, str, str]]:
    name = f"{FILES[domain]}_GroundTruth.txt"
    try:
        with tarfile.open(archive, "r:gz") as tar:
            member = next((m for m in tar if m.isfile() and m.name.rsplit("/", 1)[-1] == name), None)
            file = tar.extractfile(member) if member is not None else None
            if file is None:
                raise BadInput(str(archive), f"holds no {name}", "remove the cached file and run again")
            raw = file.read().decode("utf-8-sig")
    except (OSError, EOFError, tarfile.TarError, UnicodeDecodeError) as error:
        raise BadInput(str(archive), f"cannot be read: {error}", "remove the cached file and run again") from error
    # not splitlines(): a sentence may hold other line separators
    for line in raw.split("\n"):
        if line.strip():
            id, rating, text = line.split("\t", 2)
            yield id, rating, text.strip()


def _rating(text: str, where: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadInput(where, f"rating {text}", "")
    return value
