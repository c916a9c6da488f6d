"""A recipe's texts for TensorBoard, as markdown in which nothing that a recipe or data says is markup."""

# N rows, C classes

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cluster.store import Store
from w2s import bridge
from w2s.metrics import Floats, Ints
from w2s.recipe import Recipe
from w2s.shown.drawing import shortened
from w2s.shown.ledger import Ledger
from w2s.stages import Rows
from w2s.work.table import FILE as ROWS

LISTED = 20  # rows of a table of examples
STAGES = 400  # of a manifest's table
LONGEST = 300  # characters of a text
MARKS = frozenset("\\`*_{}[]()#+-.!|<>&~:\"'=@/")


def plain(text: object) -> str:
    """A text of one line that is read as it is written: every character that markdown or HTML may take for more is spelt out.

    TensorBoard keeps links and pictures, and a picture is fetched from wherever it says.
    """
    return "".join(f"&#{ord(one)};" if one in MARKS else one for one in " ".join(str(text).split()))


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table of plain texts."""
    lines = [_line([plain(cell) for cell in head]), _line(["---"] * len(head))]
    return "\n".join([*lines, *(_line([plain(cell) for cell in row]) for row in rows)])


def block(text: str) -> str:
    """A text of many lines, shown as it is: indented, for no line of it can end that."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def recipe_text(recipe: Recipe) -> str:
    """The recipe as YAML, as far as it was written."""
    data = recipe.model_dump(mode="json", exclude_unset=True)
    return block(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100))


def manifest_text(recipe: Recipe, store: Store) -> str:
    """What results were made with: versions, code and hardware, each with the number of stages; then every stage."""
    ledger, graph = Ledger(store), recipe.graph()
    receipts = {key: receipt for key in graph if (receipt := ledger.receipt(key)) is not None}
    told: dict[str, Counter[str]] = {}
    for receipt in receipts.values():
        state = "with changes" if receipt.git.get("dirty") else ""
        facts = {
            "code": f"{receipt.git.get('commit', '')} {state}".strip(),
            "machine": _machine(receipt.hardware),
            **{f"version of {name}": str(version) for name, version in receipt.versions.items()},
        }
        for name, value in facts.items():
            told.setdefault(name, Counter())[value] += bool(value)
    about = [(name, value, count) for name, values in told.items() for value, count in values.most_common() if value]
    listed = list(graph.items())[:STAGES]
    stages = [(bridge.name(stage), key[:12], *_stage_cells(receipts.get(key))) for key, stage in listed]
    missing = len(graph) - len(receipts)
    words = f"{len(receipts)} of {len(graph)} stages are there." + (f" {missing} are missing." if missing else "")
    words += f" The first {STAGES} are listed." if len(graph) > STAGES else ""
    parts = [table(["what", "value", "stages"], about), table(["stage", "key", "seconds", "files, sha256"], stages)]
    return "\n\n".join([words, *parts])


def _stage_cells(receipt: Any) -> tuple[str, str]:
    if receipt is None:
        return "missing", ""
    return f"{receipt.seconds:.1f}", ", ".join(
        f"{name} {facts['sha256'][:12]}" for name, facts in receipt.files.items()
    )


def _machine(hardware: Mapping[str, Any]) -> str:
    gpus = Counter(map(str, hardware.get("gpus") or ()))
    parts = [hardware.get("cpu"), *(f"{count} x {name}" for name, count in gpus.items())]
    return ", ".join(str(part) for part in parts if part)


def disagreements(
    student_NC: Floats, supervisor_NC: Floats, truth_N: Ints, ids: Sequence[str], texts: Mapping[str, str]
) -> str:
    """Test rows of which student and supervisor say different things: those first where they are furthest apart."""
    student_N, supervisor_N = student_NC.argmax(axis=-1), supervisor_NC.argmax(axis=-1)
    apart = np.flatnonzero(student_N != supervisor_N)
    far_N = np.abs(student_NC - supervisor_NC).sum(axis=-1)
    chosen = sorted(apart.tolist(), key=lambda place: (-far_N[place], ids[place]))
    won = int((student_N[apart] == truth_N[apart]).sum())
    lost = int((supervisor_N[apart] == truth_N[apart]).sum())
    words = (
        f"Student and supervisor disagree on {len(apart)} of {len(ids)} test rows: the student is right on {won} of these, the "
        f"supervisor on {lost}. Below are the {min(LISTED, len(apart))} on which they are furthest apart."
    )
    rows = [
        (
            ids[place],
            texts.get(ids[place], ""),
            int(truth_N[place]),
            _said(supervisor_NC[place]),
            _said(student_NC[place]),
        )
        for place in chosen[:LISTED]
    ]
    return f"{words}\n\n{table(['row', 'text', 'true class', 'supervisor', 'student'], rows)}"


def _said(probs_C: Floats) -> str:
    return f"{int(probs_C.argmax())} ({probs_C.max():.2f})"


def test_texts(rows: Rows, store: Store) -> tuple[tuple[str, ...], dict[str, str]]:
    """The ids of the test rows, in their order, and what each says: its texts, cut."""
    import pyarrow.parquet as pq

    file: Path = store.path(rows.key) / ROWS
    found = pq.read_table(file, columns=["id", "texts"], filters=[("split", "==", "test")]).to_pydict()
    said = {one: shortened(" // ".join(texts), LONGEST) for one, texts in zip(found["id"], found["texts"], strict=True)}
    return tuple(found["id"]), said


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
