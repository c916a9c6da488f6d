"""A TensorBoard over a folder, without its web server: what its own code reads of runs, and what its HParams view lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups
from tensorboard.util import tensor_util

EVERY = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]


class Look:
    """What there is to see below a root."""

    def __init__(self, root: Path) -> None:
        self.root, self.multiplexer = root, EventMultiplexer()
        self.again()
        provider = MultiplexerDataProvider(self.multiplexer, str(root))
        self._context = backend_context.Context(TBContext(logdir=str(root), data_provider=provider))

    def again(self) -> None:
        self.multiplexer.AddRunsFromDirectory(str(self.root))
        self.multiplexer.Reload()

    @property
    def runs(self) -> set[str]:
        return set(self.multiplexer.Runs())

    def tags(self, run: str) -> set[str]:
        return set(self.multiplexer.Runs()[run]["tensors"])

    def array(self, run: str, tag: str) -> Any:
        """Of a tag with one point: what it holds."""
        (event,) = self.multiplexer.Tensors(run, tag)
        return tensor_util.make_ndarray(event.tensor_proto)

    def points(self, run: str, tag: str) -> dict[int, float]:
        """Of a scalar: step -> value."""
        found = self.multiplexer.Tensors(run, tag)
        assert len({event.step for event in found}) == len(found), "nothing twice"
        return {event.step: float(tensor_util.make_ndarray(event.tensor_proto)) for event in found}

    def text(self, run: str, tag: str) -> str:
        return str(self.array(run, tag).item().decode())

    def experiment(self) -> Any:
        request = api_pb2.GetExperimentRequest()
        return get_experiment.Handler(context.RequestContext(), self._context, "", request).run()

    def sessions(self, metrics: list[str]) -> dict[str, Any]:
        """HParams' session groups by name, with these metrics."""
        columns = [api_pb2.ColParams(metric=api_pb2.MetricName(tag=metric)) for metric in metrics]
        request = api_pb2.ListSessionGroupsRequest(
            allowed_statuses=EVERY, col_params=columns, slice_size=1000, aggregation_type=api_pb2.AGGREGATION_AVG
        )
        found = list_session_groups.Handler(context.RequestContext(), self._context, "", request).run()
        return {group.name: group for group in found.session_groups}
