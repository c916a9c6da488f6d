"""Every hub task goes through the same sieve: a question is a group, classes balance, long texts are cut or left out.

Each task's sample rows are repeated with numbered texts, which makes a data set of a few hundred rows in its own columns.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.w2s.tasks.samples import CASES, Case
from w2s.task import Loaded, check_overlap, load
from w2s.work import table
from w2s.work.dataset import Dataset, encode
from w2s.work.encode import Tokenizer
from w2s.work.tiny import byte_tokenizer

COPIES = 40
# chess positions cannot be numbered: move a pawn instead
NUMBERED = tuple(case for case in CASES if case.kind != "chess")

# how many questions, premises or passages the four sample rows are about; 4 where none is shared
GROUPS = {
    "anli_r2": 3,
    "boolq": 3,
    "cosmos_qa": 3,
    "dream": 3,
    "esnli": 3,
    "ethics_deontology": 2,
    "ethics_justice": 2,
    "ethics_utilitarianism": 3,
    "ethics_virtue": 2,
    "mc_taco": 2,
    "multirc": 2,
    "pairs": 3,
    "paws": 3,
    "quail": 3,
    "quartz": 3,
    "social_i_qa": 3,
    "wic": 3,
}


def numbered(value: Any, number: int, letters: dict[str, str]) -> Any:
    if isinstance(value, dict):
        kept = ("role", "label", "answerKey")
        return {name: item if name in kept else numbered(item, number, letters) for name, item in value.items()}
    if isinstance(value, list):
        return [numbered(item, number, letters) for item in value]
    if not isinstance(value, str) or value in letters or value.isdigit():
        return value
    words = value.split(" ")
    return " ".join([f"{words[0]}{number}", *words[1:]])  # marks and endings stay where they are


def write(case: Case, folder: Path) -> dict[str, str]:
    letters = dict.fromkeys(("entailment", "contradiction"), "")
    for name, numbers in (("train", range(COPIES)), ("test", range(COPIES, COPIES + COPIES // 2))):
        rows = [numbered(row, number, letters) for number in numbers for row in case.rows]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"path": str(folder / "train.jsonl"), "test_path": str(folder / "test.jsonl")}


def both(case: Case, folder: Path, **changes: Any) -> tuple[Loaded, Loaded]:
    config = case.config(**write(case, folder)).model_copy(update=changes)
    return load(config, "train"), load(config, "test")


@pytest.mark.parametrize("case", NUMBERED, ids=lambda case: case.name)
def test_one_question_is_one_group_and_classes_balance(case: Case, tmp_path: Path) -> None:
    train, test = both(case, tmp_path)
    config = case.config(**write(case, tmp_path))
    assert train.notes == test.notes == ()
    assert len(check_overlap(config, train.examples, test.examples)[0]) == len(train.examples)
    assert len({row.group for row in train.examples}) == GROUPS.get(case.kind, 4) * COPIES
    balanced, _ = both(case, tmp_path, balance=True)
    sizes = Counter(row.label for row in balanced.examples)
    assert len(sizes) == config.n_classes
    assert len(set(sizes.values())) == 1
    assert min(sizes.values()) == min(Counter(row.label for row in train.examples).values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_long_texts_are_cut_or_left_out_with_all_their_candidates(case: Case, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in case.rows))
    file = str(tmp_path / "rows.jsonl")
    config = case.config(path=file, test_path=file)
    table.write(tmp_path, {"test": load(config, "test").examples}, config.n_classes)
    rows = table.read(tmp_path, {"name": "test"}, case.name)
    lengths = [max(len(text.encode()) for text in texts) for texts in rows.texts]
    limit = sorted(lengths)[len(lengths) // 2]  # bytes are tokens here
    kept, cut = (coded(rows, limit, way) for way in ("drop", "truncate"))
    assert kept.dropped == sum(length > limit for length in lengths)
    assert len(kept) == len(rows) - kept.dropped
    assert len(cut) == len(rows)
    assert cut.truncated == sum(len(text.encode()) > limit for texts in rows.texts for text in texts)
    assert max(cut.lengths) == limit
    assert all(len(row) == rows.candidates for row in (*kept.tokens, *cut.tokens))


def coded(rows: table.RowTable, limit: int, too_long: str) -> Dataset:
    tokenizer = Tokenizer(byte_tokenizer("gpt2"), rows=300)
    return encode(tokenizer, rows, torch.full((len(rows), rows.n_classes), 0.5), limit, too_long)
