"""Rows of the data on which student and supervisor part: where the student was right and the supervisor wrong, and the reverse."""

# N rows, C classes

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cluster.store import Store
from w2s.answers import FILE as ANSWERS
from w2s.answers import AnswerTable
from w2s.metrics import Floats
from w2s.report.page.chapter import Chapter, Line, distinct
from w2s.report.reading import Reader
from w2s.report.summary import Grade, SeedScores
from w2s.shown.drawing import shortened
from w2s.stages import Answers, Labels, Outcome, Rows
from w2s.work.table import FILE as ROWS

EACH = 4  # examples of one kind of one method
MOST_LINES = 6
LONGEST, MOST_TEXTS, ANSWER = 400, 4, 120


@dataclass(frozen=True)
class Example:
    """One test row: its texts (cut), its truth, and what the two said of it."""

    id: str
    texts: tuple[str, ...]
    truth: str
    student: str
    supervisor: str


@dataclass(frozen=True)
class Parted:
    """One method's examples, of its first complete seed. Counts are of all rows of that seed."""

    name: str
    seed: int
    won: tuple[Example, ...]
    lost: tuple[Example, ...]
    won_count: int
    lost_count: int
    n_test: int


@dataclass(frozen=True)
class _Row:
    texts: tuple[str, ...]
    label: int
    answer: str | None


def examples(chapters: Sequence[Chapter], store: Store) -> tuple[tuple[Parted, ...], int]:
    """The examples of the first methods that have any, and how many more methods there are. Reads only."""
    by_title = {chapter.title: chapter for chapter in chapters}
    lines = [(by_title[line.chapter], line, seed) for line in distinct(chapters) if (seed := _seed(line)) is not None]
    read: dict[str, dict[str, _Row]] = {}
    found = []
    for chapter, line, seed in lines[:MOST_LINES]:
        rows = Rows(chapter.recipe.task)
        if rows.key not in read:
            read[rows.key] = _test_rows(store.path(rows.key) / ROWS) if store.has(rows.key) else {}
        found.append(_parted(chapter, line, seed, read[rows.key], store))
    return tuple(found), max(0, len(lines) - MOST_LINES)


def _seed(line: Line) -> SeedScores | None:
    """The first seed whose student and supervisor are both graded."""
    return next((one for one in line.scores.seeds if one.floor is not None and one.transfer is not None), None)


def _parted(chapter: Chapter, line: Line, scores: SeedScores, rows: Mapping[str, _Row], store: Store) -> Parted:
    assert scores.floor is not None
    assert scores.transfer is not None
    ids = scores.floor.ids
    student_N, supervisor_N = scores.transfer.aligned(ids), scores.floor.correct
    outcome = line.outcomes[scores.seed]
    says = _sayings(chapter, outcome, scores.transfer, ids, store)

    def apart(won: bool) -> list[int]:
        places = np.flatnonzero((student_N == won) & (supervisor_N != won)).tolist()
        return sorted(places, key=lambda place: (-says.distance(place), ids[place]))

    def shown(places: Sequence[int]) -> tuple[Example, ...]:
        known = [place for place in places[:EACH] if ids[place] in rows]
        return tuple(_example(ids[place], place, rows[ids[place]], says, chapter) for place in known)

    won, lost = apart(True), apart(False)
    return Parted(line.name, scores.seed, shown(won), shown(lost), len(won), len(lost), len(ids))


@dataclass(frozen=True)
class _Sayings:
    """What student and supervisor said of the row at a place, and how far apart they are there."""

    student: Callable[[int], str]
    supervisor: Callable[[int], str]
    distance: Callable[[int], float]


def _sayings(chapter: Chapter, outcome: Outcome, graded: Grade, ids: Sequence[str], store: Store) -> _Sayings:
    assert outcome.floor is not None
    assert outcome.transfer is not None
    stages = (outcome.transfer.labels, outcome.floor.labels)
    if chapter.recipe.task.writes:
        written = [_answers(stage, ids, store) for stage in stages]
        return _Sayings(lambda place: written[0][place], lambda place: written[1][place], lambda place: 0.0)
    reader, rows = Reader(store), Rows(chapter.recipe.task)
    test = reader.rows(rows)
    place_of = {} if test is None else {one: place for place, one in enumerate(test[0])}
    order = [place_of[one] for one in ids if one in place_of]
    probs = [reader.labels(stage, rows) for stage in stages]
    student, supervisor = (None if one is None or len(order) < len(ids) else one[order] for one in probs)
    names = class_names(chapter.recipe.task)
    return _Sayings(
        lambda place: _class(student, place, names),
        lambda place: _class(supervisor, place, names),
        lambda place: (
            0.0 if student is None or supervisor is None else float(np.abs(student[place] - supervisor[place]).sum())
        ),
    )


def _class(probs_NC: Floats | None, place: int, names: Mapping[int, str]) -> str:
    if probs_NC is None:
        return "not known"
    chosen = int(probs_NC[place].argmax())
    return f"{named(chosen, names)} ({probs_NC[place, chosen]:.2f})"


def _answers(stage: Labels, ids: Sequence[str], store: Store) -> list[str]:
    if not isinstance(stage, Answers) or not store.has(stage.key) or not (store.path(stage.key) / ANSWERS).is_file():
        return ["not known"] * len(ids)
    return [shortened(text, ANSWER) for text in AnswerTable.load(store.path(stage.key)).join(ids, "examples").texts]


def _example(id_: str, place: int, row: _Row, says: _Sayings, chapter: Chapter) -> Example:
    texts = tuple(shortened(text, LONGEST) for text in row.texts[:MOST_TEXTS])
    truth = named(row.label, class_names(chapter.recipe.task)) if row.answer is None else shortened(row.answer, ANSWER)
    return Example(id_, texts, truth, says.student(place), says.supervisor(place))


def class_names(task: Any) -> dict[int, str]:
    """What a task's own file calls its classes, where the recipe says so."""
    given = getattr(task, "labels", None)
    return {number: word for word, number in given.items()} if isinstance(given, dict) else {}


def named(label: int, names: Mapping[int, str]) -> str:
    return f"class {label}" + (f", {shortened(names[label], 40)}" if label in names else "")


def _test_rows(file: Path) -> dict[str, _Row]:
    """The test rows alone: the training rows may be many more."""
    import pyarrow.parquet as pq

    there = pq.read_schema(file).names
    columns = [name for name in ("id", "texts", "label", "answer") if name in there]
    table = pq.read_table(file, columns=columns, filters=[("split", "==", "test")]).to_pydict()
    answers = table.get("answer") or [None] * len(table["id"])
    return {
        one: _Row(tuple(texts), label, answer)
        for one, texts, label, answer in zip(table["id"], table["texts"], table["label"], answers, strict=True)
    }
