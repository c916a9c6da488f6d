"""The layouts in which preference data are published: each read in its own columns into a better and a worse text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from w2s import choices
from w2s.hub import CONVERTED, Place
from w2s.tables import Row

ASSISTANT = "\n\nAssistant:"


@dataclass(frozen=True)
class Comparison:
    """The preferred text, the other one, and what both answer: the group."""

    chosen: str
    rejected: str
    group: str


@dataclass(frozen=True)
class Source:
    """Where comparisons lie on the hub, and how a row of theirs is read under a criterion."""

    place: Place
    read: Callable[[Row, str], Comparison]


def shared_prompt(chosen: str, rejected: str) -> str:
    """What both dialogues share, up to the assistant's turn where they part."""
    length = next((i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), None)
    shared = chosen[: min(len(chosen), len(rejected)) if length is None else length]
    cut = shared.rfind(ASSISTANT)
    return shared[: cut + len(ASSISTANT)] if cut >= 0 else shared or chosen


def dialogues(row: Row, _criterion: str = "") -> Comparison:
    """Two whole dialogues, `chosen` and `rejected`, that begin alike (HH-RLHF)."""
    chosen, rejected = row.text("chosen"), row.text("rejected")
    return Comparison(chosen, rejected, shared_prompt(chosen, rejected))


def _replies(row: Row, _criterion: str) -> Comparison:
    post = row.text("history")
    first, second = (f"Post: {post}\n\nReply: {row.text(column)}" for column in ("human_ref_A", "human_ref_B"))
    return Comparison(first, second, post) if choices.index(row, "labels", 2) == 1 else Comparison(second, first, post)


def _responses(row: Row, criterion: str) -> Comparison:
    prompt = row.text("prompt")
    answers = [_turns(prompt, row.text(column)) for column in ("response_0", "response_1")]
    best = choices.index(row, f"{criterion}_response_id", 2)
    return Comparison(answers[best], answers[1 - best], prompt)


def _summaries(row: Row, _criterion: str) -> Comparison:
    info = row.inner("info")
    # news articles, in the validation split, stand in a column of their own
    post = info.text("article" if info.values.get("post") is None else "post")
    found = row.value("summaries")
    # a sequence of structures is stored as rows or as columns
    items = found if isinstance(found, list) else [{"text": text} for text in row.inner("summaries").texts("text")]
    shown = [f"Post: {post}\n\nTL;DR: {Row(row.source, row.number, item).text('text').strip()}" for item in items]
    best = choices.index(row, "choice", len(shown))
    return Comparison(shown[best], shown[1 - best], post)


def _messages(row: Row, _criterion: str) -> Comparison:
    prompt = row.text("prompt")
    answers = []
    for column in ("chosen", "rejected"):
        said = row.value(column)
        answers.append(_turns(prompt, Row(row.source, row.number, said[-1] if said else {}).text("content")))
    return Comparison(answers[0], answers[1], prompt)


def _own(row: Row, _criterion: str) -> Comparison:
    if row.values.get("prompt") is None:
        return dialogues(row)
    prompt = row.text("prompt")
    before = prompt if prompt.endswith((" ", "\n")) else f"{prompt} "
    return Comparison(before + row.text("chosen"), before + row.text("rejected"), prompt)


def _turns(prompt: str, answer: str) -> str:
    return f"Human: {prompt}{ASSISTANT} {answer}"


SOURCES: dict[str, Source] = {
    "hh-helpful": Source(Place("Anthropic/hh-rlhf", folder="helpful-base"), dialogues),
    "hh-harmless": Source(Place("Anthropic/hh-rlhf", folder="harmless-base"), dialogues),
    "shp": Source(Place("stanfordnlp/SHP"), _replies),
    "pku-saferlhf": Source(Place("PKU-Alignment/PKU-SafeRLHF"), _responses),
    "summarize": Source(
        Place("openai/summarize_from_feedback", CONVERTED, test="validation", folder="comparisons"), _summaries
    ),
    "ultrafeedback": Source(
        Place("HuggingFaceH4/ultrafeedback_binarized", train="train_prefs", test="test_prefs"), _messages
    ),
    "file": Source(Place(""), _own),
}
