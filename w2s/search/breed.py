"""The search where trials are members of a population: each ask is a member's next leg."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from cluster.advice import Adviser, Ask, Reply
from cluster.events import Event, Listener
from cluster.store import Store
from w2s.search.course import Course, measure_of
from w2s.search.measure import Measure
from w2s.search.population import ALPHA, leg_course, schedule
from w2s.search.searched import Searched
from w2s.search.session import Session
from w2s.search.table import Row, Table, member


class Breeder(Session):
    """Runs a population to its end. `rows` are the table's by member."""

    def __init__(self, searched: Searched, store: Store, table: Table, rows: Mapping[int, Row], emit: Listener) -> None:
        super().__init__(searched, store, table, emit)
        self.rows = dict(rows)
        self._legs: dict[str, tuple[Ask, Course]] = {}  # under way, by ask
        self._measure: Measure | None = None
        domain = searched.search.space[ALPHA]
        self._bounds = float(domain.corners()[0]), float(domain.corners()[-1])

    @property
    def under_way(self) -> bool:
        return bool(self._legs)

    def listen(self, event: Event) -> None:
        for _, course in self._legs.values():
            if event.key in course.goals:
                course.hear(event)

    def take(self, adviser: Adviser) -> None:
        for ask in [] if self.scheduler.stopping else adviser.asks():
            self._begin(ask)

    def leave(self) -> None:
        for name in list(self._legs):
            self.scheduler.drop(name)

    def _begin(self, ask: Ask) -> None:
        course = leg_course(self.searched, self._alphas(ask), ask.member, self.rows.get(ask.member))
        self._legs[ask.id] = (ask, course)
        self.scheduler.want(ask.id, course.jobs, list(course.goals))

    def _alphas(self, ask: Ask) -> list[float]:
        return schedule(ask.history, ask.values, *self._bounds)

    def look(self, adviser: Adviser) -> None:
        for name, (ask, course) in list(self._legs.items()):
            course.look(self.scheduler, self.store)
            if course.status == "running":
                continue
            del self._legs[name]
            self.scheduler.drop(name)
            if course.status == "failed":
                adviser.tell(ask, self._failed(ask, course))
                continue
            adviser.tell(ask, self._told(ask, course))

    def _failed(self, ask: Ask, course: Course) -> Reply:
        """A leg has failed: its member is the worst of the round, and may take over from a better one.

        It does not leave: the others would wait for it for ever. The table keeps how far it came.
        """
        self.note(f"member {ask.member} round {ask.rung} failed: {course.why}")
        own = self.rows.get(ask.member)
        reports = own.reports if own is not None else ()
        overrides = own.overrides if own is not None else {ALPHA: course.trial.overrides[ALPHA][:1]}
        row = Row(
            member(ask.member), ask.member, overrides, "failed", own.keys if own is not None else {}, reports,
            {"why": course.why, "share": len(reports) / self.searched.search.rounds}, own.seconds if own is not None else 0.0,
        )  # fmt: skip
        self.rows[ask.member] = row
        self.table.append(row)
        return Reply(None, last=ask.rung == self.searched.search.rounds)

    def _told(self, ask: Ask, course: Course) -> Reply:
        """A leg is done: it goes into the table as far as the member has come, and its marks to the adviser."""
        self._measure = self._measure or measure_of(self.searched.search, course, self.store)
        last = ask.rung == self.searched.search.rounds
        row = course.as_row(self._measure, self.store, 1)
        told = row.metrics["objective"]
        objective = float(told) if isinstance(told, int | float) and math.isfinite(told) else None
        past = self._past(ask)
        alphas = list(row.overrides[ALPHA])
        report = {"rung": ask.rung, "objective": objective, "alpha": alphas[-1]}
        row = replace(
            row, trial=member(ask.member), reports=(*past, report), status="done" if last else "running",
            metrics={**row.metrics, "share": ask.rung / self.searched.search.rounds},
        )  # fmt: skip
        self.rows[ask.member] = row
        self.table.append(row)
        name = self.searched.search.objective
        score = "no number" if objective is None else f"{objective:.4f}"
        self.note(f"member {ask.member} round {ask.rung}: alpha {alphas[-1]:.3g}, {name} {score}")
        return Reply(objective, last=last)

    def _past(self, ask: Ask) -> list[Mapping[str, float | int | None]]:
        """What was told of the rounds behind a member; a past that it took over is that of whoever has the same alphas."""
        alphas = self._alphas(ask)[:-1]
        for row in (*filter(None, [self.rows.get(ask.member)]), *self.rows.values()):
            if (
                len(row.reports) >= len(alphas)
                and [float(alpha) for alpha in row.overrides[ALPHA]][: len(alphas)] == alphas
            ):
                return list(row.reports[: len(alphas)])
        return [{"rung": rung, "objective": None, "alpha": alpha} for rung, alpha in enumerate(alphas, 1)]
