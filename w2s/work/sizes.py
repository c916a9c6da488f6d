"""Counts a model's sizes from its architecture alone: no weights are read, nothing is allocated.

`python -m w2s.work.sizes` reads [{"learner", "folder"}, ...] as JSON and answers [sizes or null, ...]: so that `w2s plan` can have
models counted without loading torch itself.
"""

# B rows, T tokens

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoModel

from cluster.errors import Problem
from cluster.sizes import SMALL, Activations, Sizes, textbook
from w2s.learner import Learner, ModelRef
from w2s.work import body as bodies
from w2s.work import lora, tiny
from w2s.work.model import Classifier
from w2s.work.pooling import Pooling
from w2s.work.static import StaticBody

OUTPUTS = 2  # a head of two classes: next to a body its size does not matter
ROWS, SHORT, LONG = 2, 32, 64  # probe shapes: rows x tokens


def count(learner: Learner, folder: Path | None) -> Sizes:
    """The sizes of a learner as it is trained. `folder`: where its config.json (static: its vectors' file) lies.

    The model is built of fake tensors (shapes without storage) on the CPU and run forward; what autograd saves is summed. Raises
    BadInput for a model that cannot be built.
    """
    pooling: Pooling = "mean" if learner.pooling == "auto" else learner.pooling  # all keep about as much
    return of_architecture(
        lambda: _body(learner.model, folder),
        learner.trainable_layers,
        learner.precision,
        pooling=pooling,
        dropout=learner.dropout,
        adapt=lambda body: _adapt(body, learner),
    )


def of_architecture(
    build: Callable[[], nn.Module],
    trainable_layers: Literal["all"] | int,
    precision: str,
    *,
    pooling: Pooling = "mean",
    dropout: bool = False,
    adapt: Callable[[nn.Module], None] = lambda body: None,
) -> Sizes:
    """The sizes of what `build` builds, under a head, after `adapt` (adapters; by default nothing).

    Both are called where tensors have shapes and no storage: `build` on fake tensors, `adapt` on the meta device.
    """
    mode = FakeTensorMode()
    with mode, bodies.quiet(), bodies.untouched_rng():
        body = build()
    # adapters and heads move modules about, which fakes do not stand: they come while all is on the meta device
    _remake(body, lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="meta"))
    model = Classifier(body, OUTPUTS, pooling, trainable_layers)
    with torch.device("meta"), bodies.quiet(), bodies.untouched_rng():
        adapt(body)
    model.train(dropout)
    with mode, bodies.untouched_rng():
        _remake(model, lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu"))
        return sizes_of(model, precision)


def sizes_of(model: Classifier, precision: str) -> Sizes:
    """The sizes of a classifier as it stands: what requires a gradient learns, adapters included.

    A model of real weights runs for a moment on two short rows; one of fake tensors costs nothing.
    """
    named = list(model.named_parameters())
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    first = next(i for i, (_, weight) in enumerate(named) if weight.requires_grad)
    matrices = [(i, weight) for i, (_, weight) in enumerate(named) if id(weight) not in tables]
    layers = bodies.blocks(model.body)
    config = getattr(model.body, "config", None)
    width = model.head.in_features
    depth = int(getattr(config, "num_hidden_layers", 0) or 0)
    try:
        plain, checkpointed, layer = _curves(model, precision)
        counted = True
    except Exception:  # an architecture that looks at values has no shape to run; each library says so its own way
        (plain, checkpointed, layer), counted = textbook(precision, width, depth), False
    return Sizes(
        parameters=sum(weight.numel() for _, weight in named),
        learning=sum(weight.numel() for _, weight in named if weight.requires_grad),
        computing=sum(weight.numel() for _, weight in matrices),
        reached=sum(weight.numel() for i, weight in matrices if i >= first),
        learning_computing=sum(weight.numel() for _, weight in matrices if weight.requires_grad),
        embedding=sum(weight.numel() for _, weight in named if id(weight) in tables),
        linear=sum(w.numel() for m in model.modules() if isinstance(m, nn.Linear) for w in m.parameters()),
        largest_parameter=max(weight.numel() for _, weight in named),
        largest_module=max(sum(w.numel() for w in module.parameters(recurse=False)) for module in model.modules()),
        small=sum(weight.numel() for _, weight in named if weight.numel() < SMALL),
        width=width,
        depth=depth,
        depth_reached=_depth_reached(layers, depth, all_reached=first == 0),
        heads=int(getattr(config, "num_attention_heads", 0) or 0),
        vocabulary=_vocabulary(model.body),
        outputs=model.n_outputs,
        precision=precision,
        plain=plain,
        checkpointed=checkpointed,
        layer=layer,
        counted=counted,
    )


def saved_bytes(model: Classifier, rows: int, tokens: int, precision: str) -> int:
    """Bytes that autograd keeps of one forward pass over `rows` rows of `tokens` tokens, weights and buffers excepted.

    Storages are counted once however many operations keep them.
    """
    ids_BT = torch.zeros(rows, tokens, dtype=torch.long)
    mask_BT = torch.ones(rows, tokens, dtype=torch.long)
    return measure(model, ids_BT, mask_BT, precision)


def measure(model: Classifier, ids_BT: Tensor, mask_BT: Tensor, precision: str) -> int:
    """`saved_bytes` of a given batch."""
    own = {_storage(tensor) for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, tuple[int, Any]] = {}  # the storage is kept too: a freed one's address may be used again

    def keep(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = (tensor.untyped_storage().nbytes(), tensor.untyped_storage())
        return tensor

    half = precision != "fp32"
    with (
        _held_by_name(model, keep),
        saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast(ids_BT.device.type, dtype=torch.bfloat16, enabled=half),
    ):
        scores_BK = model(ids_BT, mask_BT)
    del scores_BK
    return sum(size for size, _ in kept.values())


def _curves(model: Classifier, precision: str) -> tuple[Activations, Activations, Activations]:
    """(plain, checkpointed, one layer). Leaves the model with checkpointing off."""
    limit = bodies.longest_input(model.body) or LONG
    short, long = min(SHORT, limit // 2), min(LONG, limit)
    plain = _fit(model, precision, short, long)
    blocks = [*(bodies.blocks(model.body) or [])]
    learning = [block for block in blocks if any(weight.requires_grad for weight in block.parameters())]
    if not learning:
        return plain, plain, Activations(0.0, 0.0, 0.0)
    model.enable_gradient_checkpointing()
    try:
        checkpointed = _fit(model, precision, short, long)
    finally:
        for block in learning:
            del block.forward
    return plain, checkpointed, _less(plain, checkpointed, len(learning))


def _fit(model: Classifier, precision: str, short: int, long: int) -> Activations:
    """Three probes give the three terms exactly: nothing in a transformer grows with rows squared or tokens cubed."""
    base = saved_bytes(model, ROWS, short, precision)
    constant = 2.0 * base - saved_bytes(model, 2 * ROWS, short, precision)
    near = (base - constant) / (ROWS * short)
    far = (saved_bytes(model, ROWS, long, precision) - constant) / (ROWS * long)
    square = (far - near) / (long - short)
    return Activations(constant, near - square * short, square)


def _less(whole: Activations, outer: Activations, layers: int) -> Activations:
    """What one layer keeps: what checkpointing saves, in equal parts."""
    terms = [(a - b) / layers for a, b in zip(_terms(whole), _terms(outer), strict=True)]
    return Activations(*terms)


def _terms(curve: Activations) -> tuple[float, float, float]:
    return curve.constant, curve.linear, curve.square


@contextmanager
def _held_by_name(model: Classifier, keep: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Autograd sees the positional inputs of a recomputed layer; those given by name (masks, positions) its recipe holds alone."""

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for value in kwargs.values():
            if isinstance(value, Tensor):
                keep(value)

    wrapped = [block for block in bodies.blocks(model.body) or [] if "forward" in vars(block)]
    handles = [block.register_forward_pre_hook(before, with_kwargs=True) for block in wrapped]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _depth_reached(layers: nn.ModuleList | None, depth: int, *, all_reached: bool) -> int:
    """Layers at or above the first that learns."""
    if all_reached or layers is None:
        return depth if all_reached else 0
    learning = [i for i, block in enumerate(layers) if any(weight.requires_grad for weight in block.parameters())]
    return depth - learning[0] if learning else 0


def _vocabulary(body: nn.Module) -> int:
    table = body.embedding if isinstance(body, StaticBody) else cast("Any", body).get_input_embeddings()
    return int(table.num_embeddings)


def _body(model: ModelRef, folder: Path | None) -> nn.Module:
    if model.form == "tiny":
        return cast("nn.Module", tiny.build(model)[0])
    assert folder is not None
    if model.form == "static":
        return StaticBody(torch.empty(_table_shape(folder)), "vectors")
    config = bodies._config(folder)
    if model.layers is not None:
        bodies._cut(config, model.layers, folder)
    options = {"add_pooling_layer": False} if bodies._has_pooler(config) else {}
    return cast("nn.Module", cast("Any", AutoModel).from_config(config, dtype=torch.float32, **options))


def _remake(module: nn.Module, make: Callable[[Tensor], Tensor]) -> None:
    """Put other tensors in place of a module's own; what is shared stays shared, what is frozen frozen."""
    made: dict[int, Tensor] = {}
    old = [*module.parameters(), *module.buffers()]  # held, so that no two have the same id
    for tensor in old:
        new = make(tensor)
        made[id(tensor)] = nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new
    for part in module.modules():
        for place in (part._parameters, part._buffers):
            for name, held in place.items():
                if held is not None:
                    cast("dict[str, Any]", place)[name] = made[id(held)]


def _adapt(body: nn.Module, learner: Learner) -> None:
    if learner.lora is not None:
        lora.inject(body, learner.lora, 0, learner.model)


def _table_shape(file: Path) -> list[int]:
    """The shape of the one 2-D tensor in a safetensors file, from its header."""
    with file.open("rb") as raw:
        header = json.loads(raw.read(int.from_bytes(raw.read(8), "little")))
    return next(entry["shape"] for name, entry in header.items() if name != "__metadata__" and len(entry["shape"]) == 2)


def _answer(request: dict[str, Any]) -> dict[str, Any] | None:
    folder = request["folder"]
    try:
        return count(Learner.model_validate(request["learner"]), Path(folder) if folder else None).to_json()
    except (Problem, ValueError, TypeError, RuntimeError, KeyError, OSError, StopIteration, NotImplementedError):
        return None  # a model that cannot be built has no sizes; running it will say why


def main() -> None:
    """Answer the requests on stdin."""
    out, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not spoil the JSON
    json.dump([_answer(request) for request in json.load(sys.stdin)], out)


if __name__ == "__main__":
    main()
