"""Ray Tune as adviser on a real local cluster: it stops what is poor, learns, breeds; and it can be sent home at any time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.advice import Ask, Reply
from cluster.tune_adviser import Member, Population, Stopping, TuneAdviser, widest_bracket

pytestmark = [pytest.mark.ray, pytest.mark.slow]
RUNGS = 4


def drive(adviser: TuneAdviser, score: Callable[[Ask], float], limit_s: float = 200) -> tuple[list[Ask], set[str]]:
    """Answer every ask at once. Returns what was asked, and what was let go before its end."""
    asks: list[Ask] = []
    ends: set[str] = set()
    gone: set[str] = set()
    deadline = time.monotonic() + limit_s
    while not adviser.over and time.monotonic() < deadline:
        gone |= {trial for trial, rung in adviser.let_go() if rung < RUNGS}
        for ask in adviser.asks():
            asks.append(ask)
            ends |= {ask.trial} if ask.rung == RUNGS else set()
            adviser.tell(ask, Reply(score(ask), last=ask.rung == RUNGS))
        time.sleep(0.01)
    assert adviser.over
    gone |= {trial for trial, rung in adviser.let_go() if rung < RUNGS}
    adviser.close()
    return asks, gone - ends


def rungs(asks: list[Ask]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for ask in asks:
        found.setdefault(ask.trial, []).append(ask.rung)
    return found


def test_asha_stops_the_poor_and_lets_the_good_go_on(ray_cluster: None, tmp_path: Path) -> None:
    names = ["9", "8", "1", "2", "7"]
    adviser = TuneAdviser(tmp_path / "tune", trials=names, stopping=Stopping("asha", 1, 2), at_once=1)
    asks, gone = drive(adviser, lambda ask: float(ask.trial) * ask.rung)
    seen = rungs(asks)
    assert seen["9"] == [1, 2, 3, 4], "reports come one by one, in order"
    assert seen["1"] == seen["2"] == [1], "half of what was there at this rung is better"
    assert gone >= {"1", "2"}
    assert "9" not in gone
    assert not (tmp_path / "tune").exists(), "nothing of Tune's is kept"


def test_hyperband_pauses_a_bracket_and_the_better_go_on(ray_cluster: None, tmp_path: Path) -> None:
    """Two evaluations at most: brackets of two whole trainings, and of two, of which the better goes on after the first."""
    names = ["1", "2", "3", "4"]
    adviser = TuneAdviser(tmp_path / "tune", trials=names, stopping=Stopping("hyperband", 1, 2, 2), at_once=1)
    asks: list[Ask] = []
    gone: list[tuple[str, int]] = []
    deadline = time.monotonic() + 60
    while not adviser.over and time.monotonic() < deadline:
        gone += adviser.let_go()
        for ask in adviser.asks():
            asks.append(ask)
            adviser.tell(ask, Reply(float(ask.trial), last=ask.rung == 2))
        time.sleep(0.01)
    assert adviser.over
    gone += adviser.let_go()
    adviser.close()
    assert rungs(asks) == {"1": [1, 2], "2": [1, 2], "3": [1], "4": [1, 2]}
    assert ("3", 1) in gone
    assert len(gone) == len(set(gone)), "each is told once"


@pytest.mark.parametrize(("most", "reduction", "width"), [(1, 3, 1), (2, 2, 2), (9, 3, 9), (27, 3, 27), (9, 2, 8)])
def test_the_widest_bracket(most: int, reduction: float, width: int) -> None:
    assert widest_bracket(most, reduction) == width


def test_a_failed_trial_ends_alone(ray_cluster: None, tmp_path: Path) -> None:
    adviser = TuneAdviser(tmp_path / "tune", trials=["a", "b"], at_once=2)
    told: list[tuple[str, int]] = []
    deadline = time.monotonic() + 60
    while not adviser.over and time.monotonic() < deadline:
        for ask in adviser.asks():
            told.append((ask.trial, ask.rung))
            bad = ask.trial == "a"
            adviser.tell(ask, Reply(None, failed="its stage failed") if bad else Reply(1.0, last=ask.rung == 2))
        time.sleep(0.01)
    assert adviser.over
    adviser.close()
    assert sorted(told) == [("a", 1), ("b", 1), ("b", 2)]


class Bisects:
    """Suggests numbers, each nearer to the best."""

    def __init__(self) -> None:
        self.low, self.high = 0.0, 1.0
        self.told: dict[str, float | None] = {}

    def suggest(self) -> str | None:
        return f"{(self.low + self.high) / 2:.4f}"

    def tell(self, trial: str, objective: float | None) -> None:
        self.told[trial] = objective
        if float(trial) < 0.8:
            self.low = float(trial)
        else:
            self.high = float(trial)


def test_a_suggester_hears_how_its_trials_did(ray_cluster: None, tmp_path: Path) -> None:
    bisects = Bisects()
    adviser = TuneAdviser(tmp_path / "tune", suggester=bisects, count=4, at_once=1)
    asks, _ = drive(adviser, lambda ask: -abs(float(ask.trial) - 0.8) + ask.rung)
    assert list(bisects.told) == ["0.5000", "0.7500", "0.8750", "0.8125"]
    assert bisects.told["0.7500"] == pytest.approx(-0.05 + RUNGS), "its last report counts"
    assert len(asks) == 4 * RUNGS


def test_a_population_breeds_and_every_member_says_what_lies_behind_it(ray_cluster: None, tmp_path: Path) -> None:
    """Values near 0.3 are best. One member goes on from a search that was broken off after a rung, and all stay abreast."""
    members = [Member({"alpha": value}, ({"alpha": value},)) for value in (0.0, 0.3, 0.6, 0.95)]
    adviser = TuneAdviser(tmp_path / "tune", population=Population(members, {"alpha": (0.0, 1.0)}, seed=1))
    asks, _ = drive(adviser, lambda ask: -abs(ask.values["alpha"] - 0.3))
    assert {ask.rung for ask in asks} == {2, 3, 4}, "the first rung lies behind them"
    assert sorted(ask.member for ask in asks) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3], "everybody stays who he is"
    for ask in asks:
        assert len(ask.history) == ask.rung - 1
        assert 0.0 <= ask.values["alpha"] <= 1.2, "PBT's steps of a fifth may leave the bounds; the search clips them"
    late = [ask for ask in asks if ask.rung > 2]
    assert all(ask.history[0]["alpha"] != 0.95 for ask in late if ask.rung == 4), "the worst took over a better past"


def test_it_goes_home_in_the_middle(ray_cluster: None, tmp_path: Path) -> None:
    adviser = TuneAdviser(tmp_path / "tune", trials=[str(i) for i in range(20)], at_once=2)
    deadline = time.monotonic() + 60
    asked: list[Ask] = []
    while len(asked) < 2 and time.monotonic() < deadline:
        asked += adviser.asks()
        time.sleep(0.01)
    assert len(asked) == 2, "as many as may run at once"
    adviser.close()
    assert adviser.over


def test_a_member_without_a_number_is_the_worst_and_nobody_waits_for_it(ray_cluster: None, tmp_path: Path) -> None:
    """A leg that fails is answered with no objective: its member takes over from a better one, and all come to the end."""
    members = [Member({"alpha": value}) for value in (0.1, 0.3, 0.6, 0.9)]
    adviser = TuneAdviser(tmp_path / "tune", population=Population(members, {"alpha": (0.0, 1.0)}, seed=1))
    asks: list[Ask] = []
    deadline = time.monotonic() + 100
    while not adviser.over and time.monotonic() < deadline:
        for ask in adviser.asks():
            asks.append(ask)
            broken = ask.member == 2 and ask.rung == 1
            adviser.tell(ask, Reply(None if broken else 1 - ask.values["alpha"], last=ask.rung == RUNGS))
        time.sleep(0.01)
    assert adviser.over, "the others do not wait for ever"
    adviser.close()
    assert sorted(ask.member for ask in asks if ask.rung == RUNGS) == [0, 1, 2, 3]
    second = next(ask for ask in asks if ask.member == 2 and ask.rung == 2)
    assert second.history[0]["alpha"] == 0.1, "the worst took over from the best"
