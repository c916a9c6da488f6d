"""Claims are judged by what was seen: a bench that shows otherwise is told so."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from w2s.bench_theory.claims import Claim, counted
from w2s.bench_theory.cnn.config import Bench, Cnn, Point, fine
from w2s.bench_theory.cnn.curve import Record
from w2s.bench_theory.cnn.results import Cell, Results, Run
from w2s.bench_theory.cnn.verdicts import boundary, claims
from w2s.bench_theory.heat import Axis, Shade, heat
from w2s.bench_theory.misfit.outcomes import Outcome
from w2s.bench_theory.misfit.results import Family
from w2s.bench_theory.misfit.squared import LINEAR
from w2s.bench_theory.misfit.verdicts import _equal


def record(step: float, test: float, **more: float) -> Record:
    base: Record = {
        "step": step, "test": test, "test_hard": 0.5, "train_labels": 1.0, "flipped_as_truth": 0.0, "kept_as_labelled": 1.0
    }  # fmt: skip
    return base | more


def a_run(point: Point, *records: Record) -> Run:
    weak: Record = {"test": 0.85, "test_hard": 0.5, "flipped_hard_only": 1.0}
    return Run(point, 0, weak, records)


def results(late: float) -> Results:
    """All as theory has it, but for what becomes of the student of many items in the end."""
    bench = Bench()
    scenes = {
        "harmful": (a_run(bench.harmful, record(1, 0.84)),),
        "benign": (a_run(bench.benign, record(1, 0.97)),),
        "control": (a_run(bench.control, record(1, 0.85)),),
        "abundant": (
            a_run(bench.abundant, record(10, 0.99, flipped_as_truth=0.95), record(200, late, flipped_as_truth=0.1)),
        ),
    }
    return Results(scenes, tuple(cells(3.0)))


def cells(c: float) -> list[Cell]:
    """Cells that gain where their ratio is above c."""
    found = []
    for n in (10, 40, 160, 640):
        point = Point(n_strong=n, hard_norm=4.0)
        found.append(Cell("by_norm", point, 4.0, (a_run(point, record(1, 0.95 if point.ratio > c else 0.85)),)))
    return found


def test_each_claim_is_judged_by_what_it_is_about() -> None:
    held = {claim.what: claim.holds for claim in claims(Bench(), results(late=0.88))}
    assert set(held.values()) == {True, None}
    fallen = {claim.what: claim.holds for claim in claims(Bench(), results(late=0.95))}
    assert [what for what in held if held[what] != fallen[what]] == [
        "and the student falls back towards its supervisor"
    ]


def test_the_boundary_lies_between_what_gains_and_what_does_not() -> None:
    ratios = sorted(cell.point.ratio for cell in cells(1))
    for low, high in pairwise(ratios):
        found = boundary(cells(math.sqrt(low * high)))
        assert found is not None
        assert found.c == pytest.approx(math.sqrt(low * high))
        assert (found.right, found.count) == (4, 4)
    assert boundary(cells(1e9)) is None
    assert boundary(cells(1e-9)) is None


def test_claims_that_only_show_are_not_counted() -> None:
    some = [Claim("a", "s", "e", "x", True), Claim("b", "s", "e", "x", False), Claim("c", "s", "e", "x", None)]
    assert counted(some) == "1 of 2 claims hold"
    assert [claim.verdict for claim in some] == ["yes", "NO", "shown"]


def test_equality_is_judged_to_machine_precision() -> None:
    exact, near = Outcome(1.0, 0.25, 0.75), Outcome(1.0, 0.25, 0.75 + 1e-9)
    assert _equal(Family(LINEAR, (0,), ((exact, exact),))).holds is True
    assert _equal(Family(LINEAR, (0,), ((exact, near),))).holds is False


def test_a_finer_sweep_is_larger_and_shares_no_more_than_it_should() -> None:
    coarse, sweep = Bench(), fine(Bench())
    assert len({stage.key for stage in coarse.stages()}) == 76
    assert len({stage.key for stage in sweep.stages()}) == 12 + 2 * 8 * 8 * 3
    assert Bench.model_validate(sweep.dump()).stages() == sweep.stages()


def test_what_is_simulated_is_in_the_key() -> None:
    keys = {Cnn(seed, Point(n_strong=n)).key for seed in (0, 1) for n in (50, 60)}
    assert len(keys) == 4
    assert Cnn(0, Point()).key == Cnn(0, Point(easy_norm=8)).key


def test_a_phase_diagram_puts_its_curve_between_cells() -> None:
    axis = Axis("n", (10.0, 100.0, 1000.0))
    assert axis.place(10) == pytest.approx(0)
    assert axis.place(math.sqrt(10) * 100) == pytest.approx(1.5)
    assert axis.place(3) is None
    assert axis.place(0) is None
    cells = {(x, y): 0.1 for x in axis.values for y in (1.0, 2.0)}
    svg = heat("phase", axis, Axis("y", (1.0, 2.0)), cells, Shade("gain", 0, 0.2), [(10, 1), (1000, 2)], "line", "alt")
    assert svg.count("<rect") == 6
    assert svg.count("0.100") >= 6
    assert 'aria-label="alt"' in svg
    outside = heat("phase", axis, Axis("y", (1.0, 2.0)), cells, Shade("gain", 0, 0.2), [(1, 9), (2, 9)], "line", "alt")
    assert outside.count("<path") < svg.count("<path")
