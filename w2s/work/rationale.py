"""Which tokens of a text are irrelevant: neither special nor touched by a highlight, by the tokenizer's own offsets."""

# T tokens

from __future__ import annotations

from collections.abc import Sequence

from w2s.examples import hash_unit
from w2s.explain import Explain
from w2s.work.encode import Span, Tokenizer

Mask = list[int]
"""One text's tokens [T]: 1 for an irrelevant one."""


def masks(
    tokenizer: Tokenizer,
    ids: Sequence[str],
    texts: Sequence[str],
    highlights: Sequence[Sequence[Span]],
    max_tokens: int,
    explain: Explain,
) -> list[Mask]:
    """Each text's mask over its first `max_tokens` tokens: all 0 where nothing is to be perturbed.

    That is: where there is no highlight, or more than the share `explain.most` of its tokens is irrelevant. A token without a
    place in the text (special, or made up by the tokenizer) is never irrelevant and counts for none. `rationale: random` draws
    as many tokens of the same text, by the row's id. Raises BadInput for a tokenizer that tells no offsets.
    """
    placed = tokenizer.offsets(texts, max_tokens)
    found = [irrelevant(spans, marks, explain.most) for spans, marks in zip(placed, highlights, strict=True)]
    if explain.rationale == "task":
        return found
    return [elsewhere(mask, spans, row) for mask, spans, row in zip(found, placed, ids, strict=True)]


def irrelevant(spans: Sequence[Span | None], marks: Sequence[Span], most: float) -> Mask:
    """1 at tokens whose span touches none of the marks; a span of None is a token without a place."""
    mask = [
        int(span is not None and not any(span[0] < end and start < span[1] for start, end in marks)) for span in spans
    ]
    readable = sum(span is not None for span in spans)
    return mask if marks and sum(mask) <= most * readable else [0] * len(mask)


def elsewhere(mask: Mask, spans: Sequence[Span | None], row: str) -> Mask:
    """As many tokens of the same text, whichever the row's id draws."""
    readable = [place for place, span in enumerate(spans) if span is not None]
    drawn = set(sorted(readable, key=lambda place: hash_unit("random rationale", row, place))[: sum(mask)])
    return [int(place in drawn) for place in range(len(mask))]
