"""The HParams view of a recipe: a session for each method and seed, with what was chosen and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cluster import event_values
from w2s.board.names import seed_name
from w2s.board.scores import ORACLE, Line, Told

Value = float | bool | str
METRICS = {
    "result/floor": "test accuracy of the weak supervisor",
    "result/transfer": "test accuracy of the strong student on weak labels",
    "result/ceiling": "test accuracy of the strong model on ground truth",
    "result/pgr": "performance gap recovered, of this seed alone; none where there is no gap to recover",
    "result/agreement": "the student's agreement with its supervisor on the test rows",
}
ALWAYS = ("method", "seed")
KIND = "method.kind"  # which the method's own label begins with
CHOSEN_BY_TRUTH = "Ground truth chose this student's checkpoint: a bound, not a result. "


def columns(told: Told) -> dict[tuple[str, int], dict[str, Value]]:
    """(run's method, seed) -> what was chosen, each column of one type: words where its values are of several."""
    found = {(line.name, seed): _chosen(told, line, seed) for line in told.lines for seed in line.seeds}
    kinds: dict[str, set[type]] = {}
    for session_values in found.values():
        for name, value in session_values.items():
            kinds.setdefault(name, set()).add(type(value))
    return {
        where: {name: value if len(kinds[name]) == 1 else str(value) for name, value in session_values.items()}
        for where, session_values in found.items()
    }


def _chosen(told: Told, line: Line, seed: int) -> dict[str, Value]:
    """Who, and every field of the method by its dotted path."""
    recipe = told.recipe
    about: dict[str, Value] = {
        "method": line.row.method, "seed": float(seed), "task": recipe.task.kind, "weak": recipe.weak.model.short,
        "strong": recipe.strong.model.short, "oracle": line.oracle,
    }  # fmt: skip
    return about | _flat(line.config.dump(), "method.")


def _flat(fields: Mapping[str, Any], before: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        elif isinstance(value, bool | str):
            found[f"{before}{name}"] = value
        elif isinstance(value, int | float):
            found[f"{before}{name}"] = float(value)
        elif value is not None:
            found[f"{before}{name}"] = json.dumps(value)
    return found


def experiment(told: Told) -> Any:
    """The columns by which sessions differ, and the metrics; those of methods that ground truth helped are metrics of their own."""
    from tensorboard.plugins.hparams import api_pb2, metadata

    sessions = columns(told).values()
    values = {
        name: [session_values[name] for session_values in sessions if name in session_values]
        for name in dict.fromkeys(name for session_values in sessions for name in session_values)
    }
    # a field that is always the same would take the room of a score; the method's label tells what it chose
    values = {name: found for name, found in values.items() if name in ALWAYS or (name != KIND and len(set(found)) > 1)}
    metrics = dict(METRICS) if any(not line.oracle for line in told.lines) else {}
    if any(line.oracle for line in told.lines):
        metrics |= {f"{ORACLE}/{tag}": CHOSEN_BY_TRUTH + words for tag, words in METRICS.items()}
    infos = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag.replace("result/", ""), description=words)
        for tag, words in metrics.items()
    ]
    made = api_pb2.Experiment(
        description=f"{told.recipe.name}: methods by seeds",
        hparam_infos=[_column(name, found) for name, found in values.items()],
        metric_infos=infos,
    )
    return event_values.hparams(metadata.EXPERIMENT_TAG, experiment=made)


def _column(name: str, values: Sequence[Value]) -> Any:
    from tensorboard.plugins.hparams import api_pb2

    types = {float: api_pb2.DATA_TYPE_FLOAT64, bool: api_pb2.DATA_TYPE_BOOL, str: api_pb2.DATA_TYPE_STRING}
    known = list(dict.fromkeys(values))
    info = api_pb2.HParamInfo(name=name, display_name=name, type=types[type(known[0])], differs=len(known) > 1)
    if not isinstance(known[0], float):
        info.domain_discrete.extend(known)
    return info


def session(told: Told, line: Line, seed: int, chosen: Mapping[str, Value]) -> list[tuple[int, Any]]:
    """One method and seed: what was chosen, its scores, and that it is over where all that it promised is there."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    start = plugin_data_pb2.SessionStartInfo(group_name=f"{line.name}/{seed_name(seed)}")
    for name, value in chosen.items():
        place = start.hparams[name]
        if isinstance(value, bool):
            place.bool_value = value
        elif isinstance(value, str):
            place.string_value = value
        else:
            place.number_value = value
    found = [(0, event_values.hparams(metadata.SESSION_START_INFO_TAG, session_start_info=start))]
    rows = f"; {told.report.n_test} test rows, seed {seed}"
    for name, score in line.scores(seed).items():
        tag = f"result/{name}"
        words = (CHOSEN_BY_TRUTH if line.oracle else "") + METRICS[tag] + rows
        found.append((0, event_values.scalar(line.tag(tag), score, words)))
    graded = line.seeds[seed]
    if all(getattr(graded, side) is not None for side in line.outcomes[seed].sides()):
        end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
        found.append((0, event_values.hparams(metadata.SESSION_END_INFO_TAG, session_end_info=end)))
    return found
