"""e-SNLI: does a sentence follow from another or contradict it? With the words that tell. (Camburu et al. 2018)

"e-SNLI: Natural Language Inference with Natural Language Explanations" (MIT; SNLI is CC BY-SA 4.0). Neutral pairs are left out.
About 366,000 training pairs and 6,600 test ones.

Examples carry `highlights`, the spans that annotators gave as the reason: exactly, from the authors' CSV files (Sentence1_marked_1
has stars around each word) or from jsonl whose `rationale` holds [start, end] spans of the text; else, from the explanation in
words (explanation_1 of the hub's copy, or a `rationale` that is a text), the words of the pair that the explanation repeats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cluster.errors import BadInput
from w2s.examples import Example
from w2s.hub import CONVERTED, HubTaskConfig, rows
from w2s.tables import Row
from w2s.task import Split

Spans = tuple[tuple[int, int], ...]

CLASSES = {"entailment": 1, "contradiction": 0, "neutral": None}
HUB_CLASSES = (1, None, 0)  # what the hub's 0, 1, 2 mean
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
MARKED = re.compile(r"\*([^\s*]+)\*")
SMALL = frozenset(  # too common to be a reason
    """a an and are as at be been being but by can do does for from has have he her him his i if in is it its not of on or
    she so some that the their them then there they this to was were when which while who will with you""".split()  # noqa: SIM905
)


class Config(HubTaskConfig):
    CHANCE: ClassVar[float] = 0.51  # share of entailed ones among the test pairs that are not neutral
    SOURCE: ClassVar[str] = "e-SNLI (Camburu et al. 2018), hub esnli/esnli, MIT; SNLI CC BY-SA 4.0"

    kind: Literal["esnli"] = "esnli"
    hub_id: str = "esnli/esnli"
    revision: str = CONVERTED  # main holds a loading script, which `datasets` 4 no longer runs

    @property
    def highlighted(self) -> bool:
        return True


ROWS: tuple[dict[str, Any], ...] = (
    {
        "gold_label": "entailment",
        "Sentence1": "A boy in red kicks a ball.",
        "Sentence2": "A child plays.",
        "Sentence1_marked_1": "A *boy* in red *kicks* a *ball.*",
        "Sentence2_marked_1": "A *child* *plays.*",
    },
    {
        "gold_label": "contradiction",
        "Sentence1": "A boy in red kicks a ball.",
        "Sentence2": "A boy is asleep.",
        "Sentence1_marked_1": "A boy in red *kicks* a ball.",
        "Sentence2_marked_1": "A boy is *asleep.*",
    },
    {
        "gold_label": "contradiction",
        "Sentence1": "Two women walk uphill.",
        "Sentence2": "Nobody walks.",
        "Sentence1_marked_1": "*Two* women *walk* uphill.",
        "Sentence2_marked_1": "*Nobody* walks.",
    },
    {
        "gold_label": "entailment",
        "Sentence1": "A dog swims.",
        "Sentence2": "An animal is wet.",
        "Sentence1_marked_1": "A *dog* *swims.*",
        "Sentence2_marked_1": "An *animal* is *wet.*",
    },
)


@dataclass(frozen=True)
class _Parts:
    """A text in pieces: where the premise ends is where the hypothesis' spans are counted from."""

    premise: str
    hypothesis: str

    @property
    def text(self) -> str:
        return f"Premise: {self.premise}\nHypothesis: {self.hypothesis}"

    def spans(self, premise: Spans, hypothesis: Spans) -> Spans:
        first, second = len("Premise: "), len(f"Premise: {self.premise}\nHypothesis: ")
        return (*((a + first, b + first) for a, b in premise), *((a + second, b + second) for a, b in hypothesis))


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a pair; pairs with one premise share a group. Label 1: entailment, 0: contradiction."""
    for row in rows(config, split):
        example = _example(row)
        if example is not None:
            yield example


def _example(row: Row) -> Example | None:
    if "gold_label" in row.values:
        return _authors(row)
    return _plain(row) if "text" in row.values else _hub(row)


def _authors(row: Row) -> Example | None:
    """The authors' CSV: the first annotator's marks, the only ones that training rows have."""
    name = row.text("gold_label")
    if name not in CLASSES:
        raise BadInput(row.where, f"gold_label '{name}' is not one of {', '.join(CLASSES)}", "correct the row")
    label = CLASSES[name]
    if label is None:
        return None
    parts = _Parts(row.text("Sentence1"), row.text("Sentence2"))
    spans = parts.spans(
        marked(parts.premise, row.text("Sentence1_marked_1")), marked(parts.hypothesis, row.text("Sentence2_marked_1"))
    )
    return Example((parts.text,), label, parts.premise, spans)


def _hub(row: Row) -> Example | None:
    """The hub's columns, which leave the marks out."""
    number = row.integer("label")
    if not 0 <= number < len(HUB_CLASSES):
        raise BadInput(row.where, f"label {number} is not 0, 1 or 2", "this split has no labels")
    label = HUB_CLASSES[number]
    if label is None:
        return None
    parts = _Parts(row.text("premise"), row.text("hypothesis"))
    reason = row.text("explanation_1")
    spans = parts.spans(explained(parts.premise, reason), explained(parts.hypothesis, reason))
    return Example((parts.text,), label, parts.premise, spans)


def _plain(row: Row) -> Example:
    """jsonl with the whole text, a label 0 or 1, and a rationale: spans of the text, or an explanation."""
    text = row.text("text")
    premise = text.partition("\nHypothesis:")[0]
    reason = row.values.get("rationale") or ()
    if isinstance(reason, str):
        # the words Premise and Hypothesis are the format's, not the pair's
        inner = [(a, b) for a, b in explained(text, reason) if text[a:b] not in ("Premise", "Hypothesis")]
        return Example((text,), row.integer("label"), premise, tuple(inner))
    try:
        spans = tuple((int(start), int(end)) for start, end in reason)
    except (TypeError, ValueError) as error:
        raise BadInput(row.where, "rationale is neither a text nor [start, end] spans", "correct the row") from error
    return Example((text,), row.integer("label"), premise, spans)


def marked(sentence: str, stars: str) -> Spans:
    """The spans of `sentence` that stand between stars, a word each; none where the two are not the same words."""
    if MARKED.sub(r"\1", stars) != sentence:
        return ()
    return tuple((m.start() - 2 * i, m.end() - 2 * i - 2) for i, m in enumerate(MARKED.finditer(stars)))


def explained(sentence: str, explanation: str) -> Spans:
    """The spans of the words of `sentence` that an explanation repeats, small words apart."""
    told = {word.lower() for word in WORD.findall(explanation)} - SMALL
    return tuple(m.span() for m in WORD.finditer(sentence) if m.group().lower() in told)
