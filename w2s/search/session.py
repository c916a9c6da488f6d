"""What every search does with its shared graph, whoever its trials are: from the first ask until all has saved."""

from __future__ import annotations

from abc import ABC, abstractmethod

from cluster.advice import Adviser
from cluster.events import Event, Listener
from cluster.scheduler import Scheduler, Summary
from cluster.store import Store
from w2s import bridge
from w2s.search.meter import Meter
from w2s.search.searched import Searched
from w2s.search.table import Table

BASE = "recipe"  # the owner of what the recipe itself promises: its method as written, and its baselines
TURN_S = 0.1


class Session(ABC):
    """One run of a search. Subclasses say what is done with asks, and what is under way."""

    def __init__(self, searched: Searched, store: Store, table: Table, emit: Listener) -> None:
        self.searched, self.store, self.table, self._emit = searched, store, table, emit
        self.meter = Meter(searched.search.budget)
        self.scheduler: Scheduler

    @property
    @abstractmethod
    def under_way(self) -> bool:
        """Whether anything was begun that has not ended."""

    @abstractmethod
    def take(self, adviser: Adviser) -> None:
        """Begin what is asked for; let go what is not wanted any more."""

    @abstractmethod
    def look(self, adviser: Adviser) -> None:
        """Take in what has happened since, and tell the adviser."""

    @abstractmethod
    def leave(self) -> None:
        """Break off what is under way. That is no judgement: the next driver takes it up."""

    @abstractmethod
    def listen(self, event: Event) -> None:
        """Something has happened to a stage."""

    def hear(self, event: Event) -> None:
        """Everything that happens passes here, on its way to the display."""
        self.meter.hear(event, self.scheduler.jobs)
        self.listen(event)
        self._emit(event)

    def run(self, scheduler: Scheduler, adviser: Adviser) -> Summary:
        """Until the adviser asks no more, or the user or the budget ends it."""
        self.scheduler = scheduler
        recipe = self.searched.base_recipe
        with scheduler.at_work():
            try:
                scheduler.want(BASE, bridge.jobs(recipe), [stage.key for stage in recipe.goals()])
                while not self._over(adviser):
                    self.take(adviser)
                    scheduler.turn(TURN_S)
                    self.look(adviser)
                unfinished = self.under_way or not adviser.over
                self.leave()
                while scheduler.busy:  # what the recipe itself promises; and what was let go still saves
                    scheduler.turn()
            finally:
                adviser.close()
        # what is dropped takes along what waits with it, so the graph alone does not tell
        scheduler.summary.interrupted |= scheduler.stopping and unfinished
        return scheduler.summary

    def note(self, text: str) -> None:
        """A line for the user, of the search as a whole."""
        self._emit(Event("note", data={"text": text}))

    def _over(self, adviser: Adviser) -> bool:
        if self.scheduler.stopping:
            return not self.scheduler.busy
        spent = self.meter.spent()
        if spent:
            self.note(f"{spent}: those under way save and leave, and the same command goes on with as much again")
            return True
        return adviser.over and not self.under_way
