"""A report as LaTeX: a booktabs table for each of its sheets, to paste into a paper."""

from __future__ import annotations

import re

from w2s.report.sheets import Sheet, facts, sheets
from w2s.report.summary import Report

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip
BARS = re.compile("[▁-█]+")


def latex(report: Report) -> str:
    """Tables that need the package booktabs. Notes stand in the captions; sparklines, which LaTeX has no letters for, do not."""
    parts = [_table(sheet, f"{report.recipe}. {facts(report)}.") for sheet in sheets(report)]
    return "\n".join(["% needs \\usepackage{booktabs}", *parts])


def _table(sheet: Sheet, about: str) -> str:
    caption = " ".join(
        part if part.endswith(".") else f"{part}." for part in (sheet.title, about, *sheet.notes) if part
    )
    kept = [i for i, _ in enumerate(sheet.head) if not any(BARS.search(row[i]) for row in sheet.rows)]
    columns = "l" + "r" * (len(kept) - 1)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_plain(caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row([sheet.head[i] for i in kept]),
        r"\midrule",
        *(_row([row[i] for i in kept]) for row in sheet.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    # after \\ a bracket or a star would be read as an argument of it; braces keep them apart
    return " & ".join(f"{{{_plain(cell)}}}" if cell[:1] in ("[", "*") else _plain(cell) for cell in cells) + r" \\"


def _plain(text: str) -> str:
    """Text that LaTeX sets as it is, on one line."""
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.splitlines()))
