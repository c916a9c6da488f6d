"""How long a run will still take: expectations from earlier runs, corrected by what this one has shown so far."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.tally import Running, Tally


def eta_s(tally: Tally, expected_s: Mapping[str, float], now: float) -> float | None:
    """Rough seconds until everything asked for is there; None where nothing is known of what is left.

    `expected_s` gives rough seconds by key for the stages that may run; `now` is the monotonic clock. Stages that are
    not in it are taken to last as long as the others do on average.
    """
    scale = _scale(tally, expected_s)
    usual = _usual_s(tally, expected_s, scale)
    running = [_running_s(key, stage, expected_s, scale, usual, now) for key, stage in tally.running.items()]
    begun = tally.over | tally.dropped | tally.running.keys()
    known = [seconds * scale for key, seconds in expected_s.items() if key not in begun][: tally.waiting]
    unknown = tally.waiting - len(known)
    if not tally.total or any(left is None for left in running) or (unknown and usual is None):
        return None
    left = [seconds for seconds in running if seconds is not None]
    work_s = sum(left) + sum(known) + unknown * (usual or 0.0)
    # no stage is cut in two: what runs longest bounds the whole
    return max([work_s / _side_by_side(tally, now), *left])


def _scale(tally: Tally, expected_s: Mapping[str, float]) -> float:
    """How much slower than expected stages have been; 1 before any has ended."""
    both = [(tally.seconds[key], expected_s[key]) for key in tally.seconds if expected_s.get(key, 0.0) > 0]
    thought = sum(expected for _, expected in both)
    return sum(seen for seen, _ in both) / thought if thought else 1.0


def _usual_s(tally: Tally, expected_s: Mapping[str, float], scale: float) -> float | None:
    """How long a stage of which nothing is known may take."""
    if tally.seconds:
        return sum(tally.seconds.values()) / len(tally.seconds)
    return scale * sum(expected_s.values()) / len(expected_s) if expected_s else None


def _running_s(
    key: str, stage: Running, expected_s: Mapping[str, float], scale: float, usual: float | None, now: float
) -> float | None:
    told = stage.left_s(now)
    if told is not None:
        return told
    whole = expected_s[key] * scale if key in expected_s else usual
    return None if whole is None else max(0.0, whole - (now - stage.since))


def _side_by_side(tally: Tally, now: float) -> float:
    """How many stages work at a time: now, or on average so far if that was more."""
    worked = sum(tally.seconds.values()) + sum(now - stage.since for stage in tally.running.values())
    span = now - tally.first_start if tally.first_start is not None else 0.0
    return max(1.0, len(tally.running), worked / span if span > 0 else 0.0)
