"""A pretrained body with a fresh linear head, and its way to disk and back.

load(learner, n_outputs, seed) -> (Classifier, Tokenizer)      from the learner's pretrained model, with adapters if it has LoRA
save(model, tokenizer, folder, meta)                           a Hugging Face folder, the head (and adapters) beside it
restore(folder) -> (Classifier, Tokenizer)                     the same logits, bit for bit
"""

# B texts (or candidates), T tokens, D width, K outputs

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cluster.errors import BadInput
from w2s.learner import Learner, ModelRef
from w2s.work import body as bodies
from w2s.work import lora, static, tiny, unembedding, weights
from w2s.work.encode import Tokenizer as Tokenizer  # callers take it from here, with the model
from w2s.work.pooling import Pooling, pool
from w2s.work.static import StaticBody

FORMAT = 1
HEAD_STD = 0.02  # of a `normal` head, as transformers initialise theirs
BODY, HEAD, VECTORS, ABOUT, ADAPTER = "body.", "head.weight", "model.safetensors", "w2s.json", "adapter"


class Assets(Protocol):
    """Who brings models to this machine; the module `w2s.assets` is one."""

    def model_folder(self, model: ModelRef) -> Path: ...

    def static_files(self, model: ModelRef) -> tuple[Path, Path]: ...


class Head(nn.Linear):
    """A linear layer that DeepSpeed's autocast does not know by its class, and so leaves in its own precision."""


class Weight(NamedTuple):
    """A parameter that learns."""

    name: str
    parameter: nn.Parameter
    is_head: bool


class Classifier(nn.Module):
    """A body, a way of pooling, and a linear head without bias. K is the count of classes, or 1 to score candidates."""

    def __init__(
        self, body: nn.Module, n_outputs: int, pooling: Pooling, trainable_layers: Literal["all"] | int = "all"
    ) -> None:
        super().__init__()
        self.body = body
        self.pooling: Pooling = pooling
        # skip_init: the usual constructor would draw from the global generator
        self.head: nn.Linear = cast("Any", nn.utils.skip_init)(Head, _width(body), n_outputs, bias=False)
        nn.init.zeros_(self.head.weight)
        bodies.freeze(body, trainable_layers)
        self.frozen_body = trainable_layers == 0
        cached = "use_cache" in inspect.signature(body.forward).parameters
        self._options: dict[str, Any] = {"use_cache": False} if cached else {}

    @property
    def n_outputs(self) -> int:
        return self.head.out_features

    @property
    def embedding(self) -> nn.Module:
        """What gives each token its vector."""
        return (
            self.body.embedding if isinstance(self.body, StaticBody) else cast("Any", self.body).get_input_embeddings()
        )

    def forward(self, input_ids_BT: Tensor, attention_mask_BT: Tensor, shift_BTD: Tensor | None = None) -> Tensor:
        """Scores [B, K] of padded texts; the mask is 1 at real tokens. A frozen body leaves no graph behind.

        `shift_BTD` is added to the tokens' vectors as the embedding gives them; gradients flow to it through a frozen body too.
        """
        pooled_BD = self.pooled(input_ids_BT, attention_mask_BT, shift_BTD)
        # the head in its own precision: rounding its few sums to bf16 would make ties of different rows
        with torch.autocast(pooled_BD.device.type, enabled=False):
            return cast("Tensor", self.head(pooled_BD.to(self.head.weight.dtype)))

    def pooled(self, input_ids_BT: Tensor, attention_mask_BT: Tensor, shift_BTD: Tensor | None = None) -> Tensor:
        """What the head reads of each text [B, D]."""
        learns = not self.frozen_body or (shift_BTD is not None and shift_BTD.requires_grad)
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns), _shifted(self.embedding, shift_BTD):
            hidden_BTD = self.body(
                input_ids=input_ids_BT, attention_mask=attention_mask_BT, **self._options
            ).last_hidden_state
            return pool(self.pooling, hidden_BTD, attention_mask_BT)

    def trainable(self) -> list[Weight]:
        """Every parameter that learns, in definition order."""
        return [Weight(name, p, name == HEAD) for name, p in self.named_parameters() if p.requires_grad]

    def enable_gradient_checkpointing(self) -> None:
        """As `recompute_layers`."""
        recompute_layers(self.body)


@contextmanager
def _shifted(embedding: nn.Module, shift_BTD: Tensor | None) -> Iterator[None]:
    """Inside, the embedding's output is moved. Not `inputs_embeds`: a model that counts positions by token would miscount."""
    if shift_BTD is None:
        yield
        return
    hook = embedding.register_forward_hook(lambda _, __, vectors_BTD: vectors_BTD + shift_BTD)
    try:
        yield
    finally:
        hook.remove()


def recompute_layers(body: nn.Module) -> None:
    """Recompute each learning layer in the backward pass: less memory, about a third more time, the same gradients.

    Done here because transformers' own switch does nothing in eval mode, and training without dropout is eval mode.
    """
    for block in bodies.blocks(body) or []:
        if any(weight.requires_grad for weight in block.parameters()) and "forward" not in vars(block):
            block.forward = functools.partial(_recomputed, block.forward)


def set_training_mode(model: nn.Module, dropout: bool) -> None:
    """Before training: with `dropout` the model's own dropout is on; without, eval mode, so that steps are repeatable.

    openai/weak-to-strong trains in eval mode by default for that reason.
    """
    model.train(dropout)


def load(
    learner: Learner, n_outputs: int, seed: int, assets: Assets | None = None, *, start: Path | None = None
) -> tuple[Classifier, Tokenizer]:
    """The learner's pretrained model with a fresh head of `n_outputs`, in eval mode, on the CPU, float32.

    `start`: a Hugging Face folder to begin from instead, which an adapted model of the same learner was written to. The
    head is drawn from `seed` alone; torch's global generator is left as it was. Raises BadInput for a model that cannot be
    loaded or cannot do what the learner asks (layers, pooling, max_tokens, head_words).
    """
    body, tokenizer, pooling = load_body(learner, assets, start)
    model = Classifier(body, n_outputs, pooling, learner.trainable_layers)
    if learner.head_words is not None:
        _start_from_words(model, learner, tokenizer, start or _folder(learner.model, assets))
    if learner.head == "normal":
        with torch.no_grad():
            model.head.weight.normal_(0.0, HEAD_STD, generator=torch.Generator().manual_seed(seed))
    if learner.lora is not None:
        lora.inject(body, learner.lora, seed, learner.model)
    return model.eval(), tokenizer


def load_body(
    learner: Learner, assets: Assets | None = None, start: Path | None = None
) -> tuple[nn.Module, Tokenizer, Pooling]:
    """The learner's pretrained model without a head, and how its hidden states are pooled. Raises BadInput as `load` does."""
    body, tokenizer = _pretrained(learner.model, assets) if start is None else _of_folder(start, None)
    limit = bodies.longest_input(body)
    if limit is not None and learner.max_tokens > limit:
        what = f"max_tokens {learner.max_tokens}, but this model reads at most {limit}"
        raise BadInput(f"model {learner.model.short}", what, f"set max_tokens to {limit} or less")
    return body.eval(), tokenizer, _pooling(learner, body)


def save(
    model: Classifier,
    tokenizer: Tokenizer,
    folder: Path,
    meta: Mapping[str, Any],
    state: Mapping[str, Tensor] | None = None,
    *,
    max_shard_size: str | int = weights.SHARD,
) -> None:
    """Write model.safetensors under the base model's own names, config, tokenizer, head.safetensors and w2s.json.

    `AutoModel.from_pretrained(folder)` reads the body (word vectors excepted, which stay a static source): adapters are
    merged into it, and written alone into `adapter/` for peft. `state` is the whole model's state dict, frozen weights
    included, where the live weights are sharded: these are then not touched. `meta` is plain JSON, kept as is. A body
    above `max_shard_size` is cut into files. Raises StageFailed, writing nothing, for tensors that are not whole.
    """
    found = {
        name: weight.detach().cpu().contiguous()
        for name, weight in (model.state_dict() if state is None else state).items()
    }
    weights.check({HEAD: (model.n_outputs, model.head.in_features)}, {n: w for n, w in found.items() if n == HEAD})
    body = {name.removeprefix(BODY): weight for name, weight in found.items() if name.startswith(BODY)}
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(model.body, StaticBody):
        table = model.body.embedding
        weights.check({"embedding.weight": (table.num_embeddings, table.embedding_dim)}, body)
        static.save_vectors(folder / VECTORS, body["embedding.weight"], model.body.key)
    else:
        weights.write(model.body, lora.merged(model.body, body), folder, max_shard_size)
        if lora.adapted(model.body):
            lora.save_adapter(model.body, body, folder / ADAPTER)
    tokenizer.save(folder)
    save_file({"weight": found[HEAD]}, folder / "head.safetensors")
    form = "static" if isinstance(model.body, StaticBody) else "transformers"
    about = {"format": FORMAT, "form": form, "pooling": model.pooling, "n_outputs": model.n_outputs, "meta": dict(meta)}
    (folder / ABOUT).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def restore(folder: Path) -> tuple[Classifier, Tokenizer]:
    """What `save` wrote: the same logits, bit for bit, in eval mode. Raises BadInput if the folder is not such."""
    about = describe(folder)
    try:
        head_KD = load_file(folder / "head.safetensors")["weight"]
    except (OSError, KeyError, SafetensorError) as error:
        raise BadInput(str(folder), f"its head cannot be read: {error}", "run the training stage again") from None
    body: nn.Module
    if about["form"] == "static":
        body, hf = static.load_vectors(folder / VECTORS), static.load_tokenizer(folder / "tokenizer.json")
    else:
        body, hf = bodies.load_body(folder), bodies.load_hf_tokenizer(folder)
    model = Classifier(body, about["n_outputs"], about["pooling"])
    with torch.no_grad():
        model.head.weight.copy_(head_KD)
    return model.eval(), Tokenizer(hf, _rows(body), specials=about["form"] != "static")


def describe(folder: Path) -> dict[str, Any]:
    """The w2s.json of a saved model: format, form, pooling, n_outputs, and `meta` as it was given to `save`."""
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BadInput(str(folder), f"has no readable {ABOUT}", "is this the folder of a trained model?") from None
    if about.get("format") != FORMAT:
        raise BadInput(
            str(folder), f"is of format {about.get('format')}, this version reads {FORMAT}", "train it again"
        )
    return about


def _pretrained(model: ModelRef, assets: Assets | None) -> tuple[nn.Module, Tokenizer]:
    body: nn.Module
    if model.form == "tiny":
        body, hf = tiny.build(model)
    elif model.form == "static":
        vectors, tokenizer_file = (assets or _assets()).static_files(model)
        body, hf = static.load_vectors(vectors), static.load_tokenizer(tokenizer_file)
    else:
        return _of_folder((assets or _assets()).model_folder(model), model.layers)
    return body, Tokenizer(hf, _rows(body), specials=model.form != "static")


def _of_folder(folder: Path, layers: int | None) -> tuple[nn.Module, Tokenizer]:
    body = bodies.load_body(folder, layers)
    return body, Tokenizer(bodies.load_hf_tokenizer(folder), _rows(body))


def _folder(model: ModelRef, assets: Assets | None) -> Path | None:
    """Where a language model's files lie; None for one that is built in code."""
    return None if model.form == "tiny" else (assets or _assets()).model_folder(model)


def _start_from_words(model: Classifier, learner: Learner, tokenizer: Tokenizer, folder: Path | None) -> None:
    """The head's rows are the unembedding's. It is whole here under ZeRO-3 as well: only what is loaded is cut up."""
    words = learner.head_words or ()
    if len(words) != model.n_outputs:
        what = f"{len(words)} words for a head of {model.n_outputs}: {', '.join(map(repr, words))}"
        raise BadInput("head_words", what, "give one word a class; where candidates are scored, one in all")
    config = cast("Any", model.body).config
    rows_KD = unembedding.word_rows(words, tokenizer, config, learner.model, folder)
    with torch.no_grad():
        model.head.weight.copy_(rows_KD)


def _assets() -> Assets:
    from w2s import assets

    return assets


def _pooling(learner: Learner, body: nn.Module) -> Pooling:
    """The learner's choice. Raises BadInput for one that cannot see the text."""
    where = f"model {learner.model.short}"
    if isinstance(body, StaticBody):
        if learner.pooling in ("last", "cls"):
            what = f"pooling {learner.pooling}: a word vector knows one token"
            raise BadInput(where, what, "static word vectors are pooled by mean (or auto)")
        return "mean"
    config = cast("Any", body).config
    if learner.pooling == "cls" and bodies.is_decoder(config):
        raise BadInput(where, "pooling cls: a decoder's first token sees itself alone", "use last (auto) or mean")
    return bodies.default_pooling(config) if learner.pooling == "auto" else learner.pooling


def _width(body: nn.Module) -> int:
    return body.width if isinstance(body, StaticBody) else int(cast("Any", body).config.hidden_size)


def _rows(body: nn.Module) -> int:
    table = body.embedding if isinstance(body, StaticBody) else cast("Any", body).get_input_embeddings()
    return int(table.num_embeddings)


def _recomputed(layer: Any, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return layer(*args, **kwargs)
    return checkpoint(layer, *args, use_reentrant=False, **kwargs)
