"""A page read as strictly as a test likes: nothing left open, nothing from elsewhere, its tables as lists of cells."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input"}
LOADS = ("src", "href", "xlink:href", "srcset", "data", "action", "poster")


@dataclass
class Table:
    """A table: what it is called, its head, its rows."""

    caption: str = ""
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    scopes: list[str | None] = field(default_factory=list)

    def column(self, name: str) -> list[str]:
        place = self.head.index(name)
        return [row[place] for row in self.rows]

    def where(self, **wanted: str) -> dict[str, str]:
        """The one row with these cells."""
        [found] = [
            dict(zip(self.head, row, strict=True))
            for row in self.rows
            if all(row[self.head.index(name)] == cell for name, cell in wanted.items())
        ]
        return found


class Page(HTMLParser):
    """A page read strictly: every element closed in order, no id twice, what it would load, its texts, its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.tables: list[Table] = []
        self._cell: list[str] | None = None
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self.open]
        ids = [values["id"] for _, values in self.tags if "id" in values]
        self.faults += [f"id {one} is there {ids.count(one)} times" for one in set(ids) if ids.count(one) > 1]
        self.faults += [
            f"{target} leads nowhere" for target in self.targets if target not in {f"#{one}" for one in ids}
        ]

    @property
    def targets(self) -> set[str]:
        every = [value or "" for _, values in self.tags for value in values.values()]
        linked = {f"#{name}" for value in every for name in re.findall(r"url\(#([^)]+)\)", value)}
        return linked | {values[name] or "" for _, values in self.tags for name in LOADS if name in values}

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def table(self, caption: str) -> Table:
        [found] = [table for table in self.tables if table.caption == caption]
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.faults += [f"<{tag}> has {name}" for name, _ in attrs if name.startswith("on")]
        if tag == "table":
            self.tables.append(Table())
        if tag == "tr" and "tbody" in self.open:
            self.tables[-1].rows.append([])
        if tag in ("th", "td", "caption"):
            self._cell = []
        if tag == "th" and self.tables:
            self.tables[-1].scopes.append(dict(attrs).get("scope"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing, at {self.getpos()}")
        if tag in ("th", "td", "caption") and self._cell is not None and self.tables:
            self._keep(tag, " ".join("".join(self._cell).split()))
            self._cell = None

    def _keep(self, tag: str, cell: str) -> None:
        table = self.tables[-1]
        if tag == "caption":
            table.caption = cell
        elif "tbody" in self.open:
            table.rows[-1].append(cell)
        else:
            table.head.append(cell)

    def handle_data(self, data: str) -> None:
        (self.styles if "style" in self.open else self.words).append(data)
        if self._cell is not None:
            self._cell.append(data)

    def count(self, tag: str) -> int:
        return sum(one == tag for one, _ in self.tags)


def checked(text: str) -> Page:
    """The page, after what must hold of every one: well formed, nothing acts in it, nothing is fetched, drawings have words."""
    page = Page(text)
    assert not page.faults
    assert page.count("script") == 0
    styles = [*page.styles, *(values.get("style") or "" for _, values in page.tags)]
    assert not any(re.search(r"@import|url\((?!#)|https?:", style) for style in styles), "nothing comes from elsewhere"
    drawings = [values for tag, values in page.tags if tag == "svg"]
    assert all((values.get("aria-label") or "").strip() and values["role"] == "img" for values in drawings)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    return page
