"""The page on made-up results: hostile texts, what is missing, several recipes, no gap, oracles, chains, many runs."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.run_record import FOLDER, Run
from cluster.store import Store
from tests.w2s.command import w2s
from tests.w2s.pages import checked
from tests.w2s.report.page.made_up import fill, wanted
from w2s.report.page.write import render
from w2s.report.wanted import Wanted
from w2s.stages import Model, Rows

EVIL = (
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "</blockquote></dd></details><h1>owned</h1>",
    "<svg onload=alert(3)><use href='http://example.com/x.svg#a'/></svg>", "\" onmouseover=\"alert(4)", "<!-- -->]]>&lt;b&gt;",
    "<style>body{display:none}</style>", "{{ 7 * 7 }}{% raw %}", "</style></title><iframe src=//example.com></iframe>",
    "javascript:alert(5)",
)  # fmt: skip


@pytest.fixture
def store(store_url: str) -> Store:
    return Store.open(store_url)


def hostile(folder: Path) -> Wanted:
    """Every text, the labels' names, and whatever else a recipe lets a user name."""
    rows = [{"text": f"{' '.join(EVIL)} {i}", "label": ("<b>good</b>", "bad\"'")[i % 2]} for i in range(120)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = {
        "kind": "file", "path": str(folder / "rows.jsonl"), "text": "text", "label": "label",
        "labels": {"<b>good</b>": 1, "bad\"'": 0},
    }  # fmt: skip
    return wanted(folder, task=task, description=" ".join(EVIL), baselines=[])


def test_nothing_in_the_data_becomes_markup(tmp_path: Path, store: Store) -> None:
    asked = hostile(tmp_path)
    fill(store, asked)
    page = checked(render([asked], store, f"store{EVIL[1]}"))
    assert {tag for tag, _ in page.tags} & {"img", "iframe", "script", "b", "use"} == set()
    assert page.count("h1") == 1
    assert page.count("style") == 1
    assert "<script>alert(1)</script>" in page.text, "it is there, as text"
    assert "onerror=alert(2)" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "class 1, <b>good</b>" in page.text
    assert page.count("blockquote") >= 4


def test_what_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path, store: Store) -> None:
    asked = wanted(tmp_path, seeds=[0, 1])
    fill(
        store,
        asked,
        leave=lambda stage: isinstance(stage, Model) and stage.labels is not None and stage.loss.kind == "xent",
    )
    command = asked.command(store.url)
    page = checked(render([asked], store, store.url))
    graph = asked.written.recipe.graph()
    missing = [key for key in graph if not store.has(key)]
    assert missing
    assert f"Not finished. {len(missing)} of {len(graph)} stages are missing." in page.text
    assert command in page.text
    assert "toy/train tiny-bert-32x2 on strong (2x tiny-bert-8x1 labels, xent) s0" in page.text
    assert "with dashed frames are not there yet" in page.text
    naive = page.table("Test accuracy and PGR of each method, with bootstrap intervals").where(method="naive members=2")
    assert naive["transfer"] == naive["PGR"] == "-"
    assert naive["floor"] != "-"
    for form in ("table", "md"):
        told = w2s("report", asked.reference, "--store", store.url, "--format", form).out
        assert command in told.replace("\n", " ").replace("\\", "")
    assert w2s("report", asked.reference, "--store", store.url, "--json").json["finish"] == command


def test_what_failed_says_why_until_it_is_there(tmp_path: Path, store: Store) -> None:
    asked = wanted(tmp_path)
    student = next(
        stage for stage in asked.written.recipe.graph().values() if isinstance(stage, Model) and stage.labels
    )
    fill(store, asked, leave=lambda stage: stage.key == student.key)
    error = {"error": "StageFailed", "where": "toy/train", "what": "loss is not finite <b>", "remedy": ""}
    stages = {"total": 1, "cached": 0, "done": 0, "failed": 1}
    failures = ({"key": student.key, "name": "toy/train", "error": error},)
    run = Run("r", "toy", (), "failed", {}, 1.0, 2.0, stages, failures=failures)
    store.files.replace(f"{FOLDER}/r.json", run.to_bytes())
    page = checked(render([asked], store, "store"))
    assert "Failed when last tried" in page.text
    assert "loss is not finite <b>" in page.text
    assert str(store.log_path(student.key)) in page.text
    fill(store, asked)
    assert "Failed when last tried" not in checked(render([asked], store, "store")).text


def test_of_an_empty_store_there_is_a_page_too(tmp_path: Path) -> None:
    asked = wanted(tmp_path)
    store = Store.open(tmp_path / "nothing", create=False)
    page = checked(render([asked], store, "nothing"))
    assert page.count("figure") == 0
    assert "nothing is there yet" in page.text
    assert not (tmp_path / "nothing").exists()


def test_without_a_gap_there_is_no_pgr_and_the_page_says_why(tmp_path: Path, store: Store) -> None:
    asked = wanted(tmp_path, baselines=[])
    fill(store, asked, skill=lambda model: 0.7)
    page = checked(render([asked], store, "store"))
    assert "No PGR for confidence members=2: the ceiling is not clearly above the floor there" in page.text
    assert page.table("PGR by method").rows[0][1] == "no gap to recover"
    assert any("no gap to recover: no PGR" in words for words in page.words)


def test_an_oracle_is_marked_wherever_it_stands(tmp_path: Path, store: Store) -> None:
    asked = wanted(tmp_path, strong__select="oracle", strong__evaluate=2, baselines=[])
    fill(store, asked)
    text = render([asked], store, "store")
    page = checked(text)
    assert "a bound, not a method" in page.text
    assert text.count('class="badge">oracle') == 2, "the title and the results"
    for table in page.tables:
        if "method" in table.head:
            assert all("(oracle)" in cell for cell in table.column("method"))
    assert page.text.count("(oracle)") > 10


def test_chains_alphas_and_schedules_have_figures_of_their_own(tmp_path: Path, store: Store) -> None:
    chain = [{"model": {"source": "tiny:bert", "width": 16}}, "strong"]
    ladder_too = [{"kind": "bootstrap", "chain": chain}]
    schedule_too = [{"kind": "confidence", "alpha": [0.1, 0.4]}]
    asked = [
        wanted(tmp_path, "one.yaml", method={"kind": "confidence", "alpha": 0.2}, baselines=ladder_too),
        wanted(tmp_path, "two.yaml", method={"kind": "confidence", "alpha": 0.6}, baselines=schedule_too),
    ]
    for one in asked:
        fill(store, one)
    page = checked(render(asked, store, "store"))
    titles = [
        title for title, _ in re.findall(r"<h3>(.*?)</h3>(\s*<div class=\"plot\")", render(asked, store, "store"))
    ]
    assert titles == [
        "PGR by method", "Accuracy on the test rows", "Agreement of student and supervisor", "Misfit against gain",
        "Accuracy by alpha", "Alpha over training", "The bootstrapping ladder", "Learning curves", "Reliability",
    ]  # fmt: skip
    assert page.table("Accuracy by alpha").column("alpha") == ["0.2", "0.6"]
    ladder = page.table("The bootstrapping ladder")
    assert ladder.column("rung") == ["supervisor", "rung 1", "student", "ceiling"]
    own = page.table("Accuracy on the test rows").where(method=ladder.rows[0][0])
    assert [own[side] for side in ("floor", "transfer", "ceiling")] == [ladder.rows[place][2] for place in (0, 2, 3)]
    schedule = page.table("Alpha over training").where(method="two: confidence alpha=0.1>0.4")
    assert (schedule["0"], schedule["0.2"], schedule["0.6"], schedule["1"]) == ("0.000", "0.100", "0.400", "0.400")
    results = page.table("Test accuracy and PGR of each method, with bootstrap intervals")
    assert results.column("recipe") == ["one", "one", "two", "two"]


def test_recipes_of_one_name_are_told_apart(tmp_path: Path, store: Store) -> None:
    asked = [
        wanted(tmp_path, f"{i}.yaml", name="same", baselines=[], method={"kind": "confidence", "alpha": i / 4})
        for i in (1, 2)
    ]
    names = [f"same {one.written.recipe.fingerprint}" for one in asked]
    assert checked(render(asked, store, "store")).table("What every number above is over").column("recipe") == names


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Forty runs: eight recipes of five seeds, with three methods each."""
    folder = tmp_path_factory.mktemp("many")
    store = Store.open(folder / "store")
    asked = [
        wanted(folder, f"alpha{i}.yaml", seeds=[0, 1, 2, 3, 4], method={"kind": "confidence", "alpha": i / 10},
               baselines=[{"kind": "naive"}, {"kind": "ensemble", "members": 3}])
        for i in range(1, 9)
    ]  # fmt: skip
    for one in asked:
        fill(store, one)
    return render(asked, store, "store")


def test_forty_runs_are_one_bounded_page(many: str) -> None:
    assert len(many) < 1_500_000
    page = checked(many)
    assert len(page.table("Test accuracy and PGR of each method, with bootstrap intervals").rows) == 24
    assert "alpha1: naive (and in 7 more)" in page.text
    assert len(page.table("PGR by method").rows) == 8 + 2, "what recipes share is drawn once"
    assert len(page.table("Accuracy by alpha").rows) == 8
    assert len(page.table("Ensemble members and their disagreement").rows) == 5
    assert "Seed 0 of 5" in page.text


def test_it_opens_at_once(many: str, browser: Any, tmp_path: Path) -> None:
    """Two seconds on an idle machine; more is allowed to one that is not."""
    file = tmp_path / "report.html"
    file.write_text(many, encoding="utf-8")
    for width, scheme in ((1280, "light"), (400, "dark")):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        shown, heard = listened(context)
        began = time.monotonic()
        shown.goto(file.as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth") == width, "no scrolling sideways"
        assert time.monotonic() - began < 6
        assert heard == [file.as_uri()]
        context.close()


def listened(context: Any) -> tuple[Any, list[str]]:
    """A new tab, and what it asks for, says and complains of."""
    shown = context.new_page()
    heard: list[str] = []
    shown.on("request", lambda request: heard.append(request.url))
    shown.on("console", lambda line: heard.append(line.text))
    shown.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
    return shown, heard


def test_hostile_texts_do_nothing_in_a_browser(browser: Any, tmp_path: Path, store: Store) -> None:
    asked = hostile(tmp_path)
    fill(store, asked)
    file = tmp_path / "report.html"
    file.write_text(render([asked], store, "store"), encoding="utf-8")
    shown, heard = listened(browser)
    shown.goto(file.as_uri())
    assert heard == [file.as_uri()]
    assert "alert(1)" in shown.inner_text("#examples")
    shown.close()


# ---- the command


def test_the_command_writes_what_a_suffix_says(tmp_path: Path, store: Store) -> None:
    asked = wanted(tmp_path, baselines=[])
    fill(store, asked)
    done = w2s(
        "report", asked.reference, asked.reference, "seeds=1", "--store", store.url, "--out", tmp_path / "all.html"
    )
    assert done.code == 0
    assert checked((tmp_path / "all.html").read_text()).table("What every number above is over").column("seeds") == [
        "0",
        "0",
    ]
    for suffix, begins in (
        (".md", "# toy"),
        (".csv", "recipe,"),
        (".json", "{"),
        (".tex", "% needs"),
        (".txt", "toy "),
    ):
        file = tmp_path / f"all{suffix}"
        assert w2s("report", asked.reference, asked.reference, "--store", store.url, "--out", file).code == 0
        assert file.read_text().startswith(begins)
    assert len(json.loads((tmp_path / "all.json").read_text())["reports"]) == 2
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 3
    assert w2s("report", asked.reference, "--store", store.url, "-f", "html").out.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--out", "x.pdf"), "its suffix names no form; end it in .html"),
        (("--out", "nowhere/x.html"), "there is no such folder; make it: mkdir -p nowhere"),
    ],
)
def test_where_it_cannot_write_it_says_so(tmp_path: Path, more: tuple[str, ...], told: str) -> None:
    asked = wanted(tmp_path)
    done = w2s("report", asked.reference, *more, cwd=tmp_path)
    assert (done.code, told in done.err) == (2, True)
    assert "no recipe is named" in w2s("report", "seeds=3").err


def test_a_page_that_cannot_be_made_spoils_no_run(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = wanted(tmp_path, baselines=[])
    fill(store, asked)

    def broken(*args: object) -> None:
        raise ValueError("no such colour")

    page = tmp_path / "store" / "reports" / f"toy-{asked.written.recipe.fingerprint}" / "report.html"
    assert w2s("run", asked.reference, "--store", store.url, "--pool", "inline").code == 0
    assert "(100% cached)" in checked(page.read_text()).text
    page.unlink()
    monkeypatch.setattr("w2s.report.page.write.write_page", broken)
    done = w2s("run", asked.reference, "--store", store.url, "--pool", "inline")
    assert done.code == 0
    assert "the report has no page: ValueError: no such colour" in " ".join(done.err.split())
    assert "floor" in done.out


def test_rows_alone_are_enough_to_begin(tmp_path: Path, store: Store) -> None:
    asked = wanted(tmp_path)
    fill(store, asked, leave=lambda stage: not isinstance(stage, Rows))
    assert "to learn from, 60 test rows" in checked(render([asked], store, "store")).text
