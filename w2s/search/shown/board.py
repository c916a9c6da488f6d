"""A search in TensorBoard: typed HParams columns, a run for each of the best trials, and one summary run over all of them.

TensorBoard's HParams view takes each session from a run, and a run is a folder: a thousand trials would be a thousand folders.
So the best trials have runs (`SESSIONS` at most), and the summary run has every trial's objective, the best so far, and the
whole table as text. What knows the ground truth is named `oracle/...`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import event_files, event_values
from cluster.store import Store
from w2s.search.config import TOLD_OBJECTIVE
from w2s.search.ending import Ending
from w2s.search.shown.fields import Field, Value, fields_of, short
from w2s.search.shown.truth import Truth, number, truth_of
from w2s.search.table import Row
from w2s.search.trials import Trial

SESSIONS = 64
SUMMARY = "summary"
LISTED = 2_000  # trials in the text table: TensorBoard shows it as one page
NAME_LENGTH = 100
TOLD = {
    "agreement": "with held-out weak labels",
    "confidence": "mean largest probability on held-out rows",
    "misfit": "KL(student || supervisor) on held-out rows, nats",
    "oracle/accuracy": "on held-out rows, against ground truth: nothing honest is chosen by it",
    "oracle/test_accuracy": "against ground truth: for the record, nothing is chosen by it",
    "oracle/pgr": "performance gap recovered, between floor and ceiling of the recipe as written; for the record",
}


@dataclass(frozen=True)
class Metric:
    """One result of a trial: its tag in TensorBoard, and the value of a trial that has one."""

    tag: str
    told: str
    values: dict[str, float]


def board_folder(store: Store, folder: Path) -> Path:
    """Where a search's TensorBoard files are: a root of its own, so that its columns are no other search's."""
    return store.tensorboard / "searches" / folder.name


def write_board(ending: Ending, store: Store) -> Path:
    """Write, or write anew, all TensorBoard files of a search as far as it has come. Returns their root. Raises BadEnvironment."""
    root = board_folder(store, ending.folder)
    fields = fields_of(ending.searched, ending.rows)
    metrics = metrics_of(ending, truth_of(ending.searched, store))
    runs = {run_name(row): row for row in _chosen(ending)}
    event_files.write_run(root / SUMMARY, _summary(ending, fields, metrics))
    for name, row in runs.items():
        event_files.write_run(root / name, _session(ending, row, name, fields, metrics))
    event_files.clear(root, {SUMMARY, *runs})
    return root


def run_name(row: Row) -> str:
    """`0007 alpha=0.31 warmup=0.1`: what people read in TensorBoard, safe as a folder's name."""
    label = re.sub(r"[^A-Za-z0-9._=+,() -]+", "-", Trial(row.overrides).label)
    return f"{row.number:04d} {label}"[:NAME_LENGTH].strip(" .")


def metrics_of(ending: Ending, truth: Truth) -> list[Metric]:
    """What trials are measured by: the objective first, then what an honest search may look at, then what it may not."""
    search = ending.searched.search
    objective = "oracle/objective" if search.is_oracle else "objective"
    found = [Metric(objective, TOLD_OBJECTIVE[search.objective], _numbers(ending.rows, "objective"))]
    for name in ("agreement", "confidence", "misfit"):
        found.append(Metric(name, TOLD[name], _numbers(ending.rows, name)))
    for name in ("accuracy", "test_accuracy"):
        found.append(Metric(f"oracle/{name}", TOLD[f"oracle/{name}"], _numbers(ending.rows, name)))
    recovered = {row.trial: value for row in ending.rows if (value := truth.pgr(row)) is not None}
    found.append(Metric("oracle/pgr", TOLD["oracle/pgr"] if truth.gap else truth.why, recovered))
    return found


def _numbers(rows: Sequence[Row], name: str) -> dict[str, float]:
    return {row.trial: value for row in rows if (value := number(row, name)) is not None}


def _chosen(ending: Ending) -> list[Row]:
    """The finished trials, the best first, then the others, the latest first; so many as have runs."""
    judged = ending.judged
    known = {row.trial for row in judged}
    others = [row for row in reversed(ending.rows) if row.trial not in known]
    return [*judged, *others][:SESSIONS]


def _summary(ending: Ending, fields: Sequence[Field], metrics: Sequence[Metric]) -> list[tuple[int, Any]]:
    """The run over all trials: the experiment, one point a finished trial, the table."""
    from tensorboard.plugins.hparams import metadata

    mark = "oracle" if ending.searched.search.is_oracle else "search"
    experiment = event_values.hparams(metadata.EXPERIMENT_TAG, experiment=_experiment(ending, fields, metrics))
    found: list[tuple[int, Any]] = [(0, experiment), (0, event_values.text("search/trials", _table(ending, metrics)))]
    best: float | None = None
    for row in sorted(ending.judged, key=lambda row: row.number):
        value = float(row.metrics["objective"] or 0)
        best = value if best is None else max(best, value)
        found.append((row.number, event_values.scalar(f"{mark}/objective", value)))
        found.append((row.number, event_values.scalar(f"{mark}/best_so_far", best)))
        for metric in metrics:
            if metric.tag in ("oracle/test_accuracy", "oracle/pgr") and row.trial in metric.values:
                found.append((row.number, event_values.scalar(metric.tag, metric.values[row.trial])))
    return found


def _experiment(ending: Ending, fields: Sequence[Field], metrics: Sequence[Metric]) -> Any:
    """The columns, typed: api_pb2.Experiment."""
    from tensorboard.plugins.hparams import api_pb2

    search = ending.searched.search
    infos = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=one.tag), display_name=one.tag, description=one.told)
        for one in metrics
    ]
    infos[0].display_name = f"{metrics[0].tag} ({search.objective})"
    return api_pb2.Experiment(
        description=f"{ending.searched.recipe.name}: {search.varied} by {search.objective}",
        hparam_infos=[_column(field) for field in fields],
        metric_infos=infos,
    )


def _column(field: Field) -> Any:
    from tensorboard.plugins.hparams import api_pb2

    kinds = {
        "number": api_pb2.DATA_TYPE_FLOAT64,
        "truth": api_pb2.DATA_TYPE_BOOL,
        "words": api_pb2.DATA_TYPE_STRING,
    }
    info = api_pb2.HParamInfo(name=field.path, display_name=field.path, type=kinds[field.kind], differs=field.varies)
    if field.listed:
        info.domain_discrete.extend(list(field.listed))
    else:
        info.domain_interval.min_value, info.domain_interval.max_value = field.low, field.high
    return info


def _session(
    ending: Ending, row: Row, name: str, fields: Sequence[Field], metrics: Sequence[Metric]
) -> list[tuple[int, Any]]:
    """A trial's run: its values, its curves by evaluation, its results last."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    start = plugin_data_pb2.SessionStartInfo(group_name=name)
    for field in fields:
        if row.trial in field.values:
            _set(start.hparams[field.path], field.values[row.trial])
    found: list[tuple[int, Any]] = [
        (0, event_values.hparams(metadata.SESSION_START_INFO_TAG, session_start_info=start))
    ]
    objective = metrics[0].tag
    steps = 0
    for steps, report in enumerate(row.reports, 1):
        value = report.get("objective")
        if value is not None:
            found.append((steps, event_values.scalar(objective, float(value))))
    for metric in metrics:
        if row.trial in metric.values:
            found.append((steps + 1, event_values.scalar(metric.tag, metric.values[row.trial])))
    # a trial that was stopped or is under way may go on: it has no end, and TensorBoard calls its status unknown
    ends = {"done": api_pb2.STATUS_SUCCESS, "failed": api_pb2.STATUS_FAILURE}
    if row.status in ends:
        end = plugin_data_pb2.SessionEndInfo(status=ends[row.status])
        found.append((steps + 1, event_values.hparams(metadata.SESSION_END_INFO_TAG, session_end_info=end)))
    return found


def _set(place: Any, value: Value) -> None:
    if isinstance(value, bool):
        place.bool_value = value
    elif isinstance(value, str):
        place.string_value = value
    else:
        place.number_value = value


def _table(ending: Ending, metrics: Sequence[Metric]) -> str:
    """Every trial as a line of a markdown table, the best first."""
    judged = ending.judged
    known = {row.trial for row in judged}
    rows = [*judged, *(row for row in ending.rows if row.trial not in known)]
    head = ["trial", "values", "status", *(metric.tag for metric in metrics)]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in rows[:LISTED]:
        scores = [f"{metric.values[row.trial]:.4f}" if row.trial in metric.values else "" for metric in metrics]
        lines.append(_line([str(row.number), short(Trial(row.overrides).label, 200), row.status, *scores]))
    if len(rows) > LISTED:
        lines += ["", f"The best {LISTED} of {len(rows)} trials; all are in {ending.folder / 'trials.parquet'}."]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    # TensorBoard takes out markup that runs; what a value says should still be read as it is
    safe = [" ".join(cell.split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;") for cell in cells]
    return f"| {' | '.join(safe)} |"
