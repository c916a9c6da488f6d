"""What a TensorBoard event file may say, each as a Summary.Value: made with TensorBoard's own protos, without TensorFlow."""

# N rows, T thresholds, K buckets, C classes

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

THRESHOLDS = 201  # of a precision-recall curve: steps of 0.005


def scalar(tag: str, value: float, told: str = "") -> Any:
    """One point of a curve; `told` is its card's description, in markdown."""
    from tensorboard.compat.proto import summary_pb2

    found = summary_pb2.Summary.Value(tag=tag, simple_value=value)
    if told:
        found.metadata.summary_description = told
        found.metadata.plugin_data.plugin_name = "scalars"
        found.metadata.data_class = summary_pb2.DATA_CLASS_SCALAR
    return found


def text(tag: str, markdown: str) -> Any:
    """A page of markdown."""
    from tensorboard.compat.proto import summary_pb2

    return _value(tag, _strings(markdown.encode(), shape=()), "text", summary_pb2.DATA_CLASS_TENSOR)


def image(tag: str, png: bytes, width: int, height: int, told: str = "") -> Any:
    """A PNG of so many pixels."""
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.image import metadata

    found = metadata.create_summary_metadata(tag, told, converted_to_tensor=True)
    tensor = _strings(str(width).encode(), str(height).encode(), png)
    return _tagged(tag, tensor, found, summary_pb2.DATA_CLASS_BLOB_SEQUENCE)


def histogram(tag: str, values_N: Floats, edges: Sequence[float], told: str = "") -> Any:
    """How many values lie in each bucket between neighbouring edges, the last edge included. Raises ValueError for values beyond."""
    import numpy as np
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.histogram import metadata

    counts_K, at = np.histogram(values_N, bins=np.asarray(edges, dtype=np.float64))
    if counts_K.sum() != len(values_N):
        raise ValueError(
            f"{len(values_N) - counts_K.sum()} of {len(values_N)} values lie outside {edges[0]} to {edges[-1]}"
        )
    buckets_K3 = np.stack([at[:-1], at[1:], counts_K.astype(np.float64)], axis=1)
    found = metadata.create_summary_metadata(tag, told)
    return _tagged(tag, _numbers(buckets_K3), found, summary_pb2.DATA_CLASS_TENSOR)


def pr_curve(tag: str, truth_N: Flags, score_N: Floats, told: str = "") -> Any:
    """Precision and recall of `score >= threshold`, at THRESHOLDS even thresholds in [0, 1]."""
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.pr_curve import metadata

    found = metadata.create_summary_metadata(tag, told, THRESHOLDS)
    return _tagged(tag, _numbers(pr_counts(truth_N, score_N)), found, summary_pb2.DATA_CLASS_TENSOR)


def pr_counts(truth_N: Flags, score_N: Floats) -> Floats:
    """[6, T]: true and false positives, true and false negatives, precision and recall (0 where nothing is divided)."""
    import numpy as np

    at_T = np.linspace(0.0, 1.0, THRESHOLDS)
    found = []
    for chosen_N in (score_N[truth_N], score_N[~truth_N]):  # how many of these are not below each threshold
        found.append(len(chosen_N) - np.searchsorted(np.sort(chosen_N), at_T, side="left"))
    hits_T, false_T = (counts.astype(np.float64) for counts in found)
    missed_T, left_T = int(truth_N.sum()) - hits_T, int((~truth_N).sum()) - false_T
    precision_T = hits_T / np.maximum(hits_T + false_T, 1.0)
    recall_T = hits_T / np.maximum(hits_T + missed_T, 1.0)
    return np.stack([hits_T, false_T, left_T, missed_T, precision_T, recall_T])


def layout(categories: Mapping[str, Mapping[str, Sequence[str]]]) -> Any:
    """Charts of several curves: category -> chart's title -> regular expressions, of the tags that are drawn in it."""
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    made = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title=title,
                chart=[
                    layout_pb2.Chart(title=name, multiline=layout_pb2.MultilineChartContent(tag=tags))
                    for name, tags in charts.items()
                ],
            )
            for title, charts in categories.items()
        ]
    )
    tensor = _strings(made.SerializeToString(deterministic=True), shape=())
    return _value(metadata.CONFIG_SUMMARY_TAG, tensor, metadata.PLUGIN_NAME, summary_pb2.DATA_CLASS_TENSOR)


def hparams(tag: str, **content: Any) -> Any:
    """Of the hparams plugin: `experiment`, `session_start_info` or `session_end_info`."""
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    data = plugin_data_pb2.HParamsPluginData(**content)
    return summary_pb2.Summary.Value(
        tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR
    )


def _value(tag: str, tensor: Any, plugin: str, data_class: int) -> Any:
    from tensorboard.compat.proto import summary_pb2

    metadata = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin))
    return _tagged(tag, tensor, metadata, data_class)


def _tagged(tag: str, tensor: Any, metadata: Any, data_class: int) -> Any:
    from tensorboard.compat.proto import summary_pb2

    metadata.data_class = data_class
    return summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def _strings(*values: bytes, shape: Sequence[int] | None = None) -> Any:
    from tensorboard.compat.proto import tensor_pb2, types_pb2

    sizes = _shape((len(values),) if shape is None else shape)
    return tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=values, tensor_shape=sizes)


def _numbers(values: Floats) -> Any:
    import numpy as np
    from tensorboard.compat.proto import tensor_pb2, types_pb2

    plain = np.ascontiguousarray(values, dtype="<f4")
    return tensor_pb2.TensorProto(
        dtype=types_pb2.DT_FLOAT, tensor_content=plain.tobytes(), tensor_shape=_shape(values.shape)
    )


def _shape(sizes: Sequence[int]) -> Any:
    from tensorboard.compat.proto import tensor_shape_pb2

    return tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in sizes])
