"""A report for programs: CSV, a line a method (or a line a look, of learning curves), and JSON with all there is."""

from __future__ import annotations

import csv as csv_module
import dataclasses
import io
import json as json_module
from collections.abc import Iterable, Sequence
from typing import Any

from w2s.metrics import Interval, to_json
from w2s.report import misfit_sheets, standings
from w2s.report.diagnostics import CALIBRATED, TERMS, Diagnosis
from w2s.report.summary import Report, Row

SCHEMA = 1
SIDES = ("floor", "transfer", "ceiling", "gain", "pgr")
DIAGNOSED = tuple(name for name in TERMS if name != "agreement")  # which has a column of its own already
AFTER = tuple(f"calibrated_{name}" for name in CALIBRATED)  # a supervisor at its temperature
ABOUT = ("recipe", "task", "weak", "strong")
CURVE_HEAD = (
    *ABOUT, "method", "student", "seed", "select", "step", "agreement", "accuracy", "loss", "selected",
)  # fmt: skip


def csv(*reports: Report) -> str:
    """One line a method: mean, low and high of each score. Empty: unknown or, beside a mean, unbounded.

    With diagnostics, their columns follow, and those of a ranking where there is one and of misfits. With curves: one line a look
    instead. Several reports follow each other under one head; all of them have diagnostics, or curves, or none has.
    """
    if any(report.curves is not None for report in reports):
        return _text(CURVE_HEAD, (look for report in reports for look in _looks(report)))
    has_more = any(report.diagnoses is not None for report in reports)
    ranked = standings.COLUMNS if any(report.ranking is not None for report in reports) else ()
    diagnosed = (*_columns(DIAGNOSED), "temperature", *_columns(AFTER)) if has_more else ()
    misfit = misfit_sheets.BRIEF if any(misfit_sheets.shown(report.misfits) for report in reports) else ()
    head = (
        *ABOUT, "method", *_columns(SIDES), "verdict", "agreement", "seeds", "n_test", "chance", "majority",
        *diagnosed, *ranked, *misfit,
    )  # fmt: skip
    return _text(
        head, (line for report in reports for line in _lines(report, ranked=bool(ranked), misfit=bool(misfit)))
    )


def _lines(report: Report, *, ranked: bool, misfit: bool) -> Iterable[list[object]]:
    diagnoses: Sequence[Diagnosis | None] = report.diagnoses or [None] * len(report.rows)
    places = {} if report.ranking is None else {one.method: one for one in report.ranking.standings}
    gains = {} if report.misfits is None else {one.name: one for one in report.misfits.lines if not one.group}
    for row, found in zip(report.rows, diagnoses, strict=True):
        more = standings.columns(places.get(row.method)) if ranked else []
        gain = misfit_sheets.brief(gains.get(row.method)) if misfit else []
        yield [*_line(report, row, found), *more, *gain]


def _line(report: Report, row: Row, found: Diagnosis | None) -> list[object]:
    values = [value for side in SIDES for value in _ends(getattr(row, side))]
    more = [] if found is None else [*_terms(found, DIAGNOSED), found.temperature, *_terms(found, AFTER)]
    seeds = " ".join(map(str, row.seeds))
    end = [row.verdict, row.agreement, seeds, report.n_test, report.chance, report.majority]
    return [*_about(report), row.method, *values, *end, *more]


def _terms(found: Diagnosis, names: Sequence[str]) -> list[float | None]:
    return [value for name in names for value in _ends(getattr(found, name))]


def _looks(report: Report) -> Iterable[list[object]]:
    for curve in report.curves or ():
        for point in curve.points:
            kept = int(point.step == curve.selected_step)
            look = [point.step, point.agreement, point.accuracy, point.loss, kept]
            yield [*_about(report), curve.method, curve.student, curve.seed, curve.select, *look]


def _about(report: Report) -> list[object]:
    return [getattr(report, name) for name in ABOUT]


def _columns(names: Sequence[str]) -> list[str]:
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def _ends(value: Interval | None) -> list[float | None]:
    return [None, None, None] if value is None else [value.mean, value.low, value.high]


def _text(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in line] for line in lines)
    return out.getvalue()


def _cell(value: object) -> object:
    """One line, and nothing a spreadsheet would run: text with =, +, - or @ in front gets a quote before it."""
    if isinstance(value, str):
        text = " ".join(value.splitlines())
        return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text
    return f"{value:.6f}" if isinstance(value, float) else value


def as_dict(report: Report) -> dict[str, Any]:
    """The report as plain JSON values; nothing of it is left out. Diagnostics and curves are there where asked for."""
    rows = [
        {
            "method": row.method, "seeds": list(row.seeds), "verdict": row.verdict, "agreement": row.agreement,
            "per_seed_pgr": list(row.per_seed_pgr), "missing": list(row.missing),
            "members": {name: list(values) for name, values in row.members.items()},
            "member_means": {name: to_json(value) for name, value in row.member_means.items()},
            "fixed": None if row.fixed is None else dataclasses.asdict(row.fixed),
            **{side: to_json(getattr(row, side)) for side in SIDES},
        }
        for row in report.rows
    ]  # fmt: skip
    head = {
        name: getattr(report, name)
        for name in ("recipe", "task", "weak", "strong", "chance", "majority", "n_test", "level")
    }
    found: dict[str, Any] = {"schema": SCHEMA, **head, "rows": rows}
    if report.diagnoses is not None:
        found["diagnostics"] = [dataclasses.asdict(one) for one in report.diagnoses]
    if report.crowds is not None:
        found["crowds"] = [dataclasses.asdict(one) for one in report.crowds]
    if report.curves is not None:
        found["curves"] = [dataclasses.asdict(one) for one in report.curves]
    if report.ranking is not None:
        found["ranking"] = dataclasses.asdict(report.ranking)
    if report.misfits is not None:
        found["misfit"] = misfit_sheets.as_dict(report.misfits)
    if report.finish is not None:
        found["finish"] = report.finish
    return found


def json(*reports: Report) -> str:
    """The report as one JSON document; of several, a list of them under `reports`."""
    found = as_dict(reports[0]) if len(reports) == 1 else {"schema": SCHEMA, "reports": list(map(as_dict, reports))}
    return json_module.dumps(found, indent=2, allow_nan=False) + "\n"
