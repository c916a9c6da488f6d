"""A population's members as schedules: which legs they share, where a broken search goes on, what a leg that fails leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.advice import Ask, Reply
from cluster.errors import BadInput
from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.w2s.search.searches import search_recipe
from w2s.search.breed import Breeder
from w2s.search.population import ALPHA, last_leg, leg_course, population, schedule
from w2s.search.searched import Searched, load_searched, search_folder
from w2s.search.table import Row, Table
from w2s.search.trials import Trial, students, trial_recipe
from w2s.stages import Train, walk

ROUNDS = 3
PBT: dict[str, Any] = {"algorithm": "pbt", "trials": 4, "rounds": ROUNDS}


def searched(folder: Path, search: dict[str, Any] | None = None, **changes: Any) -> Searched:
    return load_searched(str(search_recipe(folder, {**PBT, **(search or {})}, **{"strong__epochs": 3, **changes})))


def member(number: int, *alphas: float, reports: int | None = None) -> Row:
    told = tuple({"rung": n, "objective": 0.5, "alpha": alpha} for n, alpha in enumerate(alphas, 1))
    return Row(f"member-{number}", number, {ALPHA: list(alphas)}, "running", reports=told[:reports])


def legs(stage: Train) -> list[Train]:
    return [each for each in walk(stage).values() if isinstance(each, Train) and each.leg is not None]


def test_a_schedule_stays_within_the_bounds() -> None:
    history = [{ALPHA: -0.1}, {ALPHA: 0.123456789}]
    assert schedule(history, {ALPHA: 1.2}, 0.0, 0.9) == [0.0, 0.123457, 0.9]


def test_members_with_one_past_share_its_legs(tmp_path: Path) -> None:
    found = searched(tmp_path)
    one = next(iter(leg_course(found, [0.1, 0.2, 0.3], 0, None).students.values()))
    other = next(iter(leg_course(found, [0.1, 0.2, 0.7], 1, None).students.values()))
    assert isinstance(one, Train)
    assert isinstance(other, Train)
    keys = [[leg.key for leg in legs(student)] for student in (one, other)]
    assert keys[0][:2] == keys[1][:2]
    assert keys[0][2] != keys[1][2]
    early = next(iter(leg_course(found, [0.1], 2, None).students.values()))
    assert early.key == keys[0][0]


def test_only_the_last_round_is_graded(tmp_path: Path) -> None:
    found = searched(tmp_path)
    assert not leg_course(found, [0.1, 0.2], 0, None).grades
    whole = leg_course(found, [0.1, 0.2, 0.3], 0, None)
    assert list(whole.grades) == [0]
    assert set(whole.goals) == {whole.students[0].key, whole.grades[0].key}
    assert whole.students[0].key in walk(whole.grades[0])


def test_legs_are_of_the_confidence_loss(tmp_path: Path) -> None:
    recipe = load_searched(str(search_recipe(tmp_path, method={"kind": "naive"}))).base_recipe
    with pytest.raises(BadInput, match=r"set method\.kind: confidence"):
        last_leg(students(recipe)[0], [0.1], 2)


def test_a_search_begins_with_what_is_drawn(tmp_path: Path) -> None:
    found = population(searched(tmp_path), {})
    assert len(found.members) == 4
    assert len({one.values[ALPHA] for one in found.members}) == 4
    assert all(not one.history for one in found.members)
    assert dict(found.bounds) == {ALPHA: (0.0, 0.9)}
    assert population(searched(tmp_path), {}) == found


def test_a_broken_search_goes_on_from_the_last_round_all_have_reached(tmp_path: Path) -> None:
    rows = {0: member(0, 0.1, 0.2, 0.3), 1: member(1, 0.4, 0.5), 2: member(2, 0.1, 0.6), 3: member(3, 0.7, 0.8)}
    found = population(searched(tmp_path), rows).members
    assert [len(one.history) for one in found] == [2] * 4
    assert [past[ALPHA] for past in found[0].history] == [0.1, 0.2]
    assert found[0].values[ALPHA] == 0.3, "what it had decided already is what it tries"
    assert found[1].values[ALPHA] == 0.5
    drawn = population(searched(tmp_path), {})
    some = population(searched(tmp_path), {number: rows[number] for number in (0, 1)})
    assert some == drawn, "one that has not come to its first report is still at the beginning"


def test_a_search_of_other_rounds_has_another_table(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    folders = {search_folder(store, searched(tmp_path, {"rounds": rounds})) for rounds in (3, 4)}
    assert len(folders) == 2, "a third of a training is no quarter"
    trials = {search_folder(store, searched(tmp_path, {"trials": trials})) for trials in (4, 6)}
    assert len(trials) == 1


class Rounds:
    """An adviser that asks every member for its legs in turn, with alphas that are written down."""

    def __init__(self, *plans: list[float]) -> None:
        self._plans = plans
        self.replies: list[list[Reply]] = [[] for _ in plans]
        self._new = [self._ask(number, 0) for number in range(len(plans))]

    def _ask(self, number: int, done: int) -> Ask:
        plan = self._plans[number]
        history = tuple({ALPHA: alpha} for alpha in plan[:done])
        return Ask(f"{number}/{done}", done + 1, member=number, values={ALPHA: plan[done]}, history=history)

    def asks(self) -> list[Ask]:
        new, self._new = self._new, []
        return new

    def tell(self, ask: Ask, reply: Reply) -> None:
        self.replies[ask.member].append(reply)
        if not reply.last:
            self._new.append(self._ask(ask.member, ask.rung))

    def let_go(self) -> list[tuple[str, int]]:
        return []

    @property
    def over(self) -> bool:
        return all(told and told[-1].last for told in self.replies)

    def close(self) -> None:
        pass


def breed(found: Searched, store: Store, adviser: Rounds) -> tuple[int, dict[str, Row], Breeder]:
    with Table.open(search_folder(store, found), writing=True) as table, store.leases() as leases:
        members = {row.number: row for row in table.rows().values()}
        breeder = Breeder(found, store, table, members, lambda event: None)
        breeder.scheduler = scheduler = Scheduler(store, InlinePool(store.url), leases, breeder.hear)
        code = breeder.run(scheduler, adviser).exit_code
        return code, table.rows(), breeder


def test_a_table_of_a_population(tmp_path: Path) -> None:
    """Two members with one past: what it told stands in both; seconds are those of all legs."""
    found, store = searched(tmp_path), Store.open(tmp_path / "store")
    adviser = Rounds([0.1, 0.2, 0.3], [0.1, 0.2, 0.8])
    code, rows, _ = breed(found, store, adviser)
    assert code == 0
    one, other = rows.values()
    assert [row.status for row in (one, other)] == ["done", "done"]
    assert one.reports[:2] == other.reports[:2]
    assert [report["alpha"] for report in other.reports] == [0.1, 0.2, 0.8]
    assert [reply.objective for reply in adviser.replies[0]] == [report["objective"] for report in one.reports]
    assert "test_accuracy" in one.metrics
    student = leg_course(found, [0.1, 0.2, 0.3], 0, None).students[0]
    assert isinstance(student, Train)
    assert one.seconds == pytest.approx(sum(store.receipt(leg.key).seconds for leg in legs(student)))
    whole = students(trial_recipe(found, Trial(one.overrides)))[0]
    assert isinstance(whole, Train)
    assert whole.loss.alpha == (0.1, 0.2, 0.3)  # type: ignore[union-attr]


def test_a_leg_that_fails_is_no_number_and_stands_in_the_table(tmp_path: Path) -> None:
    found = searched(tmp_path, strong__optim={"lr": 1e30, "clip": None}, method={"kind": "confidence", "members": 1})
    adviser = Rounds([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    code, rows, _ = breed(found, Store.open(tmp_path / "store"), adviser)
    assert code == 1
    assert [[reply.objective for reply in told] for told in adviser.replies] == [[None] * 3] * 2
    for row in rows.values():
        assert row.status == "failed"
        assert row.reports == ()
        assert "loss" in str(row.metrics["why"])
