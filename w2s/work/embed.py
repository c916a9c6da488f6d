"""The Embed stage: a frozen model's hidden states of all rows of a task, once, for every head that is trained on them."""

# N rows, K texts a row, L layers, D width

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cluster.errors import BadInput, Interrupted
from cluster.job import Context
from w2s.learner import Learner, ModelRef, Probe
from w2s.work import arrays, features, model, sharded, table
from w2s.work.batches import by_length
from w2s.work.dataset import Dataset, encode
from w2s.work.encode import Tokenizer
from w2s.work.evaluate import PREDICT_TOKENS
from w2s.work.hidden import Reader
from w2s.work.ranks import Ranks
from w2s.work.scorer import Scorer
from w2s.work.unchanged import check_model


def run(context: Context) -> dict[str, Any]:
    """Write `features.safetensors`. Long texts are cut, and counted."""
    science, ranks = context.science, Ranks.of(context)
    rows = table.read_all(context.inputs[science["rows"]["key"]]).rows
    layers = [str(layer) for layer in science["layers"]]
    reference = ModelRef.model_validate(science["model"])
    if reference.form == "features":
        vectors_ND = _column(context, reference.column)
        features.write(context.out, dict.fromkeys(layers, vectors_ND[:, None, :]))
        return {"n": len(rows), "width": vectors_ND.shape[-1], "truncated": 0}
    learner = Learner(
        model=reference, max_tokens=science["max_tokens"], precision=science["precision"], pooling=science["pooling"],
        probe=Probe(layer=tuple(science["layers"])),
    )  # fmt: skip
    with context.watch.busy():
        with sharded.loading(context.machines, learner, ranks):
            body, tokenizer, pooling = model.load_body(learner)
        check_model(context, reference)
        reader = Reader(body, pooling, science["layers"], reference.short)
        scorer = sharded.make_scorer(context.machines, reader, learner, ranks)
    data = encode(tokenizer, rows, torch.zeros(len(rows), rows.n_classes), learner.max_tokens, "truncate")
    found_NKLD = _read(context, scorer, data, tokenizer)
    split = found_NKLD.unbind(dim=2)
    ranks.together(
        lambda: features.write(context.out, dict(zip(layers, split, strict=True))) if ranks.first else None,
        context.name,
    )
    return {"n": len(rows), "width": found_NKLD.shape[-1], "truncated": data.truncated}


def _read(context: Context, scorer: Scorer, data: Dataset, tokenizer: Tokenizer) -> Tensor:
    """Vectors [N, K, L, D] of every text, in the rows' order; the ranks share the work."""
    ranks, done = scorer.ranks, 0
    batches = list(by_length(data.lengths, max(1, PREDICT_TOKENS // data.candidates)))
    found_NKLD: Tensor | None = None
    for number in range(-(-len(batches) // ranks.count)):
        # a forward pass may need every rank: in the last round some repeat a batch
        turn = [batches[min(number * ranks.count + rank, len(batches) - 1)] for rank in range(ranks.count)]
        own = scorer.outputs(data.batch(turn[ranks.rank].tolist(), tokenizer)).to(ranks.device)
        for rows, vectors in zip(turn, ranks.gather(own), strict=True):
            if found_NKLD is None:
                found_NKLD = torch.empty(len(data), data.candidates, *vectors.shape[1:])
            found_NKLD[rows.tolist()] = vectors.cpu().view(len(rows), data.candidates, *vectors.shape[1:])
        done = min(len(data), done + sum(len(rows) for rows in turn))
        context.watch.progress(done, len(data), "row")
        if ranks.add([float(context.stop())])[0] > 0 and done < len(data):
            what = f"stopped after {done} of {len(data)} rows"
            raise Interrupted(context.name, what, "the same command starts it again")
    assert found_NKLD is not None, "a table has rows"
    return found_NKLD


def _column(context: Context, name: str) -> Tensor:
    columns = arrays.read(context.inputs[context.science["rows"]["key"]])
    vectors = {column: values for column, values in columns.items() if values.ndim == 2}
    if name not in vectors:
        there = ", ".join(vectors) or "none"
        raise BadInput(f"features:{name}", "the task's rows have no such column of vectors", f"there are: {there}")
    return torch.from_numpy(vectors[name]).float()
