"""A report as text: for a terminal, as markdown, CSV and JSON."""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
from typing import TYPE_CHECKING, Any

from w2s.metrics import Interval, to_json
from w2s.report.summary import Report, Row

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = 1
HEAD = ("method", "floor", "transfer", "ceiling", "PGR", "agreement", "seeds")
UNKNOWN = "-"


def legend(report: Report) -> list[str]:
    """What the numbers are and how the interval was made."""
    return [
        "floor: the weak supervisor; transfer: the strong student on its labels; ceiling: the strong model on the truth; "
        "PGR = (transfer - floor) / (ceiling - floor).",
        f"[..]: {report.level:.0%} paired bootstrap interval over test rows and seeds; PGR is the ratio of means over seeds, "
        "and is not given where the gap is under twice its standard error.",
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
    pgr = _interval(row.pgr, 2) if row.pgr is not None else row.verdict
    agreement = UNKNOWN if row.agreement is None else f"{row.agreement:.3f}"
    seeds = ", ".join(map(str, row.seeds)) or UNKNOWN
    return (row.method, _interval(row.floor), _interval(row.transfer), _interval(row.ceiling), pgr, agreement, seeds)


def _interval(value: Interval | None, digits: int = 3) -> str:
    if value is None:
        return UNKNOWN
    low, high = ("inf" if end is None else f"{end:.{digits}f}" for end in (value.low, value.high))
    return f"{value.mean:.{digits}f} [{'-inf' if low == 'inf' else low}, {high}]"


def _remarks(report: Report) -> list[str]:
    """Ensemble members one by one, and what is missing, by name."""
    lines: list[str] = []
    for row in report.rows:
        for name, accuracies in row.members.items():
            lines.append(f"{row.method}, {name}: accuracy {', '.join(f'{value:.3f}' for value in accuracies)}")
        if row.missing:
            shown = "; ".join(row.missing[:4]) + (f"; and {len(row.missing) - 4} more" if len(row.missing) > 4 else "")
            lines.append(f"{row.method}: {len(row.missing)} stages are missing: {shown}")
    return lines


def terminal(report: Report, console: Console) -> None:
    """Print the report as a table."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{escape(report.recipe)}  ({escape(facts(report))})", box=box.SIMPLE, title_justify="left", title_style="bold")
    for i, name in enumerate(HEAD):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=i > 0)
    for row in report.rows:
        table.add_row(*(escape(cell) for cell in cells(row)))
    console.print(table)
    for line in (*_remarks(report), *legend(report)):
        console.print(line, style="dim", markup=False)


def markdown(report: Report) -> str:
    """The report as a markdown page."""
    lines = [f"# {_md(report.recipe)}", "", _md(facts(report)), "", _md_row(HEAD), _md_row(["---"] * len(HEAD))]
    lines += [_md_row([_md(cell) for cell in cells(row)]) for row in report.rows]
    lines += ["", *(f"- {_md(line)}" for line in (*_remarks(report), *legend(report))), ""]
    return "\n".join(lines)


def _md_row(row: Any) -> str:
    return "| " + " | ".join(row) + " |"


def _md(text: str) -> str:
    """Text that stays one cell and one line, whatever a name holds."""
    for found, safe in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("\r", " "), ("\n", " ")):
        text = text.replace(found, safe)
    return text


CSV_SIDES = ("floor", "transfer", "ceiling", "gain", "pgr")


def csv(report: Report) -> str:
    """One line a method: mean, low and high of each score. Empty where unknown."""
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    sides = [f"{side}{end}" for side in CSV_SIDES for end in ("", "_low", "_high")]
    writer.writerow(["recipe", "task", "weak", "strong", "method", *sides, "verdict", "agreement", "seeds", "n_test", "chance", "majority"])
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
    """A spreadsheet must not run what a name says: a leading =, +, - or @ in text is quoted."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return "'" + value
    return f"{value:.6f}" if isinstance(value, float) else value


def as_dict(report: Report) -> dict[str, Any]:
    """The report as plain JSON values."""
    rows = [
        {
            "method": row.method, "seeds": list(row.seeds), "verdict": row.verdict, "agreement": row.agreement,
            "per_seed_pgr": list(row.per_seed_pgr), "members": {name: list(values) for name, values in row.members.items()},
            "missing": list(row.missing), **{side: to_json(getattr(row, side)) for side in CSV_SIDES},
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
    return json_module.dumps(as_dict(report), indent=2) + "\n"
