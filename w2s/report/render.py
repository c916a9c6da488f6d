"""A report as text: for a terminal and as markdown; CSV, JSON and LaTeX have files of their own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from w2s.report.data import SCHEMA, as_dict, csv, json
from w2s.report.latex import latex
from w2s.report.sheets import HEAD, Sheet, cells, facts, legend, sheets
from w2s.report.summary import Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "HEAD", "SCHEMA", "as_dict", "cells", "csv", "facts", "json", "latex", "legend", "markdown", "markdown_sheets", "print_sheets",
    "sheets", "terminal",
]  # fmt: skip


def terminal(report: Report, console: Console) -> None:
    """Print the report: one line a method if the console is wide enough, else one block a method. Cuts nothing off."""
    print_sheets(f"{report.recipe}  ({facts(report)})", sheets(report), console)


def print_sheets(title: str, tables: Sequence[Sheet], console: Console) -> None:
    """Print tables under a title, each a line a row if the console is wide enough, else a block a row."""
    from rich.measure import Measurement
    from rich.text import Text

    # Text, not strings: brackets and colons in names are neither markup nor emoji
    console.print(Text(title, style="bold"))
    for sheet in tables:
        if sheet.title:
            console.print(Text(f"\n{sheet.title}", style="bold"))
        if sheet.rows:
            table = _table(sheet)
            if Measurement.get(console, console.options.update(max_width=sys.maxsize), table).maximum > console.width:
                table = _blocks(sheet)
            console.print(table)
        for line in sheet.notes:
            console.print(Text(line, style="dim"))


def _table(sheet: Sheet) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE)
    for i, name in enumerate(sheet.head):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=i > 0, overflow="fold")
    for row in sheet.rows:
        table.add_row(*map(Text, row))
    return table


def _blocks(sheet: Sheet) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in sheet.rows:
        for name, cell in zip(sheet.head, row, strict=True):
            table.add_row(name, Text(cell), end_section=name == sheet.head[-1])
    return table


def markdown(report: Report) -> str:
    """The report as a markdown page."""
    return markdown_sheets(report.recipe, facts(report), sheets(report))


def markdown_sheets(title: str, words: str, tables: Sequence[Sheet]) -> str:
    """Tables as a markdown page, some words below its title."""
    lines = [f"# {_md(title)}", "", _md(words), ""]
    for sheet in tables:
        if sheet.title:
            lines += [f"## {_md(sheet.title)}", ""]
        if sheet.rows:
            lines += [_md_row(sheet.head), _md_row(["---"] * len(sheet.head))]
            lines += [_md_row([_md(cell) for cell in row]) for row in sheet.rows]
            lines += [""]
        lines += [*(f"- {_md(line)}" for line in sheet.notes), ""]
    return "\n".join(lines)


def _md_row(row: Sequence[str]) -> str:
    return "| " + " | ".join(row) + " |"


def _md(text: str) -> str:
    """Text that stays one cell, one line and plain, whatever a name holds."""
    for found, safe in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("<", "&lt;"),
        ("|", "\\|"),
        ("`", "\\`"),
        ("*", "\\*"),
        ("](", "]\\("),
    ):
        text = text.replace(found, safe)
    return " ".join(text.splitlines())
