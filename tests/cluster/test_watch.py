"""Signs of life: at every report, and by themselves while one long thing is done, but not for ever."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cluster import watch
from cluster.watch import FileWatch, QuietWatch


@pytest.fixture
def signs(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr(watch, "SIGN_S", 0.01)
    return []


@pytest.mark.parametrize("kind", ["first rank", "another rank"])
def test_a_busy_job_gives_signs_without_telling_anything(kind: str, signs: list[float], tmp_path: Path) -> None:
    told: list[object] = []

    def alive() -> None:
        signs.append(time.monotonic())

    seen = QuietWatch(alive) if kind == "another rank" else FileWatch("k" * 64, "name", tmp_path, told.append, alive)
    with seen.busy():
        time.sleep(0.2)
    assert len(signs) > 3
    count = len(signs)
    time.sleep(0.05)
    assert len(signs) == count, "none once it is over"
    assert told == []


def test_silence_is_silence_in_the_end(signs: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LONGEST_S", 0.05)
    with QuietWatch(lambda: signs.append(time.monotonic())).busy():
        time.sleep(0.2)
        counted = len(signs)
    assert counted < 8
