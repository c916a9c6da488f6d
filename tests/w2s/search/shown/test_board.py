"""TensorBoard's own API reads what is written: typed columns, metrics in order, one session a trial, never too many files."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

from cluster import event_files
from cluster.store import Store
from tests.conftest import ROOT
from tests.w2s.search.shown.conftest import Real
from tests.w2s.search.shown.searches import made_up, searched, written
from w2s.search.ending import as_it_stands
from w2s.search.shown.board import SESSIONS, SUMMARY, run_name, write_board
from w2s.search.table import Row

ORDER = ["agreement", "confidence", "misfit", "oracle/accuracy", "oracle/test_accuracy", "oracle/pgr"]


class Board:
    """A TensorBoard over a folder, without its web server."""

    def __init__(self, root: Path) -> None:
        self.multiplexer = EventMultiplexer()
        self.root = root
        self.look()
        provider = MultiplexerDataProvider(self.multiplexer, str(root))
        self._context = backend_context.Context(TBContext(logdir=str(root), data_provider=provider))

    def look(self) -> None:
        self.multiplexer.AddRunsFromDirectory(str(self.root))
        self.multiplexer.Reload()

    def experiment(self) -> Any:
        request = api_pb2.GetExperimentRequest()
        return get_experiment.Handler(context.RequestContext(), self._context, "", request).run()

    def sessions(self, metric: str) -> Any:
        """Session groups as the HParams view lists them, the highest metric first."""
        every = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]
        column = api_pb2.ColParams(metric=api_pb2.MetricName(tag=metric), order=api_pb2.ORDER_DESC)
        request = api_pb2.ListSessionGroupsRequest(
            allowed_statuses=every, col_params=[column], slice_size=10_000,
            aggregation_type=api_pb2.AGGREGATION_AVG,
        )  # fmt: skip
        return list_session_groups.Handler(context.RequestContext(), self._context, "", request).run().session_groups

    def values(self, run: str, tag: str) -> list[tuple[int, float]]:
        return [(e.step, round(float(e.tensor_proto.float_val[0]), 4)) for e in self.multiplexer.Tensors(run, tag)]


def test_columns_have_their_types_and_ends(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path)
    store = Store.open(store_url)
    board = Board(write_board(written(of, store, made_up(of, 12)), store))
    experiment = board.experiment()
    columns = {info.name: info for info in experiment.hparam_infos}
    assert set(columns) == set(of.search.space)
    number, words = api_pb2.DATA_TYPE_FLOAT64, api_pb2.DATA_TYPE_STRING
    alpha, rate = columns["method.alpha"], columns["strong.optim.lr"]
    assert (alpha.type, alpha.domain_interval.min_value, alpha.domain_interval.max_value) == (number, 0.0, 0.9)
    assert (rate.type, rate.domain_interval.min_value, rate.domain_interval.max_value) == (number, 1e-5, 1e-2)
    assert list(columns["method.warmup"].domain_discrete) == [0.1, 0.5]
    assert columns["method.warmup"].type == number
    assert columns["strong.evaluate"].type == words
    assert list(columns["strong.evaluate"].domain_discrete) == ["epoch", "5"]
    assert [info.name.tag for info in experiment.metric_infos] == ["objective", *ORDER]
    assert experiment.metric_infos[0].display_name == "objective (agreement)"


def test_sessions_are_trials_in_the_order_of_the_objective(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path)
    store = Store.open(store_url)
    ending = written(of, store, made_up(of, 12))
    groups = Board(write_board(ending, store)).sessions("objective")
    told = [row for row in ending.rows if "objective" in row.metrics]
    ranked = sorted(told, key=lambda row: -float(row.metrics["objective"] or 0))
    assert [group.name for group in groups[: len(ranked)]] == [run_name(row) for row in ranked]
    best = groups[0]
    assert best.name.startswith(f"{ranked[0].number:04d} ")
    assert "alpha=" in best.name
    assert best.hparams["method.alpha"].number_value == ranked[0].overrides["method.alpha"]
    assert best.hparams["strong.evaluate"].string_value == str(ranked[0].overrides["strong.evaluate"])
    metrics = {value.name.tag: value.value for value in best.metric_values}
    assert metrics["objective"] == pytest.approx(ranked[0].metrics["objective"], abs=1e-6)
    status = {group.name: group.sessions[0].status for group in groups}
    expected = {"done": api_pb2.STATUS_SUCCESS, "failed": api_pb2.STATUS_FAILURE, "stopped": api_pb2.STATUS_UNKNOWN}
    assert status == {run_name(row): expected[row.status] for row in ending.rows}


def test_truth_is_named_oracle_and_so_is_an_objective_that_looks_at_it(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path, objective="oracle")
    store = Store.open(store_url)
    board = Board(write_board(written(of, store, made_up(of, 12)), store))
    assert [info.name.tag for info in board.experiment().metric_infos] == ["oracle/objective", *ORDER]
    tags = {tag for run in board.multiplexer.Runs().values() for tag in run["tensors"]}
    assert not {tag for tag in tags if "objective" in tag or "best_so_far" in tag or "test" in tag} - {
        "oracle/objective", "oracle/best_so_far", "oracle/test_accuracy",
    }  # fmt: skip


def test_a_thousand_trials_are_few_files_and_soon_written(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path, trials=1000)
    store = Store.open(store_url)
    rows = made_up(of, 1000)
    ending = written(of, store, rows)
    began = time.process_time()
    root = write_board(ending, store)
    assert time.process_time() - began < 10, "0.2 s where it was measured"
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) == SESSIONS + 1
    assert sum(path.stat().st_size for path in files) < 2_000_000
    accumulator = EventAccumulator(str(root / SUMMARY))
    accumulator.Reload()
    objective = accumulator.Scalars("search/objective")
    done = [row for row in ending.rows if row.status == "done"]
    assert len(done) > 700
    assert objective[0].step == min(row.number for row in done)
    best = [event.value for event in accumulator.Scalars("search/best_so_far")]
    assert best == sorted(best)
    table = accumulator.Tensors("search/trials")[0].tensor_proto.string_val[0].decode()
    assert len([line for line in table.splitlines() if line.startswith("| ")]) == 1000 + 2
    assert table.splitlines()[2].startswith(f"| {ending.judged[0].number} |"), "the best first"


def test_written_anew_one_that_looks_sees_the_new_and_nothing_twice(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path)
    store = Store.open(store_url)
    rows = made_up(of, 12)
    board = Board(write_board(written(of, store, rows[:2]), store))
    assert [step for step, _ in board.values(SUMMARY, "search/objective")] == [0, 1]
    for upto in range(3, 13):
        write_board(written(of, store, rows[:upto]), store)
    board.look()
    steps = [step for step, _ in board.values(SUMMARY, "search/objective")]
    assert steps == [row.number for row in rows if row.status == "done"], "nothing twice, nothing old"
    assert len(board.sessions("objective")) == 12


def test_written_anew_it_does_not_grow(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of = searched(tmp_path)
    store = Store.open(store_url)
    rows = made_up(of, 12)
    root = write_board(written(of, store, rows), store)
    first = {path: path.stat().st_mtime_ns for path in root.rglob("*.*") if path.is_file()}
    assert len(first) == 12 + 1
    write_board(written(of, store, rows), store)
    again = {path: path.stat().st_mtime_ns for path in root.rglob("*.*") if path.is_file()}
    assert again == first, "what says the same already is left alone"
    for number in (9, 10, 11):
        monkeypatch.setattr(
            event_files.time, "time", lambda number=number: 1e10 + 1000 * number
        )  # files stay in between
        write_board(written(of, store, rows[:number]), store)
    files = list((root / SUMMARY).iterdir())
    assert len([path for path in files if path.stat().st_size]) == 1
    assert len(files) == 2, "the one before is emptied for those who read it, those before that are gone"


def test_runs_of_trials_that_are_no_more_among_the_best_are_removed(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path, trials=100)
    store = Store.open(store_url)
    rows = made_up(of, 100)
    root = write_board(written(of, store, rows[:70]), store)
    (root / "mine").mkdir()
    (root / "mine" / "notes.txt").write_text("kept", encoding="utf-8")
    ending = written(of, store, rows)
    write_board(ending, store)
    runs = {path.name for path in root.iterdir() if path.is_dir()}
    assert runs == {run_name(row) for row in ending.judged[:SESSIONS]} | {"mine", SUMMARY}


def test_names_and_cells_are_safe(tmp_path: Path, store_url: str) -> None:
    of = searched(tmp_path)
    store = Store.open(store_url)
    evil = {"strong.evaluate": "../../<script>alert(1)</script>|x"}
    row = Row("a" * 64, 7, evil, "done", metrics={"objective": 0.5})
    root = write_board(written(of, store, [row]), store)
    (run,) = [path for path in root.iterdir() if path.name != SUMMARY]
    assert run.parent == root
    assert run.name.startswith("0007 evaluate=")
    assert not set(run.name) & set("<>/|")
    accumulator = EventAccumulator(str(root / SUMMARY))
    accumulator.Reload()
    table = accumulator.Tensors("search/trials")[0].tensor_proto.string_val[0].decode()
    assert "<" not in table
    assert len(table.splitlines()) == 3


def test_a_real_search_is_shown(real: Real) -> None:
    root = Path(real.told.json["tensorboard"])
    assert root.parent.parent == real.store.tensorboard, "one root a search, below the store's"
    board = Board(root)
    groups = board.sessions("objective")
    assert len(groups) == 3
    values = {value.name.tag: value.value for value in groups[0].metric_values}
    best = real.told.json["best"]["metrics"]
    for tag, name in (
        ("objective", "objective"),
        ("agreement", "agreement"),
        ("oracle/test_accuracy", "test_accuracy"),
    ):
        assert values[tag] == pytest.approx(best[name], abs=1e-6)
    assert len(board.multiplexer.Runs()) == 3 + 1
    assert write_board(as_it_stands(real.searched, real.folder), real.store) == root


def test_no_tensorflow_is_needed() -> None:
    """In a process where TensorFlow cannot be imported, if one is there, everything is written and read."""
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from pathlib import Path\n"
        "from cluster.event_files import write_run\n"
        "from cluster.event_values import hparams, scalar, text\n"
        "from tensorboard.plugins.hparams import api_pb2, metadata\n"
        "import tempfile\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    one = hparams(metadata.EXPERIMENT_TAG, experiment=api_pb2.Experiment(description='x'))\n"
        "    assert write_run(Path(folder), [(0, one), (0, text('t', 'a')), (1, scalar('s', 0.5))]).stat().st_size > 100\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
