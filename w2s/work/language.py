"""Causal language models: loading whole, with the unembedding that a classifier leaves behind, and writing back.

load(model) -> (language model, Tokenizer)     of a model reference, float32, on the CPU
save(body, tokenizer, state, folder)           as AutoModelForCausalLM reads it (and AutoModel, for the body alone)
restore(folder) -> (language model, Tokenizer) what `save` wrote
TextLoss, AnswerLoss                           modules that answer with how surprised the model is by each text, or by its end
"""

# B texts, T tokens, V vocabulary, A tokens of answers, D width

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from cluster.errors import BadInput
from w2s.learner import Learner, ModelRef
from w2s.work import body as bodies
from w2s.work import lora, tiny, weights
from w2s.work.encode import Tokenizer
from w2s.work.model import BODY, Assets, Weight, recompute_layers

ANSWER = 2  # in an attention mask: a token that is read like any other (1), and is of the answer that is learned


def load(model: ModelRef, assets: Assets | None = None) -> tuple[Any, Tokenizer]:
    """A pretrained causal language model, in eval mode. Raises BadInput for what is none, or lacks any of its weights."""
    if model.form == "tiny":
        whole, hf = tiny.build_language_model(model)
    elif model.form in ("static", "features", "given"):
        raise BadInput(f"model {model.short}", "is no language model", "take a causal one (GPT-2, Pythia, Llama, Qwen)")
    else:
        folder = (assets or _assets()).model_folder(model)
        whole, hf = bodies.load_language_model(folder, model.layers), bodies.load_hf_tokenizer(folder)
    return whole, Tokenizer(hf, int(whole.get_input_embeddings().num_embeddings))


def restore(folder: Path) -> tuple[Any, Tokenizer]:
    """A language model that was trained here, in eval mode. Raises BadInput if the folder holds none."""
    whole, hf = bodies.load_language_model(folder), bodies.load_hf_tokenizer(folder)
    return whole, Tokenizer(hf, int(whole.get_input_embeddings().num_embeddings))


def check_length(whole: Any, model: ModelRef, max_tokens: int) -> None:
    """Raise BadInput where the model cannot read texts so long."""
    limit = bodies.longest_input(whole)
    if limit is not None and max_tokens > limit:
        what = f"max_tokens {max_tokens}, but this model reads at most {limit}"
        raise BadInput(f"model {model.short}", what, f"set max_tokens to {limit} or less")


def save(whole: Any, tokenizer: Tokenizer, state: Mapping[str, Tensor], folder: Path) -> None:
    """Write a Hugging Face folder. `state` is the live model's state dict, whole; adapters are merged into it.

    What a tied unembedding shares with the embedding is written once. Raises StageFailed for tensors that are not whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tied = tied_names(whole)
    found = {name: weight.detach().cpu().contiguous() for name, weight in state.items() if name not in tied}
    weights.write(whole, _merged(whole, found), folder, tied=tied)
    tokenizer.save(folder)


def _merged(whole: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict as it was before adapters, which sit in the body alone."""
    base = next(name for name, module in whole.named_modules() if module is whole.base_model)
    prefix = f"{base}." if base else ""
    inner = {name.removeprefix(prefix): weight for name, weight in state.items() if name.startswith(prefix)}
    outer = {name: weight for name, weight in state.items() if not name.startswith(prefix)}
    return outer | {f"{prefix}{name}": weight for name, weight in lora.merged(whole.base_model, inner).items()}


def tied_names(whole: Any) -> set[str]:
    """Second names of weights that a state dict lists twice: of an unembedding that is the embedding."""
    first = {id(weight) for _, weight in whole.named_parameters()}
    names = {name for name, weight in whole.named_parameters(remove_duplicate=False) if id(weight) in first}
    return names - {name for name, _ in whole.named_parameters()}


class TextLoss(nn.Module):
    """A language model that answers with each text's next-token loss [B, 1]: summed over its tokens but the first, in nats.

    `trainable_layers` as of a classifier; the unembedding learns under "all" alone.
    """

    def __init__(self, whole: nn.Module, trainable_layers: Literal["all"] | int = "all") -> None:
        super().__init__()
        self.body = whole
        head = cast("Any", whole).get_output_embeddings()
        head.requires_grad_(False)  # first: where it is the embedding, that decides
        bodies.freeze(cast("Any", whole).base_model, trainable_layers)
        if trainable_layers == "all":
            head.requires_grad_(True)
        cached = "use_cache" in inspect.signature(whole.forward).parameters
        self._options: dict[str, Any] = {"use_cache": False} if cached else {}

    def forward(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        logits_BTV = self.body(input_ids=input_ids_BT, attention_mask=attention_mask_BT, **self._options).logits
        next_BT = input_ids_BT[:, 1:]
        surprise_BT = nn.functional.cross_entropy(logits_BTV[:, :-1].float().transpose(1, 2), next_BT, reduction="none")
        return (surprise_BT * attention_mask_BT[:, 1:]).sum(dim=1, keepdim=True)

    def trainable(self) -> list[Weight]:
        """Every parameter that learns, once, in definition order."""
        return [Weight(name, weight, False) for name, weight in self.named_parameters() if weight.requires_grad]

    def enable_gradient_checkpointing(self) -> None:
        """As a classifier's."""
        recompute_layers(self.body)


class AnswerLoss(TextLoss):
    """The same summed over the tokens of each text's answer alone, which the mask marks with ANSWER.

    The unembedding is shown the A places alone that an answer's tokens follow: an answer is a tenth of its text or less, and
    the logits of all the rest would be most of the memory and, in a small model, of the work.
    """

    def __init__(self, whole: nn.Module, trainable_layers: Literal["all"] | int = "all") -> None:
        super().__init__(whole, trainable_layers)
        self._asked_BT = torch.empty(0)
        cast("Any", whole).get_output_embeddings().register_forward_pre_hook(self._asked_alone)

    def forward(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        learned_BT = attention_mask_BT[:, 1:] == ANSWER
        self._asked_BT = nn.functional.pad(learned_BT, (0, 1))  # a token is predicted at the place before it
        read_BT = (attention_mask_BT != 0).to(attention_mask_BT.dtype)
        logits_AV = self.body(input_ids=input_ids_BT, attention_mask=read_BT, **self._options).logits[0]
        surprise_A = nn.functional.cross_entropy(logits_AV.float(), input_ids_BT[:, 1:][learned_BT], reduction="none")
        surprise_BT = surprise_A.new_zeros(learned_BT.shape).masked_scatter(learned_BT, surprise_A)
        return surprise_BT.sum(dim=1, keepdim=True)

    def _asked_alone(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden_BTD, *others = inputs
        return (hidden_BTD[self._asked_BT].unsqueeze(0), *others)


def load_to_learn(
    learner: Learner, seed: int, assets: Assets | None = None, *, loss: type[TextLoss] = TextLoss
) -> tuple[TextLoss, Tokenizer]:
    """The learner's language model, with fresh adapters if it has LoRA, to be trained. Raises BadInput as `load`."""
    whole, tokenizer = load(learner.model, assets)
    check_length(whole, learner.model, learner.max_tokens)
    model = loss(whole, learner.trainable_layers)
    if learner.lora is not None:
        lora.inject(whole.base_model, learner.lora, seed, learner.model)
        cast("Any", whole).get_output_embeddings().requires_grad_(False)
    return model.eval(), tokenizer


def without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A TextLoss's state dict under the language model's own names."""
    return {name.removeprefix(BODY): weight for name, weight in state.items()}


def _assets() -> Assets:
    from w2s import assets

    return assets


__all__ = [
    "ANSWER", "AnswerLoss", "TextLoss", "check_length", "load", "load_to_learn", "restore", "save", "tied_names",
    "without_prefix",
]  # fmt: skip
