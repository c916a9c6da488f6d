"""Every number on the page is one of the files': worked out again from receipts, labels, rows and curves alone.

On real results of the toy recipe (two methods, two seeds), and on made-up ones in which more goes wrong.
"""

# N rows, C classes

from __future__ import annotations

import json
import math
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from cluster.store import Store
from tests.w2s.pages import Page, Table, checked
from tests.w2s.report.finished import RECIPE
from tests.w2s.report.page.made_up import fill
from w2s.load import read
from w2s.metrics import fit_temperature
from w2s.report.page.write import render
from w2s.report.wanted import LastRun, Wanted
from w2s.stages import Combine, Labels, Outcome, Rows, walk

SIDES = ("floor", "transfer", "ceiling")
CLIP = 1e-6


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Wanted:
    file = tmp_path_factory.mktemp("recipe") / "toy.yaml"
    file.write_text(yaml.safe_dump(RECIPE.model_dump(mode="json", exclude_unset=True)))
    return Wanted(str(file), (), read(str(file)), LastRun(3, 4))


@pytest.fixture(scope="module", params=["real", "made up"])
def store(
    request: pytest.FixtureRequest, finished: Store, asked: Wanted, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    if request.param == "real":
        return finished
    made = Store.open(tmp_path_factory.mktemp("made") / "store")
    fill(made, asked)
    return made


@pytest.fixture(scope="module")
def text(asked: Wanted, store: Store) -> str:
    return render([asked], store, "store")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return checked(text)


# --- from the files alone --------------------------------------------------------------------------------------------


def receipt(store: Store, key: str) -> Any:
    return json.loads((store.path(key) / "receipt.json").read_text())


def truth(store: Store) -> dict[str, int]:
    rows = pq.read_table(store.path(Rows(RECIPE.task).key) / "rows.parquet").to_pylist()
    return {row["id"]: row["label"] for row in rows if row["split"] == "test"}


def probs(store: Store, labels: Labels) -> dict[str, list[float]]:
    return {row["id"]: row["probs"] for row in pq.read_table(store.path(labels.key) / "labels.parquet").to_pylist()}


def choices(store: Store, labels: Labels) -> dict[str, int]:
    return {one: row.index(max(row)) for one, row in probs(store, labels).items()}


def accuracy(store: Store, labels: Labels) -> float:
    chosen, true = choices(store, labels), truth(store)
    return mean([chosen[one] == label for one, label in true.items()])


def mean(values: Any) -> float:
    found = list(values)
    return sum(found) / len(found)


def starts(cell: str, value: float, digits: int = 3) -> bool:
    """`0.675 [0.642, 0.706]` begins with the value, and the interval is around it."""
    known = re.fullmatch(r"(-?[\d.]+) \[(-?[\d.]+|-inf), (-?[\d.]+|inf)\]", cell)
    assert known, cell
    low, high = float(known[2]), float(known[3])
    return known[1] == f"{value:z.{digits}f}" and low <= float(known[1]) <= high


METHODS = [(config.label, list(by_seed.values())) for config, by_seed in RECIPE.outcomes.items()]
EACH = pytest.mark.parametrize("method, outcomes", METHODS, ids=[name for name, _ in METHODS])


def sides(store: Store, outcomes: list[Outcome]) -> dict[str, float]:
    return {side: mean(accuracy(store, outcome.sides()[side].labels) for outcome in outcomes) for side in SIDES}


# --- what the page says ----------------------------------------------------------------------------------------------


def results(page: Page) -> Table:
    return page.table("Test accuracy and PGR of each method, with bootstrap intervals")


@EACH
def test_results(page: Page, store: Store, method: str, outcomes: list[Outcome]) -> None:
    line = results(page).where(method=method)
    known = sides(store, outcomes)
    assert all(starts(line[side], known[side]) for side in SIDES)
    gap, gain = known["ceiling"] - known["floor"], known["transfer"] - known["floor"]
    assert line["PGR"] == "no gap to recover" or starts(line["PGR"], gain / gap, 2)
    agreements = [
        receipt(store, outcome.transfer.key)["metrics"]["agreement"] for outcome in outcomes if outcome.transfer
    ]
    assert line["agreement"] == f"{mean(agreements):.3f}"
    assert line["seeds"] == "0, 1"
    assert all(
        starts(page.table("Accuracy on the test rows").where(method=method)[side], known[side]) for side in SIDES
    )
    if "gap" not in line["PGR"]:
        assert page.table("PGR by method").where(method=method)["PGR"] == line["PGR"]
        assert starts(page.table("PGR by method").where(method=method)["transfer - floor"], gain)


def test_what_the_numbers_are_over(page: Page, store: Store) -> None:
    line = page.table("What every number above is over").where(recipe="toy")
    labels = list(truth(store).values())
    assert line["test rows"] == str(len(labels))
    assert line["majority class"] == f"{max(labels.count(0), labels.count(1)) / len(labels):.3f}"
    assert line["chance"] == f"{RECIPE.task.chance:.3f}"
    assert line["seeds"] == "0, 1"


@EACH
def test_agreement_and_misfit(page: Page, store: Store, method: str, outcomes: list[Outcome]) -> None:
    true = truth(store)
    same: dict[str, list[bool]] = {"all rows": [], "supervisor right": [], "supervisor wrong": [], "right apart": []}
    kl, gain, temperatures = [], [], []
    for seed, outcome in zip(RECIPE.seeds, outcomes, strict=True):
        assert outcome.transfer is not None
        assert outcome.transfer.supervisor is not None
        student, weak = (probs(store, labels) for labels in (outcome.transfer.labels, outcome.transfer.supervisor))
        t = temperature(store, outcome.transfer.supervisor, seed)
        temperatures.append(t)
        for one, label in true.items():
            powers = [max(p, 1e-12) ** (1 / t) for p in weak[one]]
            cooled = [p / sum(powers) for p in powers]
            s, w = ([min(max(p, CLIP), 1 - CLIP) for p in side] for side in (student[one], cooled))
            s, w = ([p / sum(side) for p in side] for side in (s, w))
            own, its = s.index(max(s)), w.index(max(w))
            same["all rows"].append(own == its)
            same["supervisor right" if its == label else "supervisor wrong"].append(own == its)
            if own != its:
                same["right apart"].append(own == label)
            kl.append(sum(p * math.log(p / q) for p, q in zip(s, w, strict=True)))
            gain.append(math.log(s[label]) - math.log(w[label]))
    line = page.table("Agreement of student and supervisor").where(method=method)
    same["student right where they differ"] = same.pop("right apart")
    for name, values in same.items():
        assert starts(line[name], mean(values)) if values else line[name] == "-"
    line = page.table("Misfit against gain").where(method=method)
    assert starts(line["misfit KL(s, w)"], mean(kl), 4)
    assert starts(line["gain in cross-entropy"], mean(gain), 4)
    assert line["temperature"] == f"{mean(temperatures):.2f}"


def temperature(store: Store, supervisor: Labels, seed: int) -> float:
    """Fitted on the held-out rows; how, `test_misfit_command` works out again."""
    labels = {
        row["id"]: row["label"] for row in pq.read_table(store.path(Rows(RECIPE.task).key) / "rows.parquet").to_pylist()
    }
    held = probs(store, supervisor.on(RECIPE.world(seed).part("val")))
    return fit_temperature(np.array(list(held.values())), np.array([labels[one] for one in held]))


def test_learning_curves(page: Page, store: Store) -> None:
    table = page.table("Learning curves")
    expected = 0
    for method, outcomes in METHODS:
        for seed, outcome in zip(RECIPE.seeds, outcomes, strict=True):
            assert outcome.transfer is not None
            model = vars(outcome.transfer.labels)["model"]
            points = json.loads((store.path(model.key) / "curve.json").read_text())
            kept = receipt(store, model.key)["metrics"]["selected_step"]
            expected += len(points)
            for point in points:
                line = table.where(method=method, seed=str(seed), step=str(point["step"]))
                assert line["agreement"] == f"{point['agreement']:.3f}"
                assert line["accuracy (truth)"] == f"{point['accuracy']:.3f}"
                assert line["kept"] == ("kept" if point["step"] == kept else "")
    assert len(table.rows) == expected > 0


@EACH
def test_reliability(page: Page, store: Store, method: str, outcomes: list[Outcome]) -> None:
    true = truth(store)
    for side in SIDES:
        bins: dict[int, list[tuple[float, bool]]] = {}
        for outcome in outcomes:
            for one, row in probs(store, outcome.sides()[side].labels).items():
                if one in true:
                    sure = max(row)
                    bins.setdefault(min(int(sure * 15), 14), []).append((sure, row.index(sure) == true[one]))
        expected = [
            [f"{mean(s for s, _ in found):.3f}", f"{mean(r for _, r in found):.3f}", str(len(found))]
            for _, found in sorted(bins.items())
        ]
        assert [row[2:] for row in page.table("Reliability").rows if row[:2] == [method, side]] == expected


def test_ensembles(page: Page, store: Store) -> None:
    table, true = page.table("Ensemble members and their disagreement"), truth(store)
    verdicts = {
        outcome.floor.labels.key: outcome.floor.labels
        for _, outcomes in METHODS
        for outcome in outcomes
        if outcome.floor is not None and isinstance(outcome.floor.labels, Combine)
    }
    assert len(table.rows) == len(verdicts) == 2
    for row, verdict in zip(table.rows, verdicts.values(), strict=True):
        chosen = [choices(store, one) for one in verdict.labels]
        each = [accuracy(store, one) for one in verdict.labels]
        apart = mean(one[row_id] != other[row_id] for one, other in combinations(chosen, 2) for row_id in true)
        expected = ["2", ", ".join(f"{value:.3f}" for value in each), f"{mean(each):.3f}"]
        assert row[1:6] == [*expected, f"{accuracy(store, verdict):.3f}", f"{apart:.3f}"]
        wrong = [[one[row_id] != true[row_id] for row_id in true] for one in chosen]
        assert row[6:] == [f"{np.corrcoef(wrong)[0, 1]:.3f}"] * 2, "of one pair the mean is the most"


def test_cost(page: Page, store: Store) -> None:
    graph = RECIPE.graph()
    seconds = {key: receipt(store, key)["seconds"] for key in graph}
    assert (
        f"{sum(seconds.values()) / 3600:.3f} device-hours in {len(graph)} finished stages of {len(graph)}" in page.text
    )
    [table] = [table for table in page.tables if table.head[:1] == ["kind"]]
    for row in table.rows:
        keys = [key for key, stage in graph.items() if stage.kind == row[0]]
        assert row[1:3] == [str(len(keys))] * 2
        assert row[4] == f"{sum(seconds[key] for key in keys) / 3600:.4f}"
    uses = [walk(*outcome.stages()) for by_seed in RECIPE.outcomes.values() for outcome in by_seed.values()]
    shared = 1 - len(graph) / sum(map(len, uses))
    assert (
        f"of {sum(map(len, uses))} times that a stage was needed, {100 * shared:.0f}% were paid for already"
        in page.text
    )
    assert "found 3 of the 4 stages it looked for in the store (75% cached)" in page.text


def test_examples(page: Page, store: Store) -> None:
    rows = {row["id"]: row for row in pq.read_table(store.path(Rows(RECIPE.task).key) / "rows.parquet").to_pylist()}
    true = truth(store)
    for method, outcomes in METHODS:
        assert outcomes[0].transfer is not None
        assert outcomes[0].floor is not None
        student, weak = (choices(store, grade.labels) for grade in (outcomes[0].transfer, outcomes[0].floor))
        won = [one for one, label in true.items() if student[one] == label != weak[one]]
        lost = [one for one, label in true.items() if weak[one] == label != student[one]]
        words = f"{method}, seed 0: of {len(true)} rows the student alone is right on {len(won)}, the supervisor alone on {len(lost)}"
        assert words in page.text
        shown = [one for one in (*won, *lost) if " ".join(rows[one]["texts"][0].split()) in page.text]
        assert len(shown) >= min(4, len(won)) + min(4, len(lost))


def test_manifest(page: Page, store: Store) -> None:
    facts = receipt(store, Rows(RECIPE.task).key)
    for name, version in facts["versions"].items():
        assert f"{name} {version}" in page.text
    assert facts["files"]["rows.parquet"]["sha256"] in page.text
    assert facts["git"].get("commit", "no commit was recorded") in page.text
    [table] = [table for table in page.tables if table.head[:2] == ["stage", "key begins"]]
    assert sorted(table.column("key begins")) == sorted(key[:12] for key in RECIPE.graph())


def test_what_is_drawn_says_what_the_tables_say(text: str) -> None:
    """Every number with an interval inside a drawing stands in a table too."""
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    tables = "".join(re.findall(r"<table.*?</table>", text, re.DOTALL))
    shown = set(re.findall(r">(-?[\d.]+ \[[^]]+\])<", drawings))
    assert len(shown) >= 3
    assert all(one in tables for one in shown)


def test_it_is_a_page_for_everyone(page: Page, asked: Wanted) -> None:
    tags = [tag for tag, _ in page.tags]
    assert dict(page.tags[0:1]) == {"html": {"lang": "en"}}
    assert tags.count("h1") == 1
    assert tags.count("figure") == tags.count("figcaption") >= 7
    assert all(scope in ("col", "row") for table in page.tables for scope in table.scopes)
    assert all(table.caption for table in page.tables)
    assert asked.command() in page.text
    assert "strong:" in page.text, "the recipe itself"
    assert Path(asked.reference).name in page.text
