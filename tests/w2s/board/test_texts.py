"""Texts on the board: whatever data or names say is read as it is written, and is neither markup nor a picture from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from w2s.board.texts import block, disagreements, plain, table

pytestmark = pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")  # a copy inside TensorBoard

HOSTILE = [
    "<script>alert(1)</script>", "![x](https://example.org/x.png)", "[x](javascript:alert(1))", "<img src=x onerror=alert(1)>",
    "a | b", "**bold** _it_ `code`", "# head", "</td></table><h1>x</h1>", "&lt;b&gt; &#60;b&#62;", "[1]: https://example.org",
    "<https://example.org>", "\\|", "---", "1. one", "> quote", '"quoted" <a href="https://example.org">x</a>',
]  # fmt: skip


class Page(HTMLParser):
    """The elements of a page, and the text of each cell."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def shown(markdown: str) -> Page:
    """As TensorBoard shows it."""
    from tensorboard import plugin_util

    return Page(plugin_util.markdown_to_safe_html(markdown))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_says_what_it_says(text: str) -> None:
    page = shown(table(["text", "n"], [(text, 1)]))
    assert page.tags <= {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.cells[2].strip() == text
    assert len(page.cells) == 4


def test_lines_do_not_leave_a_block() -> None:
    text = "\n".join(["```", *HOSTILE, "", "</code></pre>", "x: 1"])
    page = shown(block(text))
    assert page.tags <= {"pre", "code"}


def test_examples_are_the_rows_that_are_furthest_apart() -> None:
    student = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.45, 0.55]])
    supervisor = np.array([[0.8, 0.2], [0.6, 0.4], [0.9, 0.1], [0.9, 0.1]])
    truth, ids = np.array([0, 1, 1, 0]), ("a", "b", "c", "d")
    told = disagreements(student, supervisor, truth, ids, dict.fromkeys(ids, HOSTILE[0]))
    assert told.startswith("Student and supervisor disagree on 3 of 4 test rows: the student is right on 2 of these")
    page = shown(told)
    assert page.tags <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
    cells = [cell.strip() for cell in page.cells[5:]]
    assert cells[0::5] == ["c", "d", "b"]
    assert cells[:5] == ["c", HOSTILE[0], "1", "0 (0.90)", "1 (0.80)"]


def test_plain_is_one_line() -> None:
    assert plain("a\n\nb\tc") == "a b c"
