"""From grades to rows: only complete seeds count, rows are joined by id, what is missing stays missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from w2s.metrics import Fixed, pgr
from w2s.report.summary import Grade, MethodScores, ReportInput, Row, SeedScores, summarise

IDS = tuple(f"row{i:03}" for i in range(80))


def grade(seed: int, rate: float, agreement: float | None = None) -> Grade:
    metrics: dict[str, Any] = {} if agreement is None else {"agreement": agreement}
    return Grade(metrics, IDS, np.random.default_rng(seed).random(len(IDS)) < rate)


def scores(seed: int, agreement: float | None = 0.8) -> SeedScores:
    return SeedScores(seed, grade(3 * seed, 0.5), grade(3 * seed + 1, 0.7, agreement), grade(3 * seed + 2, 0.9))


def row_of(*seeds: SeedScores, fixed: bool = False, **changes: Any) -> Row:
    method = MethodScores(**{"method": "naive", "oracle": False, "seeds": seeds, **changes})
    found = ReportInput("quick", "toy", 0.5, 80, 0.55, "minilm", "bert", (method,))
    return summarise(found, fixed=fixed).rows[0]


def shuffled(value: Grade, seed: int) -> Grade:
    order = np.random.default_rng(seed).permutation(len(value.ids))
    return replace(value, ids=tuple(value.ids[i] for i in order), correct=value.correct[order])


def mean(value: Grade | None) -> float:
    assert value is not None
    return float(value.correct.mean())


def test_means_are_those_of_the_grades() -> None:
    seeds = [scores(0), scores(1, agreement=0.6)]
    row = row_of(*seeds)
    assert row.seeds == (0, 1)
    assert row.floor is not None
    assert row.floor.mean == pytest.approx(np.mean([mean(s.floor) for s in seeds]))
    assert row.agreement == pytest.approx(0.7)
    assert row.pgr is not None
    assert row.verdict == ""
    assert len(row.per_seed_pgr) == 2


def test_rows_are_joined_by_id_whatever_their_order() -> None:
    there = scores(0)
    assert there.transfer is not None
    assert there.ceiling is not None
    back = replace(there, transfer=shuffled(there.transfer, 1), ceiling=shuffled(there.ceiling, 2))
    assert row_of(there) == row_of(back)


def test_grades_over_other_rows_are_refused() -> None:
    there = scores(0)
    assert there.ceiling is not None
    for ids in (("other", *IDS[1:]), (*IDS, "more")):
        ceiling = Grade({}, ids, np.ones(len(ids), dtype=np.bool_))
        with pytest.raises(ValueError, match="same rows"):
            row_of(replace(there, ceiling=ceiling))


def test_a_grade_needs_one_mark_an_id_and_no_id_twice() -> None:
    for ids in (("a", "b", "c"), ("a", "a")):
        with pytest.raises(ValueError, match="ids"):
            Grade({}, ids, np.ones(2, dtype=np.bool_))


@pytest.mark.parametrize("side", ["floor", "transfer", "ceiling"])
def test_a_seed_without_one_grade_does_not_count(side: str) -> None:
    broken = replace(scores(1), **{side: None})
    row = row_of(scores(0), broken, scores(2), missing=("toy/grade 1",))
    assert replace(row, missing=()) == row_of(scores(0), scores(2))
    assert row.seeds == (0, 2)
    assert row.missing == ("toy/grade 1",)


def test_without_a_complete_seed_what_is_known_is_shown_and_nothing_else() -> None:
    row = row_of(replace(scores(0), transfer=None), replace(scores(1), transfer=None))
    assert row.floor is not None
    assert row.ceiling is not None
    assert (row.transfer, row.gain, row.pgr, row.agreement) == (None, None, None, None)
    assert (row.seeds, row.per_seed_pgr, row.verdict) == ((), (), "incomplete")


def test_a_method_of_which_nothing_ran_has_no_numbers() -> None:
    for seeds in ((), (SeedScores(0, None, None, None),)):
        row = row_of(*seeds)
        assert (row.floor, row.transfer, row.ceiling, row.pgr) == (None,) * 4


def test_grades_without_agreement_leave_it_unknown() -> None:
    assert row_of(scores(0, agreement=None)).agreement is None
    assert row_of(scores(0, agreement=0.0)).agreement == 0.0


def test_selection_by_truth_is_marked_in_the_name() -> None:
    assert row_of(scores(0), method="confidence alpha=0.5", oracle=True).method == "confidence alpha=0.5 (oracle)"


def test_without_a_gap_the_verdict_stands_for_the_number() -> None:
    there = scores(0)
    row = row_of(replace(there, ceiling=there.floor))
    assert (row.pgr, row.verdict) == (None, "no gap to recover")
    assert row.transfer is not None


def test_a_report_carries_its_facts_and_its_level() -> None:
    found = ReportInput("quick", "toy", 0.5, 80, 0.55, "minilm", "bert", ())
    report = summarise(found, level=0.9)
    assert (report.recipe, report.task, report.weak, report.strong) == ("quick", "toy", "minilm", "bert")
    assert (report.chance, report.n_test, report.majority, report.level, report.rows) == (0.5, 80, 0.55, 0.9, ())


# --- fixed floor and ceiling --------------------------------------------------------------------------------------


def test_a_fixed_floor_and_ceiling_are_means_over_all_seeds_that_have_one() -> None:
    """Five floors and ceilings, two students: each is held against the same two means."""
    seeds = [scores(s) if s < 2 else replace(scores(s), transfer=None) for s in range(5)]
    row = row_of(*seeds, fixed=True)
    floors, ceilings = [mean(s.floor) for s in seeds], [mean(s.ceiling) for s in seeds]
    assert row.fixed is not None
    assert row.fixed.floor == Fixed(pytest.approx(np.mean(floors)), pytest.approx(np.std(floors, ddof=1)), 5)
    assert row.fixed.ceiling == Fixed(pytest.approx(np.mean(ceilings)), pytest.approx(np.std(ceilings, ddof=1)), 5)
    transfers = [mean(s.transfer) for s in seeds[:2]]
    each = [pgr(np.mean(floors), transfer, np.mean(ceilings)) for transfer in transfers]
    assert row.per_seed_pgr == tuple(map(pytest.approx, each))
    assert row.pgr is not None
    assert row.pgr.mean == pytest.approx(np.mean(each))
    assert row.seeds == (0, 1)
    assert row.floor is not None
    assert row.floor.mean == pytest.approx(np.mean(floors))
    # without fixing, the three other seeds do not count
    assert row_of(*seeds).floor != row.floor
    assert row_of(*seeds).fixed is None


def test_a_side_that_no_seed_has_leaves_nothing_to_hold_against() -> None:
    row = row_of(replace(scores(0), ceiling=None), replace(scores(1), ceiling=None), fixed=True)
    assert (row.pgr, row.verdict, row.fixed, row.seeds) == (None, "incomplete", None, ())
    assert row.floor is not None


def test_a_floor_and_a_student_of_different_seeds_are_enough() -> None:
    row = row_of(
        replace(scores(0), transfer=None, ceiling=None),
        replace(scores(1), floor=None, ceiling=None),
        replace(scores(2), floor=None, transfer=None),
        fixed=True,
    )
    assert row.seeds == (1,)
    assert row.pgr is not None
    assert row_of(replace(scores(0), transfer=None), replace(scores(1), floor=None)).pgr is None


def test_without_a_fixed_gap_there_is_no_number_either() -> None:
    seeds = [replace(there, ceiling=there.floor) for there in (scores(0), scores(1))]
    row = row_of(*seeds, fixed=True)
    assert (row.pgr, row.verdict) == (None, "no gap to recover")


def test_extras_have_a_mean_and_each_seed() -> None:
    row = row_of(scores(0), members={"member 0": (grade(7, 0.6), grade(8, 0.6))})
    each = [mean(grade(7, 0.6)), mean(grade(8, 0.6))]
    assert row.members == {"member 0": tuple(each)}
    assert row.member_means["member 0"].mean == pytest.approx(np.mean(each))
