"""Misfits as text: golden files of hand-made ones, one line a pair where reports are piped, and the truth never unmarked.

The golden files lie in tests/golden/report; `W2S_UPDATE_GOLDEN=1 python -m pytest tests/w2s/report/test_misfit_sheets.py` writes them.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from tests.w2s.command import check_golden
from tests.w2s.report.test_render import NAIVE, REPORT
from w2s.commands.misfit import unseen
from w2s.metrics import Interval
from w2s.report import misfit_sheets, render
from w2s.report.misfit import Foretold, Misfits, Truth
from w2s.report.misfit_rank import Place, Ranking


def around(mean: float, width: float = 0.01) -> Interval:
    return Interval(mean, mean - width, mean + width)


def pair(
    name: str, loss: float, misfit: float, place: Place | None, group: str = "", chosen: int | None = None
) -> Foretold:
    """A pair whose true gain is half its misfit."""
    truth = Truth(around(misfit / 2), around(-misfit / 2), around(loss - misfit / 2))
    return Foretold(
        name, group, (0, 1, 2), (), chosen, 1.3, around(misfit), around(misfit), None, around(loss), around(loss - misfit),
        place, truth,
    )  # fmt: skip


CHOOSE = "choose_weak members=3"
FOUND = Misfits(
    0.95, Interval(1.0, 1.0, 1.0), False, 1200,
    (
        pair("naive", 0.60, 0.08, Place(2, 1, 2, 2, 0.3, 2)),
        pair(CHOOSE, 0.52, 0.05, Place(1, 1, 2, 2, 0.7, 1)),
        replace(pair("prompted", 0.5, 0.2, None), weak_loss=None, loss=None, temperature=None),
        Foretold("confidence", "", (), ("toy/predict test by bert", "toy/predict val by bert")),
        pair("0: minilm, layer 0", 0.60, 0.08, Place(2, 2, 3, 3, 0.0, 3), CHOOSE, 0),
        pair("1: minilm, layer 1", 0.52, 0.05, Place(1, 1, 1, 3, 1.0, 1), CHOOSE, 3),
        pair("2: minilm, layer 2", 0.69, 0.12, Place(3, 2, 3, 3, 0.0, 2), CHOOSE, 0),
    ),
    (
        Ranking("", ("naive", CHOOSE), CHOOSE, CHOOSE, None, Interval(0.0, 0.0, 0.0)),
        Ranking(
            CHOOSE, ("0: minilm, layer 0", "1: minilm, layer 1", "2: minilm, layer 2"), "1: minilm, layer 1",
            "1: minilm, layer 1", Interval(0.5, -0.5, 1.0), Interval(0.0, 0.0, 0.01),
        ),
    ),
)  # fmt: skip
FITTED = replace(FOUND, slope=Interval(0.41, 0.2, 0.6), fitted=True)
REPORTED = replace(REPORT, rows=(NAIVE, replace(NAIVE, method=CHOOSE)), misfits=FOUND)


def printed(found: Misfits, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    render.print_sheets("toy", misfit_sheets.sheets(found), console)
    return console.export_text()


def test_the_section_of_a_report_is_the_golden_one() -> None:
    check_golden("report/misfit_section.md", render.markdown(REPORTED))
    check_golden("report/misfit_section.csv", render.csv(REPORTED))


def test_the_tables_of_the_command_are_the_golden_ones() -> None:
    check_golden("report/misfit.md", render.markdown_sheets("Misfit", "toy", misfit_sheets.sheets(FOUND)))
    check_golden("report/misfit.csv", misfit_sheets.csv(FOUND))


def test_the_json_holds_everything_and_marks_the_truth() -> None:
    told = json.loads(json.dumps(misfit_sheets.as_dict(FOUND), allow_nan=False))
    assert len(told["lines"]) == len(FOUND.lines)
    assert told["lines"][0]["oracle_truth"]["gain"] == {"mean": 0.04, "low": 0.03, "high": 0.05}
    assert told["lines"][0]["predicted_gain"]["mean"] == 0.08
    assert told["rankings"][1]["oracle"]["spearman"]["mean"] == 0.5
    assert json.loads(render.json(REPORTED))["misfit"] == told


@pytest.mark.parametrize("width", [60, 160])
def test_no_terminal_loses_a_cell(width: int) -> None:
    text = printed(FOUND, width)
    for sheet in misfit_sheets.sheets(FOUND):
        for row in sheet.rows:
            assert all(cell in text for cell in row)


def test_a_pair_is_one_line_where_reports_are_piped() -> None:
    lines = printed(FOUND, 160).splitlines()
    assert any("naive" in line and line.count("[") == 4 for line in lines)
    assert any("1: minilm, layer 1" in line and "3 of 3" in line and line.count("[") == 4 for line in lines)


def test_whatever_the_truth_told_is_called_an_oracle_s() -> None:
    for found in (FOUND, FITTED):
        for sheet in misfit_sheets.sheets(found):
            if "true gain" in " ".join(sheet.head):
                assert "(oracle)" in sheet.title
                assert all("(oracle)" in name for name in sheet.head[1:])
    fitted = misfit_sheets.sheets(unseen(FITTED))
    assert [sheet.title for sheet in fitted] == ["Methods", f"Candidates of {CHOOSE}"]
    assert all("predicted loss (oracle)" in sheet.head and "predicted gain (oracle)" in sheet.head for sheet in fitted)
    assert not any("oracle" in " ".join((*sheet.head, *sheet.notes)) for sheet in misfit_sheets.sheets(unseen(FOUND)))
    assert "oracle" not in misfit_sheets.csv(unseen(FOUND))


def test_what_is_not_known_is_a_dash_and_said_below() -> None:
    methods = misfit_sheets.sheets(FOUND)[0]
    rows = {row[0]: row[1:] for row in methods.rows}
    assert set(rows["confidence"][:5]) == {"-"}
    assert rows["prompted"][0] == "-"
    assert (
        "confidence: left out here, as they are not there: toy/predict test by bert; toy/predict val by bert"
        in methods.notes
    )
    assert any(note.startswith("prompted: no weak loss") for note in methods.notes)


def test_the_csv_has_a_line_a_pair() -> None:
    lines = list(csv.DictReader(io.StringIO(misfit_sheets.csv(FOUND))))
    assert [line["name"] for line in lines] == [one.name for one in FOUND.lines]
    assert lines[5] | {"chosen": "3", "rank": "1", "oracle_true_rank": "1"} == lines[5]
    assert lines[3]["misfit"] == ""


def test_a_report_of_which_nothing_is_known_has_no_section() -> None:
    nothing = replace(FOUND, lines=FOUND.lines[3:4], rankings=())
    assert misfit_sheets.section(nothing) == []
    assert "predicted_gain" not in render.csv(replace(REPORTED, misfits=nothing))


def test_the_legend_says_that_it_is_a_signal_and_no_promise() -> None:
    for notes in (misfit_sheets.section(FOUND)[0].notes, misfit_sheets.sheets(FOUND)[0].notes):
        assert any("on real data it fails: published gains are .25 to .75 of the misfit" in note for note in notes)
