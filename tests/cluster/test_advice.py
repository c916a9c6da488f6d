"""Advisers that need no cluster: a list, and a suggester that learns."""

from __future__ import annotations

from cluster.advice import ListAdviser, Reply, SuggestedAdviser


class Climber:
    """Suggests the number after the best so far."""

    def __init__(self, most: int) -> None:
        self.most, self.best, self.given = most, 0.0, 0
        self.told: list[tuple[str, float | None]] = []

    def suggest(self) -> str | None:
        self.given += 1
        return None if self.given > self.most else f"{self.best + self.given / 10:.1f}"

    def tell(self, trial: str, objective: float | None) -> None:
        self.told.append((trial, objective))
        self.best = max(self.best, objective or 0.0)


def test_a_list_is_asked_for_at_once_and_is_over_when_all_are_told() -> None:
    adviser = ListAdviser(["a", "b"])
    asks = adviser.asks()
    assert [(ask.trial, ask.rung) for ask in asks] == [("a", 0), ("b", 0)]
    assert adviser.asks() == []
    adviser.tell(asks[0], Reply(1.0, last=True))
    assert not adviser.over
    adviser.tell(asks[1], Reply(None, failed="broke"))
    assert adviser.over


def test_suggestions_come_some_at_once_and_learn_from_what_is_told() -> None:
    climber = Climber(most=100)
    adviser = SuggestedAdviser(climber, count=4, at_once=2)
    first = adviser.asks()
    assert [ask.trial for ask in first] == ["0.1", "0.2"]
    assert adviser.asks() == [], "both places are taken"
    adviser.tell(first[0], Reply(7.0, last=True))
    second = adviser.asks()
    assert [ask.trial for ask in second] == ["7.3"], "it has learned"
    adviser.tell(first[1], Reply(None, failed="broke"))
    third = adviser.asks()
    assert len(third) == 1
    for ask in (*second, *third):
        adviser.tell(ask, Reply(0.0, last=True))
    assert adviser.over
    assert climber.told[:2] == [("0.1", 7.0), ("0.2", None)]
    assert len(climber.told) == 4


def test_a_suggester_may_run_dry_and_a_search_may_end_early() -> None:
    adviser = SuggestedAdviser(Climber(most=1), count=10, at_once=4)
    (only,) = adviser.asks()
    assert not adviser.over
    adviser.tell(only, Reply(1.0, last=True))
    assert adviser.over
    again = SuggestedAdviser(Climber(most=9), count=10, at_once=4)
    again.asks()
    again.close()
    assert again.over
