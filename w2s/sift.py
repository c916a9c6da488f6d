"""What every task's rows go through: what is refused, what is dropped and counted, what is kept.

Rows are kept by hash of their group, so no row's fate depends on its place in a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cluster.errors import BadInput
from w2s.examples import Answered, Example, hash_unit

SAMPLES = 3  # how many ids an error shows


def check(
    where: str, rows: Iterable[Example], n_classes: int | None, *, drop_conflicts: bool = False
) -> tuple[list[Example], dict[str, int]]:
    """The usable rows and the counts of what was dropped (repeated rows, candidates without a right one, two labels).

    `n_classes` None: rows have answers to be written instead, and one text each.

    Raises BadInput: no rows, labels outside 0 .. n_classes-1, mixed numbers of texts, highlights outside their text, a
    row with two labels, one class, a row without an answer.
    """
    # C texts that are all the same have no right answer (hh-rlhf has such pairs)
    everything = list(rows)
    different = [row for row in everything if len(row.texts) == 1 or len(set(row.texts)) > 1]
    telling = [row for row in different if not _doubled(row)]
    if not telling:
        raise BadInput(where, "no rows", "check the path and the file's contents")
    if n_classes is None:
        _refuse_unanswered(where, telling)
    else:
        _refuse_shapes(where, telling, n_classes)
    first: dict[str, Example] = {}
    conflicting: set[str] = set()
    for row in telling:
        if truth(first.setdefault(row.id, row)) != truth(row):
            conflicting.add(row.id)
    if conflicting and not drop_conflicts:
        raise BadInput(
            where,
            f"{len(conflicting)} rows occur twice with different labels ({samples(conflicting)})",
            "correct the data, or set drop_conflicts: true to leave them out",
        )
    kept = [row for id, row in first.items() if id not in conflicting]
    refuse_one_class(where, kept, "a classifier needs examples of at least two")
    lost = sum(row.id in conflicting for row in telling)
    notes = {
        "all their texts are equal": len(everything) - len(different),
        "a wrong candidate reads like the right one": len(different) - len(telling),
        "the same row has two labels": lost,
        "repeats of another row": len(telling) - lost - len(kept),
    }
    return kept, {reason: count for reason, count in notes.items() if count}


def pick(rows: Sequence[Example], count: int | None, balance: int | None) -> list[Example]:
    """At most `count` rows, in order of their groups' hashes; groups stay whole.

    With `balance` (the number of classes) each class keeps equally many: as many as the smallest has, or count /
    classes. Balancing cuts rows, so it may cut a group; nothing else does.
    """
    ordered = sorted(rows, key=lambda row: (hash_unit("pick", row.group), row.group, row.id))
    if balance is not None:
        return _equal_classes(ordered, count, balance)
    if count is None or count >= len(ordered):
        return ordered
    end = count
    while end > 0 and ordered[end].group == ordered[end - 1].group:
        end -= 1
    # a first group larger than `count` cannot be kept whole: then its first rows
    return ordered[: end or count]


def apart(where: str, train: Sequence[Example], test: Sequence[Example], *, drop: bool) -> tuple[list[Example], int]:
    """The training rows that are not in the test split, and how many were. Raises BadInput for any unless `drop`."""
    ids = {row.id for row in test}
    texts = {tuple(sorted(row.texts)) for row in test}
    shared = {row.id for row in train if row.id in ids or tuple(sorted(row.texts)) in texts}
    if shared and not drop:
        raise BadInput(
            where,
            f"{len(shared)} of {len(train)} training rows are also in the test split ({samples(shared)})",
            "set drop_overlap: true to leave them out of training",
        )
    kept = [row for row in train if row.id not in shared]
    if not kept:
        raise BadInput(where, "every training row is also in the test split", "give train and test different rows")
    return kept, len(train) - len(kept)


def sides_apart(
    where: str, train: Sequence[Example], test: Sequence[Example], *, drop: bool
) -> tuple[list[Example], int]:
    """The training rows without those of the source whose group is in the shifted domain as well, and how many these were.

    Raises BadInput for any unless `drop`, where a side is empty, and where one has one class only.
    """
    shifted = {row.group for row in (*train, *test) if row.side == "shift"}
    torn = {row.id for row in train if row.side == "source" and row.group in shifted}
    if torn and not drop:
        what = f"{len(torn)} source rows have groups that are in the shifted domain, too ({samples(torn)})"
        raise BadInput(where, what, "set drop_overlap: true to leave them out of training")
    kept = [row for row in train if row.id not in torn]
    for side in ("source", "shift"):
        own = [row for row in kept if row.side == side]
        if not own:
            raise BadInput(where, f"no training row is of side '{side}'", "correct the names of the domains")
        refuse_one_class(f"{where}, side '{side}'", own, "a classifier needs examples of at least two")
    return kept, len(torn)


def refuse_one_class(where: str, rows: Sequence[Example], remedy: str) -> None:
    """Raises BadInput when all rows have the same label, or the same answer."""
    found = {truth(row) for row in rows}
    if len(found) < 2:
        what = "answer" if any(isinstance(value, str) for value in found) else "label"
        raise BadInput(where, f"all {len(rows)} rows have {what} {found.pop() if found else 'none'}", remedy)


def truth(row: Example) -> int | str:
    """What is true of a row: its answer where it has one, else its class."""
    return row.answer if isinstance(row, Answered) else row.label


def samples(ids: Iterable[str]) -> str:
    """`ids such as 0a.., 1b.., 2c..`: a few ids in a fixed order, for error texts."""
    return "ids such as " + ", ".join(sorted(ids)[:SAMPLES])


def _doubled(row: Example) -> bool:
    """Whether the labelled candidate occurs again among the row's texts: which of the two is right, nobody can tell."""
    return 0 <= row.label < len(row.texts) and row.texts.count(row.texts[row.label]) > 1


def _refuse_shapes(where: str, rows: Sequence[Example], n_classes: int) -> None:
    widths = Counter(len(row.texts) for row in rows)
    if len(widths) > 1:
        told = ", ".join(f"{count} rows with {width}" for width, count in sorted(widths.items()))
        raise BadInput(where, f"mixed numbers of texts: {told}", "give every row the same number of texts")
    width = next(iter(widths))
    if width not in (1, n_classes):
        raise BadInput(where, f"rows have {width} texts for {n_classes} classes", "give 1 text, or one a class")
    outside = [row for row in rows if not 0 <= row.label < n_classes]
    if outside:
        labels = ", ".join(map(str, sorted({row.label for row in outside})[:SAMPLES]))
        what = f"{len(outside)} rows have labels outside 0..{n_classes - 1}: {labels}"
        raise BadInput(where, f"{what} ({samples(row.id for row in outside)})", "map them to 0, 1, ...")
    _refuse_highlights(where, rows)


def _refuse_unanswered(where: str, rows: Sequence[Example]) -> None:
    """For tasks of written answers: one text a row, and an answer that is more than space."""
    for fault, wrong in (
        ("no answer", [row for row in rows if not (isinstance(row, Answered) and row.answer.strip())]),
        ("more than one text", [row for row in rows if len(row.texts) != 1]),
    ):
        if wrong:
            what = f"{len(wrong)} rows have {fault} ({samples(row.id for row in wrong)})"
            raise BadInput(where, what, "give every row one text and the answer to be written after it")


def _refuse_highlights(where: str, rows: Sequence[Example]) -> None:
    wrong = [row for row in rows if not all(0 <= a < b <= len(row.texts[0]) for a, b in row.highlights)]
    if wrong:
        what = f"{len(wrong)} rows have highlights outside their text ({samples(row.id for row in wrong)})"
        raise BadInput(where, what, "give [start, end) spans in characters of the text")


def _equal_classes(ordered: Sequence[Example], count: int | None, n_classes: int) -> list[Example]:
    sizes = Counter(row.label for row in ordered)
    share = min(sizes[label] for label in range(n_classes))
    if count is not None:
        share = min(share, count // n_classes)
    seen: Counter[int] = Counter()
    kept = []
    for row in ordered:
        seen[row.label] += 1
        if seen[row.label] <= share:
            kept.append(row)
    return kept
