"""A method that promises a floor or a ceiling alone: its report shows that number, and a dash for what was never there."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.w2s.report.finished import RECIPE, toy
from w2s import bridge
from w2s.commands.report import Asked, make, report
from w2s.recipe import Recipe
from w2s.report import render
from w2s.report.sheets import sheets
from w2s.report.summary import Report
from w2s.stages import Grade

KINDS = ("floor", "ceiling")
SIDES = ("floor", "transfer", "ceiling")
EACH = pytest.mark.parametrize("kind", KINDS)


def alone(kind: str, **changes: Any) -> Recipe:
    return toy(method={"kind": kind}, **{"baselines": [], **changes})


@pytest.fixture
def store(copy: Store) -> Store:
    """With the grade of the ceiling alone, which knows no supervisor; its model and its labels are there."""
    with copy.leases() as leases:
        recipe = alone("ceiling")
        ran = Scheduler(copy, InlinePool(copy.url), leases, lambda event: None)
        assert ran.run(bridge.jobs(recipe), [stage.key for stage in recipe.goals()]).exit_code == 0
    return copy


def report_of(store: Store, recipe: Recipe, **asked: bool) -> Report:
    found: Report = make(recipe, store, Asked(**asked))
    return found


def text_of(store: Store, recipe: Recipe, folder: Path, form: str, capsys: pytest.CaptureFixture[str]) -> str:
    file = folder / "toy.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_unset=True)))
    report([str(file)], store.url, form)
    return capsys.readouterr().out


@EACH
@pytest.mark.parametrize("fixed", [False, True], ids=["own", "fixed"])
def test_the_one_number_is_that_of_the_side_and_there_is_no_other(store: Store, kind: str, fixed: bool) -> None:
    (row,) = report_of(store, alone(kind), fixed=fixed).rows
    among_others = report_of(store, RECIPE).rows[1]
    assert getattr(row, kind).mean == getattr(among_others, kind).mean
    assert [getattr(row, side) for side in (*SIDES, "gain", "pgr") if side != kind] == [None] * 4
    assert (row.seeds, row.verdict, row.per_seed_pgr, row.agreement) == ((0, 1), f"{kind} alone", (), None)
    assert (row.missing, row.fixed) == ((), None)


@EACH
def test_every_form_shows_it_once(store: Store, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = alone(kind)
    number = render.cells(report_of(store, recipe).rows[0])[1 + SIDES.index(kind)]
    expected = [kind, *(number if side == kind else "-" for side in SIDES), "-", "-", "0, 1"]
    for form in ("table", "md", "latex"):
        text = text_of(store, recipe, tmp_path, form, capsys)
        assert text.count(number) == 1, text
        (line,) = [line for line in text.splitlines() if number in line]
        if form == "table":
            assert line.split() == " ".join(expected).split()
        else:
            cells = line.strip("|\\ ").split(" | " if form == "md" else " & ")
            assert [cell.strip() for cell in cells] == expected
        assert "gap" not in text
        assert "so there is no PGR" in text
    (record,) = csv.DictReader(io.StringIO(text_of(store, recipe, tmp_path, "csv", capsys)))
    empty = {f"{side}{end}" for side in (*SIDES, "gain", "pgr") if side != kind for end in ("", "_low", "_high")}
    assert {name for name, value in record.items() if value == ""} == {*empty, "agreement"}
    assert record["verdict"] == f"{kind} alone"
    (row,) = json.loads(text_of(store, recipe, tmp_path, "json", capsys))["rows"]
    assert [side for side in (*SIDES, "gain", "pgr") if row[side] is not None] == [kind]


@EACH
def test_it_stands_beside_methods_with_a_student(store: Store, kind: str) -> None:
    """The other method's numbers and the legend are what they are without it."""
    found = report_of(store, alone(kind, baselines=[{"kind": "naive"}]))
    assert found.rows[1] == report_of(store, RECIPE).rows[1]
    assert render.cells(found.rows[0])[4] == "-"
    assert "PGR = (transfer - floor) / (ceiling - floor)" in render.markdown(found)


@EACH
def test_diagnostics_and_curves_have_no_empty_tables(store: Store, kind: str) -> None:
    found = report_of(store, alone(kind), diagnostics=True, curves=True)
    main, labellers, curves = sheets(found)
    assert (main.title, labellers.title, curves.title) == ("", "Labellers", "Learning curves")
    assert [row[1] for row in labellers.rows] == [kind]
    assert (curves.rows, curves.notes) == ((), ("no method here has a student",))
    for form in (render.markdown, render.latex, render.csv, render.json):
        assert form(found)


@EACH
def test_a_grade_that_is_not_there_is_named_once(store: Store, kind: str) -> None:
    recipe = alone(kind)
    gone = recipe.outcomes[recipe.method][1].sides()[kind]
    assert isinstance(gone, Grade)
    assert recipe.outcomes[recipe.method][1].stages() == (gone,)
    store.delete(gone.key)
    (row,) = report_of(store, recipe).rows
    assert (row.seeds, row.missing, row.verdict) == ((0,), (bridge.name(gone),), f"{kind} alone")
    store.delete(recipe.outcomes[recipe.method][0].sides()[kind].key)
    (row,) = report_of(store, recipe).rows
    assert (row.seeds, len(row.missing), row.verdict) == ((), 2, "incomplete")
    assert render.cells(row)[1:] == ("-",) * 6
