"""Whether a model predicts next words, as far as this disk tells without loading it or torch: from its config.json alone.

What reads texts first (`generative`), is asked in words (`prompted`) or writes answers needs a model that does. A model that is not
here yet, or is of a kind not listed, is for the stage itself to judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from cluster.errors import BadInput
from w2s.learner import ModelRef
from w2s.sizes import config_place
from w2s.stages import Adapt, Prompted, Stage, Write, reached

FILL_IN_BLANKS = frozenset({
    "albert", "bart", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2", "distilbert",
    "electra", "ernie", "esm", "esmc", "eurobert", "flaubert", "fnet", "funnel", "gte", "ibert", "jina_embeddings_v3",
    "layoutlm", "longformer", "luke", "mbart", "megatron-bert", "mobilebert", "modernbert", "modernvbert", "mpnet", "mra",
    "mvp", "neomme", "nomic_bert", "nystromformer", "perceiver", "reformer", "rembert", "roberta", "roberta-prelayernorm",
    "roc_bert", "roformer", "squeezebert", "tapas", "ultrabert", "ultravbert", "xlm", "xlm-roberta", "xlm-roberta-xl",
    "xmod", "yoso",
})  # fmt: skip
"""`model_type` of what transformers loads as a masked language model: encoders, unless their config says is_decoder."""


def check(stages: Iterable[Stage], strong: ModelRef) -> None:
    """Raise BadInput for a stage that needs next words of a model known to predict none. Reads config.json files."""
    for stage in reached(*stages):
        if not isinstance(stage, Adapt | Prompted | Write):
            continue
        model = stage.model if isinstance(stage, Prompted) else stage.learner.model
        kind = reads_both_ways(model)
        if kind is not None:
            raise BadInput(
                "strong.model" if model == strong else f"model {model.short}",
                f"{model.short} ({kind}) predicts no next word, and `{stage.words}` needs that",
                "take a causal language model (GPT-2, Pythia, Llama, Qwen), or another method",
            )


def reads_both_ways(model: ModelRef) -> str | None:
    """What kind of encoder (or encoder-decoder) a model is known to be; None for any other, and where nothing is known."""
    if model.form == "tiny":
        return "bert" if model.source == "tiny:bert" else None
    config = _config(model)
    kind = str(config.get("model_type", ""))
    if config.get("is_encoder_decoder") is True:
        return f"{kind}, an encoder-decoder"
    return kind if kind in FILL_IN_BLANKS and config.get("is_decoder") is not True else None


def _config(model: ModelRef) -> dict[str, Any]:
    place = config_place(model) if model.form in ("local", "pip", "hub") else None
    if place is None:
        return {}
    try:
        found = json.loads((place / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a damaged config is for the loader to tell
        return {}
    return found if isinstance(found, dict) else {}
