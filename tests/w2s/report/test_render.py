"""A report as text: golden files, nothing cut off, nothing a name can break.

The golden files lie in tests/golden/report; `W2S_UPDATE_GOLDEN=1 python -m pytest tests/w2s/report` writes them anew.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from w2s.metrics import Interval
from w2s.report import render
from w2s.report.summary import Report, Row

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "report"

NAIVE = Row(
    method="naive",
    seeds=(0, 1, 2),
    floor=Interval(0.601, 0.562, 0.6401),
    transfer=Interval(0.672, 0.6334, 0.7105),
    ceiling=Interval(0.8125, 0.78, 0.844),
    gain=Interval(0.071, 0.0401, 0.102),
    pgr=Interval(0.3357, 0.1911, 0.4702),
    verdict="",
    per_seed_pgr=(0.31, None, 0.36),
    agreement=0.8431,
)
UNBOUNDED = replace(NAIVE, method="confidence alpha=0.5 (oracle)", pgr=Interval(0.9, 0.2, None))
NO_GAP = replace(
    NAIVE, method="naive hard=True", pgr=None, verdict="no gap to recover", members={"member 0": (0.59, 0.6)}
)
INCOMPLETE = Row(
    method="naive members=4",
    seeds=(),
    floor=Interval(0.601, 0.562, 0.6401),
    transfer=None,
    ceiling=None,
    gain=None,
    pgr=None,
    verdict="incomplete",
    per_seed_pgr=(),
    agreement=None,
    missing=tuple(f"toy/grade test by bert s{i}" for i in range(6)),
)
REPORT = Report("quick", "toy", "minilm", "bert-large", 0.5, 0.52, 1200, 0.95, (NAIVE, UNBOUNDED, NO_GAP, INCOMPLETE))
NASTY = 'a|b\r\n<img src=x> `c` *d* [e](f) \\ & "g", \u2028 :smile: [bold]h'


def named(name: str) -> Report:
    return replace(REPORT, recipe=name, rows=(replace(NAIVE, method=name, missing=(name,), members={name: (0.5,)}),))


def printed(report: Report, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    render.terminal(report, console)
    return console.export_text()


@pytest.mark.parametrize(
    "suffix, form", [("md", render.markdown), ("csv", render.csv), ("json", render.json)], ids=["md", "csv", "json"]
)
def test_the_text_is_the_golden_one(suffix: str, form: Callable[[Report], str]) -> None:
    golden, text = GOLDEN / f"report.{suffix}", form(REPORT)
    if os.environ.get("W2S_UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8", newline="")
    assert text == golden.read_text(encoding="utf-8")


# --- terminal -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120, 160, 240])
def test_a_terminal_of_any_usual_width_shows_every_cell_whole(width: int) -> None:
    lines = printed(REPORT, width).splitlines()
    for row in REPORT.rows:
        for cell in render.cells(row):
            assert any(cell in line for line in lines), f"{cell} is not on a line of width {width}"


def test_a_very_narrow_terminal_still_loses_no_number() -> None:
    text = printed(REPORT, 30)
    assert "…" not in text
    for number in re.findall(r"\d+\.\d+", " ".join(cell for row in REPORT.rows for cell in render.cells(row)[1:])):
        assert number in text


def test_a_wide_terminal_has_one_line_a_method() -> None:
    lines = [line for line in printed(REPORT, 160).splitlines() if line.strip().startswith("naive ")]
    assert sum("0.601 [0.562, 0.640]" in line for line in lines) == 3


def test_names_are_printed_as_they_are() -> None:
    for width in (80, 200):
        text = printed(named("[bold]x[/bold] :smile: [/]"), width)
        assert text.count("[bold]x[/bold] :smile: [/]") >= 3


def test_facts_legend_and_what_is_missing_stand_beside_the_table() -> None:
    for text in (printed(REPORT, 400), render.markdown(REPORT)):
        for part in ("chance 0.500", "majority class 0.520", "test rows 1,200", "95%", "no gap to recover", "0, 1, 2"):
            assert part in text
        assert "naive members=4: 6 stages are missing: toy/grade test by bert s0;" in text
        assert "and 2 more" in text
        assert "naive hard=True, member 0: accuracy 0.590, 0.600" in text
        assert all(line in text for line in render.legend(REPORT))


def test_the_legend_does_not_speak_of_seeds_where_there_is_one() -> None:
    assert "test rows and seeds" in render.legend(REPORT)[1]
    assert "test rows (one seed)" in render.legend(replace(REPORT, rows=(replace(NAIVE, seeds=(0,)),)))[1]


def test_unknown_is_a_dash_and_never_a_zero() -> None:
    assert render.cells(INCOMPLETE) == ("naive members=4", "0.601 [0.562, 0.640]", "-", "-", "-", "-", "-")
    bare = replace(REPORT, n_test=None, majority=None, rows=())
    assert "test rows -" in render.facts(bare)
    assert "majority class -" in render.facts(bare)


def test_an_unbounded_end_is_infinite() -> None:
    assert render.cells(UNBOUNDED)[4] == "0.90 [0.20, inf]"
    assert render.cells(replace(NAIVE, pgr=Interval(0.1, None, 0.4)))[4] == "0.10 [-inf, 0.40]"


# --- markdown -----------------------------------------------------------------------------------------------------


def test_a_name_cannot_break_a_markdown_table() -> None:
    lines = render.markdown(named(NASTY)).split("\n")
    table = [line for line in lines if line.startswith("| ")]
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in table]
    assert bars == [8, 8, 8]  # head, rule, one method
    text = "\n".join(lines)
    assert len(text.splitlines()) == len(lines) - 1  # no other kind of line break either
    for alive in ("<img", " `", " *d", "[e]("):
        assert alive not in text


# --- csv ----------------------------------------------------------------------------------------------------------


def records(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render.csv(report), newline="")))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n@x"])
def test_a_spreadsheet_runs_nothing(name: str) -> None:
    record = records(named(name))[0]
    assert record["recipe"].startswith("'")
    assert record["method"].startswith("'")


def test_negative_numbers_stay_numbers() -> None:
    record = records(replace(REPORT, rows=(replace(NAIVE, gain=Interval(-0.1, -0.2, 0.0)),)))[0]
    assert (float(record["gain"]), float(record["gain_low"]), float(record["gain_high"])) == (-0.1, -0.2, 0.0)


def test_a_csv_line_is_a_method_whatever_its_name() -> None:
    text = render.csv(named(NASTY))
    assert len(text.splitlines()) == 2
    assert records(named(NASTY))[0]["method"].startswith("a|b <img src=x>")


def test_csv_is_empty_where_nothing_is_known() -> None:
    record = records(REPORT)[3]
    assert {name for name, value in record.items() if value == ""} == {
        *(f"{side}{end}" for side in ("transfer", "ceiling", "gain", "pgr") for end in ("", "_low", "_high")),
        "agreement",
        "seeds",
    }
    assert record["verdict"] == "incomplete"


# --- json ---------------------------------------------------------------------------------------------------------


def from_dict(found: dict[str, Any]) -> Report:
    def ends(value: dict[str, float] | None) -> Interval | None:
        return None if value is None else Interval(**value)

    sides = ("floor", "transfer", "ceiling", "gain", "pgr")
    rows = []
    for row in found.pop("rows"):
        lists = {name: tuple(row.pop(name)) for name in ("seeds", "missing")}
        lists["per_seed_pgr"] = tuple(row.pop("per_seed_pgr"))
        members = {name: tuple(values) for name, values in row.pop("members").items()}
        rows.append(Row(**lists, members=members, **{side: ends(row.pop(side)) for side in sides}, **row))
    assert found.pop("schema") == render.SCHEMA
    return Report(**found, rows=tuple(rows))


@pytest.mark.parametrize("report", [REPORT, named(NASTY), replace(REPORT, rows=(), n_test=None, majority=None)])
def test_a_report_comes_back_whole_from_its_json(report: Report) -> None:
    assert from_dict(json.loads(render.json(report))) == report


def test_json_never_holds_what_json_has_not() -> None:
    with pytest.raises(ValueError):
        render.json(replace(REPORT, chance=float("nan")))
