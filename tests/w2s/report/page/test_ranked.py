"""The page's ranking: its numbers are those of the grades, each recipe has its own, and what is not ranked is never the best."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster.store import Store
from tests.w2s.pages import Page, Table, checked
from tests.w2s.report.page.made_up import fill, wanted
from tests.w2s.report.ranked import BRIER, CONFIDENCE, CONTROL, NAIVE, ORACLE, WINDOW, ranked
from w2s.metrics.crossed import pair_tests
from w2s.metrics.ranking import holm
from w2s.report.page.write import render
from w2s.report.wanted import Wanted

COMPETING = (CONFIDENCE, NAIVE, WINDOW, BRIER)
COLUMNS = ("method", "rank", "transfer", "PGR", "best", "p best", "naive", "p naive", "verdict")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Wanted, Store]:
    """For reading only."""
    folder = tmp_path_factory.mktemp("ranked")
    store = Store.open(folder / "store")
    return ranked(folder, store), store


@pytest.fixture(scope="module")
def text(done: tuple[Wanted, Store]) -> str:
    asked, store = done
    return render([asked], store, "store")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return checked(text)


def table(page: Page) -> Table:
    return page.table("Methods of ranked by test accuracy, p values corrected for 6 comparisons")


def answers(asked: Wanted, store: Store) -> dict[str, Any]:
    """Who got which row right [S, N], from the files alone."""
    found = {}
    for config, by_seed in asked.written.recipe.outcomes.items():
        rows = []
        for outcome in by_seed.values():
            assert outcome.transfer is not None
            [file] = store.path(outcome.transfer.key).glob("*.parquet")
            by_id = {row["id"]: row["correct"] for row in pq.read_table(file).to_pylist()}
            rows.append([by_id[one] for one in sorted(by_id)])
        found[config.label] = np.array(rows, dtype=bool)
    return found


def p_text(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def test_every_number_is_one_of_the_grades(page: Page, done: tuple[Wanted, Store]) -> None:
    right = answers(*done)
    p_KK = pair_tests(np.stack([right[name] for name in COMPETING]))
    above = np.triu_indices(4, 1)
    adjusted = dict(zip(zip(*above, strict=True), holm(p_KK[above]), strict=True))
    lines = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in table(page).rows}
    for name, line in lines.items():
        own = right[name.removesuffix(" (oracle)")]
        assert line["transfer"].startswith(f"{own.mean():.3f} [")
        for other, side in ((CONFIDENCE, "best"), (NAIVE, "naive")):
            if name == other:
                assert (line[side], line[f"p {side}"]) == ("-", "-")
                continue
            assert line[side].startswith(f"{own.mean() - right[other].mean():z.3f} [")
            pair = tuple(sorted(COMPETING.index(one) for one in (name, other))) if name in COMPETING else None
            assert line[f"p {side}"] == ("-" if pair is None else p_text(adjusted[pair]))
        rank = 1 + sum(right[one].mean() > own.mean() for one in COMPETING)
        assert line["rank"] == "-" if name not in COMPETING else re.match(rf"{rank} \[\d, \d\]$", line["rank"])
    assert set(lines) == {*COMPETING, CONTROL, ORACLE}


def test_the_verdicts(page: Page) -> None:
    told = {row[0]: row[-1] for row in table(page).rows}
    assert told == {
        CONFIDENCE: "best, better than naive",
        NAIVE: "worse than the best",
        BRIER: "worse than the best, within noise of naive",
        WINDOW: "worse than the best, worse than naive",
        CONTROL: "not ranked: control",
        ORACLE: "not ranked: oracle",
    }
    order = [row[0] for row in table(page).rows]
    assert (order[0], order[-2:]) == (CONFIDENCE, [CONTROL, ORACLE])


def test_the_drawing_marks_who_is_best_and_says_what_the_table_says(text: str, page: Page) -> None:
    [svg] = [one for one in re.findall(r"<svg.*?</svg>", text, re.DOTALL) if "Test accuracy by rank" in one]
    shown = re.findall(r">(-?[\d.]+ \[[^]]+\])<", svg)
    assert shown == [row[2] for row in table(page).rows]
    assert re.search(r'aria-label="Test accuracy by rank: 1\. confidence [^"]*best, better than naive', svg)
    for words in ("best, or within noise of it", "worse than the best", "not ranked"):
        assert f">{words}<" in svg
    assert ">1. confidence<" in svg
    assert f">– {CONTROL}<" in svg


def test_the_notes_say_what_was_corrected_and_what_p_asks(page: Page) -> None:
    n_test = next(row for row in page.table("What every number above is over").rows)[4]
    assert f"over {n_test} test rows and seeds 0, 1, 2" in page.text
    assert "6 comparisons corrected by Holm's method, all pairs of the 4 ranked methods" in page.text
    assert "other rows and other seeds at once" in page.text
    assert f"{CONTROL} is no contender (control): its supervisor is the strong model" in page.text
    assert any(values.get("href") == "#ranking" for tag, values in page.tags if tag == "a")


def test_each_recipe_has_a_ranking_of_its_own(tmp_path: Path, done: tuple[Wanted, Store]) -> None:
    asked, store = done
    other = wanted(
        tmp_path, "second.yaml", baselines=[{"kind": "naive"}, {"kind": "finetune", "loss": {"kind": "brier"}}]
    )
    two = wanted(tmp_path, "two.yaml", baselines=[{"kind": "naive"}])
    for one in (other, two):
        fill(store, one)
    page = checked(render([asked, other, two], store, "store"))
    captions = [one.caption for one in page.tables if one.caption.startswith("Methods of ")]
    assert [caption.split(" by ")[0] for caption in captions] == ["Methods of ranked", "Methods of second"]
    assert sorted(page.table(captions[1]).column("method")) == [CONFIDENCE + " members=2", BRIER, NAIVE]
    assert "McNemar's exact test" in page.text


def test_two_methods_have_no_such_section(tmp_path: Path, store_url: str) -> None:
    asked, store = wanted(tmp_path), Store.open(store_url)
    fill(store, asked)
    page = checked(render([asked], store, "store"))
    assert not any(values.get("id") == "ranking" for _, values in page.tags)
    assert "Holm" not in page.text


def test_a_half_finished_run_ranks_what_is_all_there(tmp_path: Path, store_url: str) -> None:
    store = Store.open(store_url)
    asked = ranked(tmp_path, store, lambda stage: "brier" in str(vars(stage).get("loss")), seeds=[0, 1])
    page = checked(render([asked], store, "store"))
    [found] = [one for one in page.tables if one.caption.startswith("Methods of ranked by")]
    line = found.where(method=BRIER)
    assert (line["rank"], line["transfer"], line["verdict"]) == ("-", "-", "not ranked: 0 of 2 seeds")
    assert line["seeds"] == "-"
    assert "p values corrected for 3 comparisons" in found.caption
