"""Amazon polarity rows: golden texts and labels from the original columns."""

from __future__ import annotations

from collections.abc import Callable

from w2s.tasks.amazon_polarity import Config, examples

Copy = Callable[..., str]

ROWS = [
    {"label": 1, "title": "Great", "content": "Works well."},
    {"label": 0, "title": "Broken", "content": "It came in two."},
    {"label": 1, "title": "", "content": "No title but happy."},
    {"label": 0, "title": 'Meh: "fine"', "content": "Not\nfine."},
]
GOLDEN = [
    ("Great Works well.", 1),
    ("Broken It came in two.", 0),
    (" No title but happy.", 1),
    ('Meh: "fine" Not\nfine.', 0),
]


def test_four_rows_become_the_golden_texts_and_labels(copy: Copy) -> None:
    found = list(examples(Config(path=copy(train=ROWS, test=ROWS[:2])), "train"))
    assert [(row.texts[0], row.label) for row in found] == GOLDEN
    assert all(row.group == row.texts[0] for row in found)
