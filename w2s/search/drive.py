"""The search itself: trials are asked for, their stages join one shared graph, their reports go back, poor ones are let go.

What is true of a search is its table; the adviser is told the past anew whenever a search goes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.advice import Adviser, Ask, Reply
from cluster.errors import StageFailed
from cluster.events import Event, Listener
from cluster.store import Store
from cluster.worker import Ended
from w2s.search.course import Course, measure_of
from w2s.search.measure import Measure
from w2s.search.searched import Searched
from w2s.search.session import Session
from w2s.search.table import Row, Table
from w2s.search.trials import Trial, trial_recipe


@dataclass
class Book:
    """All trials of a search by key: what they are, and how they stood when this driver came."""

    trials: dict[str, Trial] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Mapping[str, Row]) -> Book:
        book = cls(rows=dict(rows))
        for row in rows.values():
            book.add(Trial(row.overrides), row.number)
        return book

    def add(self, trial: Trial, number: int | None = None) -> int:
        """Enter a trial; one that is there keeps its number."""
        if trial.key not in self.numbers:
            self.trials[trial.key] = trial
            self.numbers[trial.key] = max(self.numbers.values(), default=-1) + 1 if number is None else number
        return self.numbers[trial.key]

    def finished(self, key: str) -> bool:
        return key in self.rows and self.rows[key].status == "done"


class Driver(Session):
    """Runs one search to its end. `continuing`: trials that an earlier driver stopped are judged again."""

    def __init__(
        self, searched: Searched, store: Store, table: Table, book: Book, emit: Listener, *, continuing: bool = False
    ) -> None:
        super().__init__(searched, store, table, emit)
        self.book, self._continuing = book, continuing
        self._courses: dict[str, Course] = {}  # under way, by trial
        self._measures: dict[str, Measure] = {}
        self._asks: dict[str, Ask] = {}  # not answered yet, by trial
        self._heard_by: dict[str, list[Course]] = {}  # a goal's key -> the trials it belongs to
        self._told: dict[str, int] = {}  # reports that the table has, by trial
        self._asked: dict[str, int] = {}  # the last rung asked for, by trial
        self._stirred: set[str] = set()  # trials to look at: something has happened to one of their goals
        self._let_go_here: set[str] = set()  # trials stopped by this driver, which the adviser may take up again

    def listen(self, event: Event) -> None:
        for course in self._heard_by.get(event.key, ()):
            course.hear(event)
            if event.kind != "progress":
                self._stirred.add(course.trial.key)

    @property
    def under_way(self) -> bool:
        return bool(self._courses)

    def take(self, adviser: Adviser) -> None:
        self._let_go(adviser)
        for ask in [] if self.scheduler.stopping else adviser.asks():
            self._asks[ask.trial], self._asked[ask.trial] = ask, ask.rung
            row = self.book.rows.get(ask.trial)
            if ask.trial not in self._courses and not self._is_past(ask, row):
                self._begin(ask.trial, row)
            self._answer(ask, adviser)

    def _is_past(self, ask: Ask, row: Row | None) -> bool:
        """Whether the table alone answers: the trial is finished, or was stopped and stays so."""
        if row is None or row.status not in ("done", "stopped"):
            return False
        return row.status == "done" or not self._goes_on(row) or 0 < ask.rung <= len(row.reports)

    def _goes_on(self, row: Row) -> bool:
        """Whether a trial that was stopped is trained further if asked."""
        return self._continuing or row.trial in self._let_go_here

    def _begin(self, key: str, row: Row | None) -> None:
        trial = self.book.trials[key]
        course = Course.of(trial, self.book.add(trial), trial_recipe(self.searched, trial), row)
        self._courses[key] = course
        self._told[key] = len(row.reports) if row else 0
        for seed, student in course.students.items():
            for other in self._heard_by.get(student.key, ()):  # it may have told something already
                course.points.setdefault(seed, {}).update(other.told_by(student.key))
        for goal in course.goals:
            self._heard_by.setdefault(goal, []).append(course)
        self._stirred.add(key)
        self._write(course)
        self.scheduler.want(key, course.jobs, list(course.goals))

    def look(self, adviser: Adviser) -> None:
        stirred, self._stirred = self._stirred, set()
        for key in stirred:
            if key in self._courses:
                self._look_at(self._courses[key])
            if key in self._asks:
                self._answer(self._asks[key], adviser)

    def _look_at(self, course: Course) -> None:
        key = course.trial.key
        try:
            course.look(self.scheduler, self.store)
            if course.status == "running" and len(course.reports()) > self._told[key]:
                self._told[key] = len(course.reports())
                self._write(course)
            if course.status in ("done", "failed"):
                self._end(course)
        except StageFailed as problem:  # its result is damaged, or was not measured so: others can still be judged
            course.status, course.why = "failed", problem.what
            student = next(iter(course.students.values())).key
            self.scheduler.summary.failures[student] = Ended(student, "failed", error=problem.record())
            self._end(course)

    def _answer(self, ask: Ask, adviser: Adviser) -> None:
        """Answer an ask as soon as there is an answer."""
        course = self._courses.get(ask.trial)
        row = None if course else self.book.rows.get(ask.trial)
        reply: Reply | None = None
        if row is not None:
            reply = _from_row(row, ask.rung, stays=row.status == "stopped" and not self._goes_on(row))
        elif course is not None and ask.rung:
            reports = course.reports()
            if ask.rung <= len(reports):
                reply = Reply(_finite(self._measure(course).mean(reports[ask.rung - 1])))
        if reply is not None:
            del self._asks[ask.trial]
            adviser.tell(ask, reply)

    def _let_go(self, adviser: Adviser) -> None:
        """Trials the adviser has stopped; one that is asked for beyond that rung has been taken up again."""
        for key, rung in adviser.let_go():
            course = self._courses.get(key)
            if course is not None and course.status == "running" and self._asked.get(key, 0) <= rung:
                course.status = "stopped"
                self._let_go_here.add(key)
                self._end(course)

    def leave(self) -> None:
        for course in list(self._courses.values()):
            self._end(course)

    def _end(self, course: Course) -> None:
        row = self._write(course)
        self.scheduler.drop(course.trial.key)
        del self._courses[course.trial.key]
        for goal in course.goals:
            self._heard_by[goal].remove(course)
        self.book.rows[course.trial.key] = row
        told = {"done": "done", "stopped": "stopped early", "failed": f"failed: {course.why}", "running": "broken off"}
        objective = row.metrics.get("objective")
        score = f", {self.searched.search.objective} {objective:.4f}" if isinstance(objective, float) else ""
        self.note(f"trial {course.number} ({course.trial.label}) {told[course.status]}{score}")

    def _measure(self, course: Course) -> Measure:
        key = course.trial.key
        if key not in self._measures:
            self._measures[key] = measure_of(self.searched.search, course, self.store)
        return self._measures[key]

    def _write(self, course: Course) -> Row:
        past = self.book.rows.get(course.trial.key)
        row = course.as_row(self._measure_now(course), self.store, (past.attempt if past else 0) + 1)
        self.table.append(row)
        return row

    def _measure_now(self, course: Course) -> Measure:
        """Before a student has told anything its supervisors may not be there yet."""
        return self._measure(course) if course.final or course.reports() else Measure(self.searched.search)


def _from_row(row: Row, rung: int, *, stays: bool) -> Reply:
    """What a trial that has ended told at a rung; its last word beyond what it told. `stays`: it stays stopped."""
    objective = row.metrics.get("objective")
    final = _finite(float(objective)) if isinstance(objective, int | float) else None
    if row.status == "failed" or (final is None and not row.reports):
        return Reply(None, failed=str(row.metrics.get("why", "it told nothing")))
    if 0 < rung <= len(row.reports):
        value = row.reports[rung - 1]["objective"]
        return Reply(None if value is None else _finite(float(value)), last=stays and rung == len(row.reports))
    return Reply(final, last=True)


def _finite(value: float) -> float | None:
    """A student that has diverged tells NaN, which is no number to rank by."""
    return value if math.isfinite(value) else None
