"""Learning from token-level rationales: which tokens are irrelevant, and how the student is made not to mind them.

Four ways (Heo, Piratla, Wicker, Weller 2023, "Use perturbations when learning from explanations"), each an extra part of a row's
loss CE(w, f(x)). An irrelevant token is one that is neither special nor touched by a highlight; x' differs from x there alone.

    corm      beta CE(w, f(x')), each irrelevant token replaced with probability `prob` (their average-case version, for tokens)
    pgd       beta CE(w, f(x')), x' found by ascent in the token vectors, each moved by at most eps * median ||vector||
    gradreg   gradient * sum over irrelevant tokens of || d log f_y / d vector ||
    ibp       a CE(w, f(x)) + (1 - a) CE of the worst logits in a box around the irrelevant vectors, a going from alpha to alpha / 2

f_y is the probability of the label's most likely class; w the label, soft or not.

`gradient` may be added to pgd and ibp. What grows during training is a function of progress alone.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from w2s.config import Config

By = Literal["corm", "pgd", "gradreg", "ibp"]

CHOICES: dict[str, frozenset[str]] = {
    "corm": frozenset({"beta", "prob", "replace"}),
    "pgd": frozenset({"beta", "eps", "steps", "warmup", "ball", "gradient"}),
    "gradreg": frozenset({"gradient"}),
    "ibp": frozenset({"eps", "alpha", "gradient"}),
}
"""What of the numbers each way has a use for; `rationale`, `reliability` and `most` serve all."""


class Explain(Config):
    """How rationales enter a student's loss. `by` chooses the way; a number that it has no use for is refused."""

    by: By = Field("corm", description="how the student is made not to mind irrelevant tokens")
    beta: float = Field(1.0, gt=0, description="by corm, pgd: weight of the loss on the perturbed text")
    prob: float = Field(0.3, gt=0, le=1, description="by corm: share of the irrelevant tokens that are replaced")
    replace: Literal["random", "mask"] = Field(
        "random", description="by corm: by a random token of the texts it learns from, or by the tokenizer's mask token"
    )
    eps: float = Field(
        0.3,
        gt=0,
        description="by pgd, ibp: how far a vector may be moved, as a share of the median length of the model's token vectors",
    )
    steps: int = Field(3, ge=1, le=100, description="by pgd: steps of ascent")
    warmup: float = Field(
        0.2, ge=0, le=1, description="by pgd: share of training over which eps grows from 0; by ibp it grows throughout"
    )
    ball: Literal["l2", "box"] = Field(
        "l2", description="by pgd: how a move is measured; box: each coordinate, the corner as far away as eps says"
    )
    alpha: float = Field(1.0, gt=0, le=1, description="by ibp: weight of the loss on the text as it is, at the start")
    gradient: float | None = Field(
        None, ge=0, description="weight of the gradient's length at irrelevant tokens; null: 1 by gradreg, else 0"
    )
    rationale: Literal["task", "random"] = Field(
        "task", description="random: as many tokens of the row, but any of them: the negative control"
    )
    reliability: Literal["none", "confidence"] = Field(
        "none", description="confidence: less is asked (eps, prob, gradient) where the label is less sure"
    )
    most: float = Field(
        0.9, gt=0, le=1, description="a row of whose tokens a larger share is irrelevant is never perturbed"
    )

    @model_validator(mode="after")
    def _all_act(self) -> Explain:
        others = frozenset().union(*CHOICES.values()) - CHOICES[self.by]
        fields = Explain.model_fields
        odd = [name for name in sorted(others) if getattr(self, name) != fields[name].get_default()]
        if odd:
            known = ", ".join(sorted(CHOICES[self.by]))
            raise ValueError(f"by: {self.by} has no use for {', '.join(odd)}; it knows {known}")
        if self.by == "gradreg" and self.gradient == 0:
            raise ValueError("by: gradreg with gradient: 0 asks for nothing; give it a weight, or use naive")
        return self

    @property
    def slope(self) -> float:
        """The weight of the gradient's length."""
        return (1.0 if self.by == "gradreg" else 0.0) if self.gradient is None else self.gradient

    def radius(self, progress: float) -> float:
        """`eps` at `progress` in [0, 1): pgd warms up to it, ibp's grows throughout (as released)."""
        if self.by == "ibp":
            return self.eps * progress
        return self.eps if progress >= self.warmup else self.eps * progress / self.warmup

    def clean(self, progress: float) -> float:
        """By ibp: the weight of the loss on the text as it is, from alpha down to alpha / 2."""
        return self.alpha * (1 - progress / 2)

    @classmethod
    def of(cls, config: Explain) -> Explain:
        """The same choices without what a subclass has beside them."""
        return Explain(**{name: getattr(config, name) for name in Explain.model_fields})
