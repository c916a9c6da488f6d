"""Examples with identity: an example's id is a hash of its group and its texts, never its place in a file."""

# N rows, C classes

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

Side = Literal["source", "shift"]
"""Where supervisors learn, and where students learn and everyone is tested, in a task whose distribution shifts between."""


@dataclass(frozen=True)
class Example:
    """One labelled example.

    `texts` holds one text (a C-class question) or C texts (candidates to choose among, e.g. a preference pair). `label` is
    the true class, 0 .. C-1. Examples that share a `group` (one question, one premise) never straddle two parts.
    `highlights` are the [start, end) spans of texts[0], in characters, that an annotator gave as the reason; `side` is where a
    row comes from in a task whose distribution shifts, "" in all others. Neither is part of the identity.
    """

    texts: tuple[str, ...]
    label: int
    group: str
    highlights: tuple[tuple[int, int], ...] = ()
    side: Side | Literal[""] = ""

    @property
    def id(self) -> str:
        """16 hex digits over group and texts."""
        return example_id(self.group, self.texts)


@dataclass(frozen=True)
class Answered(Example):
    """An example whose truth is a text to be written after its one text: there are no classes, and `label` is 0.

    `answer` is as it follows the text, its space before it included (" Qxc1+"); not part of the identity.
    """

    answer: str = field(kw_only=True)


def example_id(group: str, texts: tuple[str, ...]) -> str:
    """The identity of an example: a hash of group and texts, with lengths so that no two splits collide."""
    digest = hashlib.sha256()
    for piece in (group, *texts):
        raw = piece.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()[:16]


def hash_unit(*parts: str | int) -> float:
    """A number in [0, 1) that depends only on `parts`: how halves are drawn and rows are picked."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:7], "big") / 2**56
