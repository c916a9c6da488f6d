"""`w2s misfit` and the section of every report, on a finished store: each number worked out again from the files."""

# N rows, C classes

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from cluster.errors import BadInput
from cluster.store import Store
from tests.w2s.command import w2s
from tests.w2s.report.finished import RECIPE
from w2s import bridge
from w2s.commands.misfit import slope_of
from w2s.commands.report import make
from w2s.examples import hash_unit
from w2s.report import render
from w2s.stages import Labels, Rows

OUTCOMES = [list(by_seed.items()) for by_seed in RECIPE.outcomes.values()]
NAMES = [config.label for config in RECIPE.outcomes]
CLIP = 1e-6


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("recipe") / "toy.yaml"
    file.write_text(yaml.safe_dump(RECIPE.model_dump(mode="json", exclude_unset=True)))
    return str(file)


# --- from the files alone ----------------------------------------------------------------------------------------------


def truth(store: Store, split: str) -> dict[str, int]:
    rows = pq.read_table(store.path(Rows(RECIPE.task).key) / "rows.parquet").to_pylist()
    return {row["id"]: row["label"] for row in rows if row["split"] == split}


def probs(store: Store, labels: Labels) -> dict[str, list[float]]:
    return {row["id"]: row["probs"] for row in pq.read_table(store.path(labels.key) / "labels.parquet").to_pylist()}


def cooled(p: list[float], t: float) -> list[float]:
    """Probabilities at a temperature, clipped."""
    powers = [max(one, 1e-12) ** (1 / t) for one in p]
    inside = [min(max(one / sum(powers), CLIP), 1 - CLIP) for one in powers]
    return [one / sum(inside) for one in inside]


def temperature(table: dict[str, list[float]], labels: dict[str, int]) -> float:
    """The least log loss by ternary search on log T, and at the ends."""

    def loss(log_t: float) -> float:
        inverse, total = math.exp(-log_t), 0.0
        for one, p in table.items():
            logits = [inverse * math.log(max(v, 1e-12)) for v in p]
            top = max(logits)
            total += top + math.log(sum(math.exp(v - top) for v in logits)) - logits[labels[one]]
        return total

    low, high = math.log(0.01), math.log(100)
    ends = [low, high]
    for _ in range(60):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return math.exp(min([*ends, (low + high) / 2], key=loss))


def by_hand(store: Store, place: int) -> dict[str, float]:
    """Means over seeds and rows, from labels.parquet and rows.parquet."""
    test, train = truth(store, "test"), truth(store, "train")
    terms: dict[str, list[float]] = {"misfit": [], "gain": [], "weak_loss": [], "true_loss": []}
    temperatures = []
    for seed, outcome in OUTCOMES[place]:
        assert outcome.transfer is not None
        assert outcome.transfer.supervisor is not None
        student, weak = (probs(store, one) for one in (outcome.transfer.labels, outcome.transfer.supervisor))
        held = probs(store, outcome.transfer.supervisor.on(RECIPE.world(seed).part("val")))
        fold = {one: int(hash_unit("temperature", one) * 5) for one in held}
        for f in set(fold.values()):
            t = temperature({one: p for one, p in held.items() if fold[one] != f}, train)
            terms["weak_loss"] += [-math.log(cooled(p, t)[train[one]]) for one, p in held.items() if fold[one] == f]
        t = temperature(held, train)
        temperatures.append(t)
        for one, y in test.items():
            s, w = cooled(student[one], 1.0), cooled(weak[one], t)
            terms["misfit"].append(sum(a * math.log(a / b) for a, b in zip(s, w, strict=True)))
            terms["gain"].append(math.log(s[y] / w[y]))
            terms["true_loss"].append(-math.log(s[y]))
    return {name: sum(values) / len(values) for name, values in terms.items()} | {
        "temperature": sum(temperatures) / len(temperatures)
    }


# --- what is told ------------------------------------------------------------------------------------------------------


def test_every_number_is_the_files_own(recipe: str, finished: Store) -> None:
    told = w2s("misfit", recipe, "--store", finished.url, "--truth", "--json").json
    assert [line["name"] for line in told["lines"]] == NAMES
    for place, line in enumerate(told["lines"]):
        expected = by_hand(finished, place)
        assert line["seeds"] == [0, 1]
        assert line["temperature"] == pytest.approx(expected["temperature"], rel=1e-3)
        for name, found in (
            ("misfit", line["misfit"]), ("weak_loss", line["weak_loss"]), ("gain", line["oracle_truth"]["gain"]),
            ("true_loss", line["oracle_truth"]["loss"]),
        ):  # fmt: skip
            assert found["mean"] == pytest.approx(expected[name], rel=2e-3, abs=1e-6), name
            assert found["low"] <= found["mean"] <= found["high"]
        assert line["predicted_loss"]["mean"] == pytest.approx(line["weak_loss"]["mean"] - line["misfit"]["mean"])


def test_the_section_of_a_report_says_the_same_in_every_form(recipe: str, finished: Store) -> None:
    found = make(RECIPE, finished)
    table = w2s("report", recipe, "--store", finished.url).out
    assert "Gain predicted by misfit" in table
    assert "published gains are .25 to .75 of the misfit" in table
    for place, line in enumerate(found.misfits.lines):
        expected = by_hand(finished, place)
        assert line.gain.mean == pytest.approx(expected["misfit"], rel=2e-3, abs=1e-6)
        for text in (table, render.markdown(found), render.latex(found)):
            assert f"{line.gain.mean:z.4f} [{line.gain.low:z.4f}, {line.gain.high:z.4f}]" in text
            assert f"{line.truth.gain.mean:z.4f} [" in text
    records = list(csv.DictReader(io.StringIO(render.csv(found))))
    assert [float(one["predicted_gain"]) for one in records] == [
        pytest.approx(line.gain.mean, abs=1e-6) for line in found.misfits.lines
    ]
    assert json.loads(render.json(found))["misfit"]["lines"][0]["oracle_truth"]["gain"]["mean"] == pytest.approx(
        by_hand(finished, 0)["gain"], rel=2e-3, abs=1e-6
    )


def test_without_truth_there_is_none_in_it(recipe: str, finished: Store) -> None:
    plain = w2s("misfit", recipe, "--store", finished.url, "--json")
    assert plain.code == 0
    assert all(line["oracle_truth"] is None for line in plain.json["lines"])
    assert all(set(one["oracle"].values()) == {None} for one in plain.json["rankings"])
    text = w2s("misfit", recipe, "--store", finished.url).out
    assert "oracle" not in text
    assert "oracle" not in w2s("misfit", recipe, "--store", finished.url, "--format", "csv").out
    full = w2s("misfit", recipe, "--store", finished.url, "--truth").out
    assert full.startswith(text.splitlines()[0])
    assert "true gain (oracle)" in full
    assert "(oracle)" in full.split("regret")[0].splitlines()[-1], "the verdict is an oracle's too"


def test_a_slope_that_is_fitted_is_called_an_oracle_s(recipe: str, finished: Store) -> None:
    text = w2s("misfit", recipe, "--store", finished.url, "--slope", "fit").out
    assert "slope fitted on the truth of these very test rows: oracle" in text
    assert "predicted loss (oracle)" in text
    assert "true gain" not in text.replace("slack = true gain", "")
    half = w2s("misfit", recipe, "--store", finished.url, "--slope", "0.5", "--json").json
    assert half["lines"][0]["predicted_gain"]["mean"] == pytest.approx(0.5 * half["lines"][0]["misfit"]["mean"])


@pytest.mark.parametrize("form", ["table", "md", "csv", "json"])
@pytest.mark.parametrize("more", [(), ("--truth", "--slope", "fit")], ids=["blind", "truth"])
def test_every_form_names_every_pair(recipe: str, finished: Store, form: str, more: tuple[str, ...]) -> None:
    done = w2s("misfit", recipe, "--store", finished.url, "--format", form, *more)
    assert (done.code, done.err) == (0, "")
    assert all(name in done.out for name in NAMES)


def test_what_is_missing_is_named_with_the_command_that_makes_it(recipe: str, copy: Store) -> None:
    seed, outcome = OUTCOMES[1][1]
    assert outcome.transfer is not None
    assert outcome.transfer.supervisor is not None
    held = outcome.transfer.supervisor.on(RECIPE.world(seed).part("val"))
    copy.delete(outcome.transfer.labels.key)
    copy.delete(held.key)
    done = w2s("misfit", recipe, "--store", copy.url)
    assert done.code == 0
    assert bridge.name(outcome.transfer.labels) in done.out
    assert bridge.name(held) in done.out
    assert f"to do what is missing: w2s run {recipe} --store {copy.url}" in done.out
    told = w2s("misfit", recipe, "--store", copy.url, "--json").json
    assert told["lines"][1]["seeds"] == [0]
    assert told["finish"].startswith("w2s run")


@pytest.mark.parametrize("form", ["table", "md", "csv", "json"])
def test_of_an_empty_store_there_is_nothing_but_names(recipe: str, tmp_path: Path, form: str) -> None:
    done = w2s("misfit", recipe, "--store", tmp_path / "nothing", "--format", form, "--truth", "--slope", "fit")
    assert (done.code, done.err) == (0, "")
    assert all(name in done.out for name in NAMES)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "much", ""])
def test_a_slope_that_is_none_is_one_line(recipe: str, tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match="slope"):
        slope_of(text)
    done = w2s("misfit", recipe, "--store", tmp_path / "s", f"--slope={text}")
    assert done.code == 2
    assert done.err.count("\n") == 1


def test_a_student_nobody_watched_has_a_supervisor_without_a_loss(finished: Store, tmp_path: Path) -> None:
    data: Any = RECIPE.model_dump(mode="json", exclude_unset=True)
    data["strong"]["evaluate"] = "never"
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump(data))
    store = str(tmp_path / "store")
    assert (
        w2s(
            "run", file, "seeds=[0]", "baselines=[]", "method=naive", "--store", store, "--pool", "inline", "--quiet"
        ).code
        == 0
    )
    done = w2s("misfit", file, "seeds=[0]", "baselines=[]", "method=naive", "--store", store)
    assert "asked about no held-out rows: set strong.evaluate: epoch" in done.out
    assert "to do what is missing" not in done.out


def test_answers_that_are_written_have_no_misfit(tmp_path: Path) -> None:
    from w2s.commands.misfit import make as misfits
    from w2s.load import load

    with pytest.raises(BadInput, match="written answers"):
        misfits(load("burns/chess_moves"), Store.open(tmp_path / "s", create=False))
