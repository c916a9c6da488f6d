"""Real rows through the `file` task, where a folder of data sets lies beside the checkout (skipped, with the reason, where not)."""

from __future__ import annotations

import json

import pytest

from cluster.errors import BadInput
from tests.conftest import ROOT
from w2s.task import check_overlap, load
from w2s.tasks.file import Config

DATA = ROOT.parent / "shared" / "data"
NAMES = ("agnews_sci_vs_business", "cola", "customer_reviews", "rte", "sciq", "subj", "truthfulqa", "vader_movie")

pytestmark = pytest.mark.skipif(
    not (DATA / "manifest.json").is_file(), reason="no folder ../shared/data beside the checkout"
)


def config(name: str, **changes: object) -> Config:
    files = {"path": str(DATA / f"{name}.train.jsonl.gz"), "test_path": str(DATA / f"{name}.test.jsonl.gz")}
    return Config.model_validate({"kind": "file", "text": "{text}", "label": "label", **files, **changes})


@pytest.mark.parametrize("name", NAMES)
def test_every_row_arrives_with_its_label(name: str) -> None:
    told = json.loads((DATA / "manifest.json").read_text())[name]
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
