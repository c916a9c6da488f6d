"""A report as text: for a terminal, as markdown, CSV and JSON."""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from w2s.metrics import Interval, to_json
from w2s.report.summary import Report, Row

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SCHEMA = 1
HEAD = ("method", "floor", "transfer", "ceiling", "PGR", "agreement", "seeds")
UNKNOWN = "-"
SHOWN = 4  # missing stages named in text; JSON names all


def legend(report: Report) -> list[str]:
    """What the numbers are and how the intervals were made."""
    resampled = "test rows and seeds" if any(len(row.seeds) > 1 for row in report.rows) else "test rows (one seed)"
    return [
        "floor: the weak supervisor; transfer: the strong student on its labels; ceiling: the strong model on the "
        "truth; PGR = (transfer - floor) / (ceiling - floor), the share of the gap that the student recovers.",
        f"In brackets: {report.level:.0%} paired bootstrap intervals over {resampled}; PGR is the ratio of the means "
        "over seeds, and is not given where the gap is under twice its standard error.",
    ]


def facts(report: Report) -> str:
    """The line that every table needs beside it."""
    n_test = UNKNOWN if report.n_test is None else f"{report.n_test:,}"
    majority = UNKNOWN if report.majority is None else f"{report.majority:.3f}"
    return (
        f"{report.task}: {report.weak} -> {report.strong}; test rows {n_test}, chance {report.chance:.3f}, "
        f"majority class {majority}"
    )


def cells(row: Row) -> tuple[str, ...]:
    """One method's line as short texts."""
    pgr = _interval(row.pgr, 2) if row.seeds and row.pgr is not None else row.verdict if row.seeds else UNKNOWN
    agreement = UNKNOWN if row.agreement is None else f"{row.agreement:.3f}"
    seeds = ", ".join(map(str, row.seeds)) or UNKNOWN
    return (row.method, _interval(row.floor), _interval(row.transfer), _interval(row.ceiling), pgr, agreement, seeds)


def _interval(value: Interval | None, digits: int = 3) -> str:
    """`mean [low, high]`; an unbounded end is written inf."""
    if value is None:
        return UNKNOWN
    low = "-inf" if value.low is None else f"{value.low:.{digits}f}"
    high = "inf" if value.high is None else f"{value.high:.{digits}f}"
    return f"{value.mean:.{digits}f} [{low}, {high}]"


def _remarks(report: Report) -> list[str]:
    """Ensemble members one by one, and what is missing, by name."""
    lines: list[str] = []
    for row in report.rows:
        for name, accuracies in row.members.items():
            lines.append(f"{row.method}, {name}: accuracy {', '.join(f'{value:.3f}' for value in accuracies)}")
        if row.missing:
            shown = "; ".join(row.missing[:SHOWN]) + (
                f"; and {more} more" if (more := len(row.missing) - SHOWN) > 0 else ""
            )
            counted = "1 stage is" if len(row.missing) == 1 else f"{len(row.missing)} stages are"
            lines.append(f"{row.method}: {counted} missing: {shown}")
    return lines


def terminal(report: Report, console: Console) -> None:
    """Print the report: one line a method if the console is wide enough, else one block a method. Cuts nothing off."""
    from rich.measure import Measurement
    from rich.text import Text

    # Text, not strings: brackets and colons in names are neither markup nor emoji
    console.print(Text(f"{report.recipe}  ({facts(report)})", style="bold"))
    table = _table(report)
    if Measurement.get(console, console.options.update(max_width=sys.maxsize), table).maximum > console.width:
        table = _blocks(report)
    console.print(table)
    for line in (*_remarks(report), *legend(report)):
        console.print(Text(line, style="dim"))


def _table(report: Report) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE)
    for i, name in enumerate(HEAD):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=i > 0, overflow="fold")
    for row in report.rows:
        table.add_row(*map(Text, cells(row)))
    return table


def _blocks(report: Report) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in report.rows:
        for name, cell in zip(HEAD, cells(row), strict=True):
            table.add_row(name, Text(cell), end_section=name == HEAD[-1])
    return table


def markdown(report: Report) -> str:
    """The report as a markdown page."""
    lines = [f"# {_md(report.recipe)}", "", _md(facts(report)), "", _md_row(HEAD), _md_row(["---"] * len(HEAD))]
    lines += [_md_row([_md(cell) for cell in cells(row)]) for row in report.rows]
    lines += ["", *(f"- {_md(line)}" for line in (*_remarks(report), *legend(report))), ""]
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
    return _one_line(text)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


CSV_SIDES = ("floor", "transfer", "ceiling", "gain", "pgr")


def csv(report: Report) -> str:
    """One line a method: mean, low and high of each score. Empty: unknown or, beside a mean, unbounded."""
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    sides = [f"{side}{end}" for side in CSV_SIDES for end in ("", "_low", "_high")]
    writer.writerow(
        [
            "recipe",
            "task",
            "weak",
            "strong",
            "method",
            *sides,
            "verdict",
            "agreement",
            "seeds",
            "n_test",
            "chance",
            "majority",
        ]
    )
    for row in report.rows:
        values = [value for side in CSV_SIDES for value in _ends(getattr(row, side))]
        seeds = " ".join(map(str, row.seeds))
        end = [row.verdict, row.agreement, seeds, report.n_test, report.chance, report.majority]
        start = [report.recipe, report.task, report.weak, report.strong, row.method]
        writer.writerow([_cell(value) for value in (*start, *values, *end)])
    return out.getvalue()


def _ends(value: Interval | None) -> list[float | None]:
    return [None, None, None] if value is None else [value.mean, value.low, value.high]


def _cell(value: object) -> object:
    """One line, and nothing a spreadsheet would run: text with =, +, - or @ in front gets a quote before it."""
    if isinstance(value, str):
        text = _one_line(value)
        return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text
    return f"{value:.6f}" if isinstance(value, float) else value


def as_dict(report: Report) -> dict[str, Any]:
    """The report as plain JSON values; nothing of it is left out."""
    rows = [
        {
            "method": row.method, "seeds": list(row.seeds), "verdict": row.verdict, "agreement": row.agreement,
            "per_seed_pgr": list(row.per_seed_pgr), "missing": list(row.missing),
            "members": {name: list(values) for name, values in row.members.items()},
            **{side: to_json(getattr(row, side)) for side in CSV_SIDES},
        }
        for row in report.rows
    ]  # fmt: skip
    head = {
        name: getattr(report, name)
        for name in ("recipe", "task", "weak", "strong", "chance", "majority", "n_test", "level")
    }
    return {"schema": SCHEMA, **head, "rows": rows}


def json(report: Report) -> str:
    """The report as one JSON document."""
    return json_module.dumps(as_dict(report), indent=2, allow_nan=False) + "\n"
