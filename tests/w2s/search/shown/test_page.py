"""The page: one whole file that says what was asked, chosen and spent, in which nothing but this program's own markup acts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadEnvironment
from cluster.store import Store
from tests.w2s import pages
from tests.w2s.command import w2s
from tests.w2s.pages import Page
from tests.w2s.search.shown.conftest import Real
from tests.w2s.search.shown.searches import made_up, searched, written
from w2s.search.ending import Ending
from w2s.search.shown.page import Asked, render, write_page
from w2s.search.shown.truth import Gap, Truth
from w2s.search.table import Row

ASKED = Asked("w2s tune toy.yaml --store store", 12)


def checked(text: str) -> Page:
    assert not re.search(r"https?:|//[a-z]|@import", text), "nothing comes from elsewhere"
    return pages.checked(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ending, Store]:
    folder = tmp_path_factory.mktemp("made")
    store = Store.open(str(folder / "store"))
    of = searched(folder)
    return written(of, store, made_up(of, 12)), store


@pytest.fixture(scope="module")
def whole(made: tuple[Ending, Store]) -> Page:
    ending, store = made
    return checked(write_page(ending, store, ASKED).read_text(encoding="utf-8"))


def test_a_whole_search(made: tuple[Ending, Store], whole: Page) -> None:
    page, best = whole, made[0].best
    assert best is not None
    assert f"Trial {best.number} (" in page.text
    assert "alpha: " in page.text, "the recipe of the best"
    for what in (
        "What was asked", ASKED.command, "9 done, 2 stopped early, 1 failed", "uniform 0 … 0.9", "loguniform 1e-05 … 0.01",
        "Each field against objective and truth", "All fields together", "Importance of fields", "Best so far",
        "Learning curves", "The honest choice against the truth", "What it cost", "test accuracy (oracle)", "stopped early",
    ):  # fmt: skip
        assert what in page.text, what
    labels = [values["aria-label"] or "" for tag, values in page.tags if tag == "svg"]
    assert len(labels) == 5 + 5, "a plot a field, and five over all"
    assert any(label.startswith("Importance of fields") and "method.alpha 0." in label for label in labels)
    assert "held-out accuracy (oracle)" not in page.text, "the objective is honest"


def test_early_stopping_saved_what_was_not_trained(whole: Page) -> None:
    assert "2 trials were stopped with 1.00 trainings not done" in whole.text
    assert "about 10 s" in whole.text, "one training, of ten seconds"


def test_an_oracle_says_so_everywhere(tmp_path: Path, store_url: str) -> None:
    store = Store.open(store_url)
    of = searched(tmp_path, objective="oracle")
    text = render(written(of, store, made_up(of, 12)), store, ASKED)
    page = checked(text)
    assert "a bound that no honest search can reach" in page.text
    headings = re.findall(r"<h[12]>(.*?)</h[12]>", text)
    bare = [heading for heading in headings if "badge" not in heading]
    assert bare == ["What was asked", "Trials", "What it cost"], "these show no objective, or mark it by column"
    assert "honest choice" not in page.text
    assert page.text.count("held-out accuracy (oracle)") > 12, "on every axis"


def test_an_unfinished_search_says_what_is_missing_and_what_goes_on(tmp_path: Path, store_url: str) -> None:
    store = Store.open(store_url)
    of = searched(tmp_path)
    rows = made_up(of, 2)
    running = Row("f" * 64, 2, {"method.alpha": 0.5}, "running", reports=({"rung": 1, "objective": 0.4},))
    text = Page(render(written(of, store, [*rows, running]), store, ASKED)).text
    assert "Not finished: 2 of 12 trials have ended; 1 is under way or broken off." in text
    assert f"This command goes on: {ASKED.command}" in text
    assert "needs 8 finished trials, and there are 2" in text
    nothing = render(written(of, store, [running]), store, ASKED)
    assert "No trial has finished yet." in checked(nothing).text


EVIL = "$x^2$</code><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def test_nothing_in_a_name_or_a_value_becomes_markup(tmp_path: Path, store_url: str) -> None:
    """In the table, in plots (axes, ticks, labels), in the recipe of the best, in commands and reasons."""
    store = Store.open(store_url)
    space = {"method.alpha": {"uniform": [0, 0.9]}, "strong.model.source": {"choice": ["tiny:bert", EVIL]}}
    of = searched(tmp_path, space=space)
    rows = [
        Row(f"{number:064x}", number, {"method.alpha": number / 20, "strong.model.source": (EVIL, "tiny:bert")[number % 2]},
            "failed" if number == 5 else "done", metrics={"objective": number / 20, "test_accuracy": 0.5, "why": EVIL})
        for number in range(12)
    ]  # fmt: skip
    ending = written(of, store, rows)
    assert ending.best is not None
    (ending.folder / "best.yaml").write_text(f"name: {EVIL}\n", encoding="utf-8")
    text = render(ending, store, Asked(f"w2s tune {EVIL}", 12))
    page = checked(text)
    assert page.count("img") == 0
    assert page.text.count("<script>alert(1)</script>") > 5, "it is there, as text"
    assert any("$x^2$" in drawing for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL)), "and no formula either"


def test_a_trial_of_an_earlier_space_and_one_without_a_field(tmp_path: Path, store_url: str) -> None:
    store = Store.open(store_url)
    of = searched(tmp_path)
    odd = Row(
        "e" * 64, 50, {"method.gone": 3, "method.alpha": 2.5}, "done", metrics={"objective": 0.3, "test_accuracy": 0.5}
    )
    page = checked(render(written(of, store, [*made_up(of, 12), odd]), store, ASKED))
    assert "Not in every trial, so left out" in page.text
    assert "gone=3" in page.text


def test_pgr_has_its_own_axis(made: tuple[Ending, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("w2s.search.shown.picture.truth_of", lambda searched, store: Truth(Gap(0.6, 0.7)))
    page = checked(render(*made, ASKED))
    assert "PGR (oracle)" in page.text
    assert "Floor 0.6000, ceiling 0.7000" in page.text


def test_a_thousand_trials_are_one_bounded_page(tmp_path: Path, store_url: str) -> None:
    store = Store.open(store_url)
    of = searched(tmp_path, space={"method.alpha": {"uniform": [0, 0.9]}, "method.warmup": [0.1, 0.5]}, trials=1000)
    text = render(written(of, store, made_up(of, 1000)), store, Asked("w2s tune", 1000))
    assert len(text) < 2_500_000
    assert "The first 50 of 1000" in text
    assert text.count('<td class="values">') == 50


def population(store: Store, folder: Path) -> Ending:
    """Four members, three rounds: after round 1 member 1 goes on from member 2, after round 2 member 0 from member 3."""
    of = searched(folder, space={"method.alpha": {"uniform": [0, 0.9]}}, trials=4, rounds=3, algorithm="pbt")
    ways: list[tuple[int, list[float]]] = [
        (0, [0.65]), (1, [0.36]), (2, [0.526066]), (3, [0.45]),
        (0, [0.65, 0.65]), (1, [0.5260661, 0.49]), (2, [0.526066, 0.52]), (3, [0.45, 0.45]),
        (0, [0.45, 0.45, 0.36]), (1, [0.5260661, 0.49, 0.49]), (2, [0.526066, 0.52, 0.52]), (3, [0.45, 0.45, 0.45]),
    ]  # fmt: skip
    rows = [
        Row(f"member-{number}", number, {"method.alpha": alphas}, "done" if len(alphas) == 3 else "running",
            reports=tuple({"rung": rung, "objective": 0.5 + rung / 10, "alpha": alpha} for rung, alpha in enumerate(alphas, 1)),
            metrics={"objective": 0.8 - number / 10, "share": len(alphas) / 3, "test_accuracy": 0.6})
        for number, alphas in ways
    ]  # fmt: skip
    return written(of, store, rows)


def test_a_population_shows_its_schedules_and_who_took_over(tmp_path: Path, store_url: str) -> None:
    store = Store.open(store_url)
    page = checked(render(population(store, tmp_path), store, Asked("w2s tune", 4)))
    assert "after round 1, member 1 took over from member 2" in page.text
    assert "after round 2, member 0 took over from member 3" in page.text
    assert page.text.count("took over from member ") == 2
    assert any((values.get("aria-label") or "").startswith("Alpha by round for 4 members") for _, values in page.tags)


def test_a_real_search_has_its_page_and_a_report_says_where(real: Real) -> None:
    told: dict[str, Any] = real.told.json
    page = checked(Path(told["page"]).read_text(encoding="utf-8"))
    assert "3 of 3: 3 done" in page.text
    assert "Not finished" not in page.text
    assert "w2s tune" in page.text
    report = w2s("report", real.recipe, "--store", real.url)
    assert f"its search: {told['page']}" in report.out.replace("\n", "")
    assert "its search" not in w2s("report", real.recipe, "--store", real.url, "--format", "md").out


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            BadEnvironment("page of the search", "the disk is full", "make room"),
            "page of the search: the disk is full; make room",
        ),
        (ValueError("no such colour"), "ValueError: no such colour"),
    ],
)
def test_what_cannot_be_shown_spoils_no_search(
    real: Real, monkeypatch: pytest.MonkeyPatch, fault: Exception, told: str
) -> None:
    def full(*args: object) -> None:
        raise fault

    monkeypatch.setattr("w2s.search.shown.page.write_page", full)
    done = w2s("tune", real.recipe, "--store", real.url, "--pool", "inline")
    assert done.code == 0
    assert f"what the search found is not shown: {told}" in " ".join(done.err.split())
    assert "best by agreement" in done.out
