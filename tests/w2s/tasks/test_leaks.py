"""No format tells the label: what a text looks like must say nothing on whether its candidate is right.

Each multiple-choice task's sample rows are repeated with other words in the candidates' places, so that nothing is left to know
but the format; then no rule on the surface of a text may find the label on rows it has not seen.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.w2s.tasks.samples import CHOICES
from w2s import choices, registry
from w2s.choices import Form, Question
from w2s.examples import Example, hash_unit
from w2s.tables import Row

Asked = Callable[[Row], Question]
COPIES = 300

# what a shallow reader might go by
SURFACE: dict[str, Callable[[str], Any]] = {
    "ends in a letter of its own": lambda text: len(text.rstrip("\"'?.!").split()[-1]) == 1,
    "length is odd": lambda text: len(text) % 2,
    "length": lambda text: len(text) // 4,
    "lines": lambda text: text.count("\n"),
    "beginning": lambda text: text[:12],
    "end": lambda text: text[-1],
    "digit at the end": lambda text: text[-1] if text[-1].isdigit() else "",
    "place of the answer in the list": lambda text: place_of_last_word(text),
    "how often the last word occurs": lambda text: text.count(text.rstrip("\"'?.!").split()[-1]),
}


def place_of_last_word(text: str) -> int:
    """In which line of a list the text's last quoted or last word stands first; -1 for nowhere."""
    word = text.rstrip("\"'?.! ").split()[-1].strip('"')
    return next((i for i, line in enumerate(text.split("\n")[:-1]) if line.endswith(word)), -1)


def copies(rows: tuple[dict[str, Any], ...], question: Asked) -> Iterator[Row]:
    """The rows again and again: the same layout, other words for candidates and question."""
    rng = random.Random(0)
    for number in range(COPIES):
        raw = rows[number % len(rows)]
        asked = question(Row("x", 1, raw))
        words = {candidate: "".join(rng.choices("abcdefghij", k=rng.randint(4, 9))) for candidate in asked.candidates}
        asking = {text: f"{text} {number}" for text in (asked.group, *asked.draw) if text not in words}
        yield Row("x", number, replaced(raw, {**asking, **words}))


def replaced(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: replaced(item, words) for name, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, words) for item in value]
    return words.get(value, value) if isinstance(value, str) else value


def best_rule(examples: list[Example]) -> tuple[float, str]:
    """The surface rule that does best on the second half after learning, value by value, on the first."""
    half = len(examples) // 2
    best = (0.0, "none")
    for name, look in SURFACE.items():
        seen: defaultdict[Any, Counter[int]] = defaultdict(Counter)
        for example in examples[:half]:
            seen[look(example.texts[0])][example.label] += 1
        guesses = [
            seen[look(e.texts[0])].most_common(1)[0][0] if seen[look(e.texts[0])] else 0 for e in examples[half:]
        ]
        right = sum(guess == e.label for guess, e in zip(guesses, examples[half:], strict=True))
        best = max(best, (right / len(guesses), name))
    return best


def shown(kind: str, form: Form) -> list[Example]:
    module = registry.module("tasks", kind)
    return [item for row in copies(module.ROWS, module.question) for item in choices.items(module.question(row), form)]


@pytest.mark.parametrize("form", ["single", "all"])
@pytest.mark.parametrize("kind", CHOICES)
def test_the_surface_of_a_text_does_not_tell_its_label(kind: str, form: Form) -> None:
    examples = shown(kind, form)
    assert len(examples) > 200
    accuracy, rule = best_rule(examples)
    # 150 and more unseen rows: three standard errors over a half, for the best of nine rules
    assert accuracy < 0.64, f"{rule} tells {accuracy:.0%} of the labels"


@pytest.mark.parametrize("kind", CHOICES)
def test_the_right_candidate_stands_anywhere(kind: str) -> None:
    labels = Counter(example.label for example in shown(kind, "choice"))
    classes = registry.module("tasks", kind).Config.CANDIDATES
    assert set(labels) == set(range(classes))
    assert max(labels.values()) < COPIES * (1 / classes + 0.1)


def released_openbookqa(row: Row) -> Example:
    """The format of EleutherAI/w2s, ds_registry.py (format_openbookqa): the letter if right, the text if wrong."""
    stem = row.text("question_stem")
    candidates, right = choices.lettered(row)
    listed = "\n".join(f"{letter}) {text}" for letter, text in zip("ABCD", candidates, strict=True))
    wrong = [text for i, text in enumerate(candidates) if i != right]
    is_right = hash_unit("choice", stem) < 0.5
    answer = "ABCD"[right] if is_right else wrong[int(3 * hash_unit("distractor", stem))]
    return Example((f"Q: {stem}\n\nChoices:\n{listed}\n\nAnswer: {answer}",), int(is_right), stem)


def test_the_released_openbookqa_format_is_caught() -> None:
    module = registry.module("tasks", "openbookqa")
    accuracy, rule = best_rule([released_openbookqa(row) for row in copies(module.ROWS, module.question)])
    assert accuracy > 0.99, rule


@pytest.mark.parametrize("kind", CHOICES)
def test_a_candidate_is_written_alike_whether_right_or_wrong(kind: str) -> None:
    module = registry.module("tasks", kind)
    for raw in module.ROWS:
        asked = module.question(Row("x", 1, raw))
        texts = [asked.write(candidate) for candidate in asked.candidates]
        for other, _ in enumerate(asked.candidates):
            moved = Question(asked.group, asked.draw, asked.candidates, other, asked.write, asked.alone)
            both = {e.texts[0]: e.label for e in choices.items(moved, "all")}
            assert both[texts[other]] == 1
            assert set(both) <= set(texts)
