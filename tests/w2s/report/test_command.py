"""What can be asked of a report, together and one by one, on a finished store."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import yaml

from cluster.store import Store
from tests.w2s.report.finished import RECIPE
from w2s.commands.report import Asked, make, report

EVERYTHING = Asked(fixed=True, diagnostics=True, curves=True)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("recipe") / "toy.yaml"
    file.write_text(yaml.safe_dump(RECIPE.model_dump(mode="json", exclude_unset=True)))
    return str(file)


def told(recipe: str, store: Store, form: str, asked: Asked | None, capsys: pytest.CaptureFixture[str]) -> str:
    report([recipe], store.url, form, asked)
    return capsys.readouterr().out


def test_nothing_is_there_that_nobody_asked_for(
    recipe: str, finished: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = json.loads(told(recipe, finished, "json", None, capsys))
    assert {"diagnostics", "curves"} & set(plain) == set()
    assert all(row["fixed"] is None for row in plain["rows"])
    assert plain == json.loads(told(recipe, finished, "json", Asked(), capsys))


def test_everything_at_once_says_what_each_says_alone(
    recipe: str, finished: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = json.loads(told(recipe, finished, "json", EVERYTHING, capsys))
    for name, asked in (("diagnostics", Asked(diagnostics=True)), ("curves", Asked(curves=True))):
        assert json.loads(told(recipe, finished, "json", asked, capsys))[name] == whole[name]
    alone = json.loads(told(recipe, finished, "json", Asked(fixed=True), capsys))
    assert alone["rows"] == whole["rows"]
    assert all(row["fixed"]["floor"]["n_seeds"] == 2 for row in whole["rows"])


@pytest.mark.parametrize("form", ["table", "md", "latex"])
def test_each_form_has_each_table(recipe: str, finished: Store, capsys: pytest.CaptureFixture[str], form: str) -> None:
    text = told(recipe, finished, form, EVERYTHING, capsys)
    for title in (
        "Agreement with the supervisor",
        "by cross-entropy",
        "by Brier score",
        "Labellers",
        "Learning curves",
    ):
        assert title in text
    assert "held against a fixed floor" in text
    assert "member 1" in text


def test_csv_has_a_line_a_method_with_its_diagnostics_or_a_line_a_look(
    recipe: str, finished: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = list(csv.DictReader(io.StringIO(told(recipe, finished, "csv", Asked(diagnostics=True), capsys))))
    value = make(RECIPE, finished, EVERYTHING)
    assert [float(line["misfit_reverse"]) for line in lines] == [
        pytest.approx(one.misfit_reverse.mean, abs=1e-6) for one in value.diagnoses
    ]
    looks = list(csv.DictReader(io.StringIO(told(recipe, finished, "csv", Asked(curves=True), capsys))))
    assert len(looks) == sum(len(curve.points) for curve in value.curves)
    assert sum(int(look["selected"]) for look in looks) == len(value.curves) == 4


def test_of_an_empty_store_everything_is_named_and_nothing_made(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(tmp_path / "nothing", create=False)
    for form in ("table", "md", "csv", "json", "latex"):
        text = told(recipe, store, form, EVERYTHING, capsys)
        if form not in ("csv", "json"):
            assert "stages are missing" in text
            assert "left out here" in text
            assert "not trained yet" in text
    assert not (tmp_path / "nothing").exists()
