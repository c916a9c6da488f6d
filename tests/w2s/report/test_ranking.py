"""A report's ranking: who competes, over which seeds, against whom; and that every form tells it."""

# S seeds, N rows

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cluster.store import Store
from tests.conftest import toy_recipe
from tests.w2s.command import w2s
from tests.w2s.report.ranked import BRIER, CONFIDENCE, CONTROL, METHODS, NAIVE, ORACLE, WINDOW, ranked
from tests.w2s.report.test_render import GOLDEN, check_golden
from w2s.commands.report import make
from w2s.metrics import Interval
from w2s.metrics.crossed import pair_tests
from w2s.metrics.ranking import holm
from w2s.recipe import Recipe
from w2s.report import render
from w2s.report.controls import why_control
from w2s.report.ranking import Apart, Ranking, Standing, ranking
from w2s.report.standings import verdict
from w2s.report.summary import Grade, MethodScores, Report, ReportInput, SeedScores, summarise
from w2s.report.wanted import Wanted
from w2s.stages import Model, Stage

# --- from grades ----------------------------------------------------------------------------------------------------


def graded(share: float, seed: int, rows: int = 400) -> Grade:
    """Right on a share of the rows; ids in another order for each seed."""
    generator = np.random.default_rng([int(1000 * share), seed])
    ids = [f"r{i}" for i in generator.permutation(rows)]
    return Grade({"agreement": 0.8}, tuple(ids), generator.random(rows) < share)


def scores(name: str, share: float, seeds: tuple[int, ...] = (0, 1, 2), **more: Any) -> MethodScores:
    found = tuple(
        SeedScores(
            seed, graded(0.6, 10 + seed), graded(share, seed) if seed in seeds else None, graded(0.97, 20 + seed)
        )
        for seed in (0, 1, 2)
    )
    return MethodScores(name, more.pop("oracle", False), found, **more)


def found(*methods: MethodScores) -> ReportInput:
    return ReportInput("r", "t", 0.5, 400, 0.5, "w", "s", methods)


def rank(*methods: MethodScores, **more: Any) -> Ranking | None:
    given = found(*methods)
    return ranking(given, summarise(given), **more)


def there(value: Ranking | None) -> Ranking:
    assert value is not None
    return value


def line(value: Ranking, method: str) -> Standing:
    [one] = [one for one in value.standings if one.method == method]
    return one


THREE = (scores("naive", 0.70), scores("confidence", 0.90), scores("filter", 0.71))


def test_the_best_first_and_what_may_be_said_of_each() -> None:
    value = there(rank(*THREE))
    assert [one.method for one in value.standings] == ["confidence", "filter", "naive"]
    assert (value.best, value.baseline, value.comparisons, value.seeds, value.rows) == (
        "confidence", "naive", 3, (0, 1, 2), 400
    )  # fmt: skip
    assert [verdict(one, value) for one in value.standings] == [
        "best, better than naive", "worse than the best, within noise of naive", "worse than the best"
    ]  # fmt: skip
    assert [(one.rank, one.rank_low, one.rank_high) for one in value.standings] == [(1, 1, 1), (2, 2, 3), (3, 2, 3)]


def test_transfer_and_pgr_are_those_of_the_report() -> None:
    given = found(*THREE)
    report = summarise(given)
    value = there(ranking(given, report))
    for row in report.rows:
        assert (line(value, row.method).transfer, line(value, row.method).pgr) == (row.transfer, row.pgr)


def test_two_methods_are_no_ranking_nor_is_an_empty_store() -> None:
    assert rank(*THREE[:2]) is None
    assert (
        rank(*THREE[:2], MethodScores("ceiling", False, (SeedScores(0, ceiling=graded(0.9, 0)),), sides=("ceiling",)))
        is None
    )
    assert rank(*(replace(one, seeds=tuple(SeedScores(s) for s in (0, 1, 2))) for one in THREE)) is None


def test_oracles_and_controls_are_shown_but_neither_ranked_nor_the_best() -> None:
    oracle = scores("early_stop select=oracle", 0.99, oracle=True)
    value = there(rank(*THREE, oracle, scores("random_labels", 0.98, control="told so")))
    assert value.best == "confidence"
    assert value.comparisons == 3
    for name, why in (("early_stop select=oracle (oracle)", "oracle"), ("random_labels", "control")):
        one = line(value, name)
        assert (one.rank, one.than_best, one.than_baseline, one.unranked) == (None, "", "", why)
        assert one.to_best is not None
        assert one.to_best.difference.mean > 0
        assert one.to_best.p is one.to_best.adjusted is None
        assert verdict(one, value) == f"not ranked: {why}"
    assert line(value, "random_labels").reason == "told so"
    assert [one.rank is None for one in value.standings] == [False] * 3 + [True] * 2


def test_what_lacks_a_seed_is_listed_over_the_seeds_that_both_have() -> None:
    half = scores("s2s", 0.95, seeds=(0, 2))
    value = there(rank(*THREE, half, scores("relabel", 0.9, seeds=())))
    one = line(value, "s2s")
    assert value.best == "confidence", "never one that is not all there"
    assert (one.rank, one.unranked, one.seeds) == (None, "2 of 3 seeds", (0, 2))
    assert one.to_best is not None
    assert one.to_best.seeds == (0, 2)
    right = {name: [graded(share, s) for s in (0, 2)] for name, share in (("s2s", 0.95), ("best", 0.90))}
    means = {name: np.mean([grade.correct.mean() for grade in grades]) for name, grades in right.items()}
    assert one.to_best.difference.mean == pytest.approx(means["s2s"] - means["best"])
    empty = line(value, "relabel")
    assert (empty.transfer, empty.to_best, empty.unranked) == (None, None, "0 of 3 seeds")


def test_a_seed_that_nobody_has_yet_stops_no_ranking() -> None:
    value = there(
        rank(*(scores(one.method, share, seeds=(0, 1)) for one, share in zip(THREE, (0.7, 0.9, 0.71), strict=True)))
    )
    assert value.seeds == (0, 1)
    assert all(one.rank is not None for one in value.standings)


def test_where_fewer_than_two_are_complete_nothing_is_ranked() -> None:
    value = there(rank(THREE[0], scores("confidence", 0.9, seeds=(1,)), scores("filter", 0.9, seeds=(0,))))
    assert (value.best, value.comparisons) == (None, 0)
    assert [one.rank for one in value.standings] == [None] * 3
    assert "nothing is ranked yet" in render.markdown(
        Report("r", "t", "w", "s", 0.5, None, 400, 0.95, (), ranking=value)
    )


def test_the_baseline_is_the_plainest_of_its_kind_or_another_that_is_named() -> None:
    several = (scores("naive labels=hard", 0.7), scores("naive", 0.72), *THREE[1:])
    assert there(rank(*several)).baseline == "naive"
    assert there(rank(*several[::2], scores("filter", 0.8))).baseline == "naive labels=hard"
    assert there(rank(*several, baseline="filter")).baseline == "filter"
    without = there(rank(*several, baseline="s2s"))
    assert without.baseline is None
    assert all(one.to_baseline is None for one in without.standings)
    assert verdict(without.standings[0], without) == "best"
    assert "minus naive" not in render.markdown(Report("r", "t", "w", "s", 0.5, None, 400, 0.95, (), ranking=without))


# --- who is a control -------------------------------------------------------------------------------------------------


def control(method: dict[str, Any], **changes: Any) -> str:
    recipe = Recipe.model_validate(
        toy_recipe(**{"method": method, "baselines": [], "strong__model__source": "tiny:llama", **changes})
    )
    [by_seed] = recipe.outcomes.values()
    return why_control(recipe, by_seed.values())


@pytest.mark.parametrize(
    "method, why",
    [
        ({"kind": "random_labels"}, "its student learns the truth, made wrong"),
        ({"kind": "random_labels", "structure": "confident"}, "its student learns the truth, made wrong"),
        ({"kind": "self_distill"}, "its supervisor is the strong model"),
        ({"kind": "prompted", "shots": 2, "shot_labels": "gold"}, "its student is shown the truth"),
        ({"kind": "prompted", "shots": 2}, ""),
        ({"kind": "prompted"}, ""),
        ({"kind": "naive", "members": 2}, ""),
        ({"kind": "s2s"}, ""),
        ({"kind": "bootstrap"}, ""),
        ({"kind": "generative"}, ""),
        ({"kind": "ensemble"}, ""),
        ({"kind": "filter", "by": "topological"}, ""),
        ({"kind": "floor"}, ""),
        ({"kind": "ceiling"}, ""),
    ],
)
def test_a_control_is_told_by_its_stages(method: dict[str, Any], why: str) -> None:
    assert control(method) == why


def test_a_recipe_of_one_model_has_no_stronger_one() -> None:
    same = {"source": "tiny:llama", "width": 32, "depth": 2}
    assert control({"kind": "naive"}, weak__model=same, strong__model=same) == ""


# --- from a store, in every form ----------------------------------------------------------------------------------------


@pytest.fixture
def store(store_url: str) -> Store:
    return Store.open(store_url)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Wanted, Store]:
    """For reading only."""
    folder = tmp_path_factory.mktemp("ranked")
    store = Store.open(folder / "store")
    return ranked(folder, store), store


def test_every_number_is_one_of_the_grades(done: tuple[Wanted, Store]) -> None:
    """From correct.parquet to JSON, and worked out again from the rows."""
    import pyarrow.parquet as pq

    asked, store = done
    told = w2s("report", asked.reference, "--store", store.url, "--json").json["ranking"]
    right: dict[str, Any] = {}
    for config, by_seed in asked.written.recipe.outcomes.items():
        rows = []
        for outcome in by_seed.values():
            assert outcome.transfer is not None
            [file] = store.path(outcome.transfer.key).glob("*.parquet")
            found = pq.read_table(file).to_pylist()
            rows.append([one["correct"] for one in sorted(found, key=lambda one: str(one["id"]))])
        right[config.label] = np.array(rows, dtype=bool)
    competing = [CONFIDENCE, NAIVE, WINDOW, BRIER]
    p_KK = pair_tests(np.stack([right[name] for name in competing]))
    pairs = list(combinations(range(4), 2))
    adjusted = {frozenset(pair): p for pair, p in zip(pairs, holm([p_KK[pair] for pair in pairs]), strict=True)}
    assert told["comparisons"] == 6
    assert told["best"] == max(competing, key=lambda name: right[name].mean()) == CONFIDENCE
    for one in told["standings"]:
        own = right[one["method"].removesuffix(" (oracle)")]
        assert one["transfer"]["mean"] == pytest.approx(own.mean())
        for side, other in (("to_best", CONFIDENCE), ("to_baseline", NAIVE)):
            if one["method"] == other:
                assert one[side] is None
                continue
            assert one[side]["difference"]["mean"] == pytest.approx(own.mean() - right[other].mean())
            if one["rank"] is not None:
                pair = (competing.index(one["method"]), competing.index(other))
                assert one[side]["p"] == pytest.approx(p_KK[pair])
                assert one[side]["adjusted"] == pytest.approx(adjusted[frozenset(pair)])
        if one["rank"] is not None:
            assert one["rank"] == 1 + sum(right[name].mean() > own.mean() for name in competing)
    unranked = {one["method"]: one["unranked"] for one in told["standings"] if one["rank"] is None}
    assert unranked == {CONTROL: "control", ORACLE: "oracle"}


def test_every_form_tells_it(done: tuple[Wanted, Store]) -> None:
    asked, store = done
    for form in ("table", "md", "latex"):
        told = " ".join(w2s("report", asked.reference, "--store", store.url, "--format", form).out.split())
        assert "6 comparisons corrected by Holm's method" in told, form
        assert "best, better than naive" in told, form
        assert "worse than the best, worse than naive" in told, form
        assert "not ranked: control" in told, form
        assert "is no contender (control): its supervisor is the strong model" in told, form
    told = w2s("report", asked.reference, "--store", store.url, "--format", "csv").out
    lines = {one["method"]: one for one in csv.DictReader(io.StringIO(told))}
    assert (lines[CONFIDENCE]["rank"], lines[CONFIDENCE]["than_baseline"]) == ("1", "better")
    assert (lines[WINDOW]["rank"], lines[WINDOW]["than_best"]) == ("4", "worse")
    assert (lines[ORACLE]["rank"], lines[ORACLE]["unranked"]) == ("", "oracle")
    assert float(lines[WINDOW]["to_best_high"]) < 0


def test_a_run_that_is_half_done_lists_what_lacks_seeds(tmp_path: Path, store: Store) -> None:
    def left(stage: Stage) -> bool:
        return isinstance(stage, Model) and stage.seed == 2 and stage.labels is not None and stage.loss.kind == "brier"

    asked = ranked(tmp_path, store, left, baselines=METHODS["baselines"][:3])
    told = w2s("report", asked.reference, "--store", store.url, "--json").json["ranking"]
    [half] = [one for one in told["standings"] if one["method"] == BRIER]
    assert (half["rank"], half["seeds"], half["unranked"]) == (None, [0, 1], "2 of 3 seeds")
    assert half["to_best"]["seeds"] == [0, 1]
    assert told["comparisons"] == 3


def test_a_csv_of_several_has_one_head(done: tuple[Wanted, Store]) -> None:
    """A recipe of two methods beside one that is ranked."""
    asked, store = done
    value = make(asked.written.recipe, store)
    lines = list(csv.DictReader(io.StringIO(render.csv(replace(value, ranking=None), value))))
    assert len(lines) == 12
    assert [one["rank"] for one in lines[:6]] == [""] * 6


# --- golden -------------------------------------------------------------------------------------------------------------


def standing(method: str, rank: int | None, mean: float, **more: Any) -> Standing:
    return Standing(
        method, (0, 1, 2), Interval(mean, mean - 0.03, mean + 0.031), Interval(0.31, 0.1, 0.5), "", rank, rank,
        None if rank is None else rank + 1, **more,
    )  # fmt: skip


def apart(mean: float, p: float | None = 0.0021) -> Apart:
    return Apart(Interval(mean, mean - 0.02, mean + 0.0201), (0, 1, 2), p, p and min(1.0, 6 * p))


VALUE = Ranking(
    (
        standing("confidence alpha=0.5", 1, 0.79, to_baseline=apart(0.06), than_baseline="better"),
        standing("filter by=knn", 2, 0.78, to_best=apart(-0.01, 0.4), to_baseline=apart(0.05, 0.00001), than_best="within noise",
                 than_baseline="better"),
        replace(standing("naive", 3, 0.73, to_best=apart(-0.06), than_best="worse"), pgr=None, no_pgr="no gap to recover"),
        standing("random_labels", None, 0.8, to_best=apart(0.01, None), to_baseline=apart(0.07, None),
                 unranked="control", reason="its student learns the truth, made wrong"),
        replace(standing("s2s", None, 0.7, unranked="0 of 3 seeds"), seeds=(), transfer=None, pgr=None, no_pgr="incomplete"),
    ),
    "confidence alpha=0.5", "naive", 3, (0, 1, 2), 1200, 0.95,
)  # fmt: skip
REPORT = Report("compare", "toy", "minilm", "bert-large", 0.5, 0.52, 1200, 0.95, (), ranking=VALUE)


@pytest.mark.parametrize("suffix, form", [("md", render.markdown), ("json", render.json), ("tex", render.latex)])
def test_the_text_is_the_golden_one(suffix: str, form: Any) -> None:
    check_golden(f"ranking.{suffix}", form(REPORT))


def test_the_csv_has_the_golden_columns() -> None:
    rows = summarise(found(*THREE)).rows
    lines = render.csv(replace(REPORT, rows=(replace(rows[0], method="naive"), rows[1]))).splitlines()
    assert lines[0].endswith((GOLDEN / "ranking_head.csv").read_text(encoding="utf-8").strip())
    assert lines[1].endswith(",3,3,4,-0.060000,-0.080000,-0.039900,0.002100,0.012600,,,,,,worse,,,")
    assert lines[2].endswith("," * 17), "a method that the ranking does not know"


def test_a_ranking_comes_back_whole_from_its_json() -> None:
    told = json.loads(render.json(REPORT))["ranking"]
    assert told["standings"][0]["transfer"] == {"mean": 0.79, "low": 0.76, "high": pytest.approx(0.821)}
    assert told["standings"][1]["to_best"]["adjusted"] == 1.0
    assert {name: told[name] for name in ("best", "baseline", "comparisons", "seeds", "rows", "level")} == {
        "best": "confidence alpha=0.5", "baseline": "naive", "comparisons": 3, "seeds": [0, 1, 2], "rows": 1200, "level": 0.95,
    }  # fmt: skip


def test_a_line_fits_where_reports_are_piped() -> None:
    console = Console(width=160, file=io.StringIO(), record=True)
    render.terminal(REPORT, console)
    lines = console.export_text().splitlines()
    assert any("filter by=knn" in one and "within noise of the best, better than naive" in one for one in lines)
    assert any("filter by=knn" in one and "<0.001" in one for one in lines)


def test_one_seed_says_that_it_shows_no_luck() -> None:
    told = render.markdown(replace(REPORT, ranking=replace(VALUE, seeds=(3,))))
    assert "McNemar's exact test" in told
    assert "over 1,200 test rows and seed 3" in told
    assert "Clark" not in told
