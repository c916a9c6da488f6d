"""`w2s theory` as users call it: what it leaves, that nothing is done twice, and one line for what cannot be."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.w2s.command import Done, built, receipts, w2s
from tests.w2s.pages import Page

SMALL_CNN = [
    f"{scene}.{name}={value}"
    for scene in ("harmful", "benign", "abundant", "control")
    for name, value in {"dims": 40, "n_weak": 60, "weak_steps": 10, "n_strong": 50, "steps": 8, "n_test": 30}.items()
] + [
    change
    for grid, values in (("by_norm", "[2, 8]"), ("by_share", "[0.1, 0.5]"))
    for change in (
        f"{grid}.values={values}", f"{grid}.n_strong=[10, 40]", f"{grid}.seeds=[0]", f"{grid}.base.dims=30",
        f"{grid}.base.n_weak=40", f"{grid}.base.weak_steps=5", f"{grid}.base.steps=5", f"{grid}.base.n_test=20",
    )
]  # fmt: skip
SMALL_MISFIT = [
    "squared.tasks=3", "squared.n=60", "entropy.tasks=2", "entropy.n=200", "regression.tasks=3", "regression.n=60",
    "regression.n_test=60", "regression.pretrain_steps=4", "regression.n_pretrain=50",
]  # fmt: skip


def theory(bench: str, store: Path, *more: str | Path) -> Done:
    small = SMALL_CNN if bench == "cnn" else SMALL_MISFIT
    return w2s("theory", bench, *small, "--seeds", "2", "--store", store, "--pool", "inline", *more)


@pytest.mark.parametrize(
    "bench,stages,sheets,drawings", [("cnn", 16, {"curves", "phase"}, 6), ("misfit", 10, {"tasks", "families"}, 3)]
)
def test_a_bench_leaves_its_page_and_does_nothing_twice(
    bench: str, stages: int, sheets: set[str], drawings: int, tmp_path: Path
) -> None:
    store, out = tmp_path / "store", tmp_path / "deep" / "figures"
    done = theory(bench, store, "--out", out)
    assert done.code == 0, done.err
    assert f"{stages} simulations run, 0 from the store" in done.out
    assert "claims hold" in done.out
    assert ("[abstract]" if bench == "cnn" else "[our check]") in done.out, "sources are text, not markup"
    assert len(built(store)) == stages
    page = Page((out / "theory.html").read_text(encoding="utf-8"))
    assert page.faults == []
    assert page.text.count("claims hold") == 1
    rows = list(csv.DictReader((out / "claims.csv").open(encoding="utf-8")))
    assert {row["holds"] for row in rows} <= {"yes", "NO", "shown"}
    assert {file.stem for file in out.glob("*.csv")} == {"claims", *sheets}
    assert all(list(csv.reader(file.open(encoding="utf-8")))[1:] for file in out.glob("*.csv"))
    svgs = list(out.glob("*.svg"))
    assert len(svgs) == drawings
    for file in svgs:
        text = file.read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "--honest:" in text, "a drawing of its own brings its colours"

    before = receipts(store)
    again = theory(bench, store, "--json")
    assert again.code == 0
    assert again.err == ""
    assert again.json["stages"] == {"done": 0, "cached": stages}
    assert receipts(store) == before
    assert [claim["seen"] for claim in again.json["claims"]] == [row["seen"] for row in rows]
    assert Path(again.json["page"]).is_file()


def test_another_seed_runs_that_seed_alone(tmp_path: Path) -> None:
    first = theory("misfit", tmp_path)
    more = w2s("theory", "misfit", *SMALL_MISFIT, "--seeds", "3", "--store", tmp_path, "--pool", "inline", "--json")
    assert first.code == more.code == 0
    assert more.json["stages"] == {"done": 5, "cached": 10}


def test_a_sweep_adds_points(tmp_path: Path) -> None:
    done = theory(
        "misfit",
        tmp_path,
        "--sweep",
        "sweep.weak_noise=[0.1,0.4]",
        "sweep.strong_noise=[0.0]",
        "--quiet",
        "--out",
        tmp_path / "out",
    )
    assert done.code == 0, done.err
    assert len(built(tmp_path)) == 14
    assert (tmp_path / "out" / "sweep.svg").is_file()
    assert "simulations run" not in done.out


BAD = [
    ("cnn", ["abundant.n_srong=5"], "command line: abundant.n_srong: no such field; did you mean 'n_strong'?"),
    (
        "cnn",
        ["abundant.n_strong=0"],
        "command line: abundant.n_strong: input should be greater than or equal to 2, found 0",
    ),
    ("cnn", ["benign.p_both=0.9"], "command line: benign: p_hard + p_both is 1.2, more than 1"),
    ("cnn", ["by_share.values=[0.9]"], "p_hard + p_both is 1.2, more than 1"),
    ("cnn", ["abundant.steps=many"], "command line: abundant.steps: input should be a valid integer, found 'many'"),
    ("cnn", ["steps"], "change 'steps': is not of the form key.path=value; for example abundant.steps=200"),
    ("cnn", ["seeds=[]"], "command line: seeds: list should have at least 1 item"),
    ("misfit", ["regression.tasks={"], "change 'regression.tasks={': '{' is not readable as YAML"),
    ("misfit", ["sweep.weak_noise=0.1"], "command line: sweep.weak_noise: input should be a valid list, found 0.1"),
    ("misfit", ["--seeds", "0"], "Invalid value for '--seeds'"),
]


@pytest.mark.parametrize("bench,changes,told", BAD)
def test_what_cannot_be_is_one_line(bench: str, changes: list[str], told: str, tmp_path: Path) -> None:
    done = w2s("theory", bench, *changes, "--store", tmp_path / "store", "--pool", "inline")
    assert done.code == 2
    assert told in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "store").exists(), "nothing has begun"


def test_figures_do_not_go_into_a_file(tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.write_text("mine")
    done = theory("misfit", tmp_path / "store", "--out", file)
    assert done.code == 2
    assert "is a file" in done.err
    assert file.read_text() == "mine"


def test_a_failed_simulation_is_told_and_the_rest_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from w2s.bench_theory.misfit import work

    def fails(*_: object) -> None:
        raise RuntimeError("no projection today")

    with monkeypatch.context() as patched:
        patched.setattr(work.by_squares, "outcomes", fails)
        done = theory("misfit", tmp_path)
    assert done.code == 1
    assert "no projection today" in done.err
    assert "claims hold" not in done.out
    again = theory("misfit", tmp_path, "--json")
    assert again.json["stages"] == {"done": 2, "cached": 8}


def test_help_has_examples() -> None:
    assert all("Example: w2s theory" in w2s("theory", bench, "--help").out for bench in ("cnn", "misfit"))
    assert "theory" in w2s("--help").out
