"""The Predict stage: a trained model's class probabilities on some rows."""

# N rows, C classes

from __future__ import annotations

from typing import Any

import torch

from cluster.errors import Interrupted
from cluster.job import Context
from w2s.labels import LabelTable, softmax
from w2s.learner import Learner
from w2s.work.batches import by_length
from w2s.work.dataset import encode
from w2s.work.evaluate import PREDICT_TOKENS
from w2s.work.model import restore
from w2s.work.table import read_part


def run(context: Context) -> dict[str, Any]:
    """Write `labels.parquet`. Long texts are cut (a row without a label would break every join), and counted."""
    rows = read_part(context, context.science["rows"])
    model, tokenizer, learner = _trained(context)
    empty_NC = torch.zeros(len(rows), rows.n_classes)
    data = encode(tokenizer, rows, empty_NC, learner.max_tokens, "truncate")
    model.to(context.device).eval()
    logits_NC = empty_NC.clone()
    done = 0
    for batch_rows in by_length(data.lengths, PREDICT_TOKENS // data.candidates):
        if context.stop():
            raise Interrupted(
                context.name, f"stopped after {done} of {len(rows)} rows", "the same command starts it again"
            )
        chosen = batch_rows.tolist()
        batch = data.batch(chosen, tokenizer).to(context.device)
        autocast = torch.autocast(context.device, dtype=torch.bfloat16, enabled=learner.precision == "bf16")
        with torch.inference_mode(), autocast:
            scores = model(batch.input_ids, batch.attention_mask)
        logits_NC[chosen] = scores.float().cpu().view(len(chosen), rows.n_classes)
        done += len(chosen)
        context.watch.progress(done, len(rows), "row")
    logits = logits_NC.double().numpy()
    probs_NC = softmax(logits)
    LabelTable(data.ids, probs_NC, logits).save(context.out)
    return {"n": len(rows), "truncated": data.truncated, "mean_confidence": float(probs_NC.max(axis=-1).mean())}


def _trained(context: Context) -> tuple[Any, Any, Learner]:
    """The model, its tokenizer, and the learner it came from (its limits hold for prediction as well)."""
    import json

    folder = context.inputs[context.science["model"]["key"]] / "model"
    model, tokenizer = restore(folder)
    meta = json.loads((folder / "w2s.json").read_text(encoding="utf-8"))["meta"]
    return model, tokenizer, Learner.model_validate(meta["learner"])
