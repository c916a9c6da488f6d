"""The Zero stepper: a gang's way to step a model, by DeepSpeed ZeRO. The one place that imports deepspeed.

DeepSpeed shards, gathers and reduces; what a step is (batches, loss, weights of rows) is `Stepper`'s, as on one device.
Weights and optimizer state leave and enter whole and by name, through DeepSpeed's own addresses of each parameter's shards.
"""

# D elements of a whole parameter, S elements of one rank's shard of it

from __future__ import annotations

import math
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cluster import surroundings
from cluster.errors import BadEnvironment
from cluster.zero import Zero as Settings
from cluster.zero import deepspeed_config
from w2s.learner import Learner
from w2s.loss import LossConfig
from w2s.work import optim
from w2s.work.dataset import Batch
from w2s.work.hidden import Reader
from w2s.work.model import Classifier
from w2s.work.next_word import NextWord
from w2s.work.ranks import Ranks
from w2s.work.scorer import Scorer, asked
from w2s.work.stepper import Stepper, Trainable, set_rate
from w2s.work.writer import Writer

SLOTS = ("exp_avg", "exp_avg_sq")  # of Adam and AdamW, each shaped as its parameter


def prepare(device: str) -> None:
    """Tell DeepSpeed which device to use, before it guesses. Raises BadEnvironment where it would fall back to the CPU."""
    if device == "cuda" and not torch.cuda.is_available():
        raise BadEnvironment(
            "GPU", "asked for, and none is visible to this process", "set gpus: 0 under machines, or find the GPU"
        )
    os.environ["DS_ACCELERATOR"] = device
    import deepspeed.ops

    # gloo serves on the CPU; DeepSpeed would compile its shared-memory collectives first, and die without a compiler
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def check_offload(settings: Settings) -> None:
    """Raises BadEnvironment where DeepSpeed would have to compile what offloading to a disk needs, and cannot.

    Offloading to the host's memory compiles nothing: torch's own fused AdamW steps there.
    """
    if settings.offload != "nvme":
        return
    missing = {
        "a C++ compiler": surroundings.compiler(os.environ),
        "ninja": surroundings.program("ninja", os.environ.get("PATH", "")),
        "libaio": surroundings.libaio(),
    }
    names = [name for name, found in missing.items() if found is None]
    if names:
        what = f"needs {' and '.join(names)} on every node, and {socket.gethostname()} has none"
        raise BadEnvironment(
            "offload: nvme", what, "install it (Debian: g++, ninja-build, libaio-dev), or use offload: cpu"
        )


@contextmanager
def partition_at_load(settings: Settings, precision: str) -> Iterator[None]:
    """Inside, transformers cuts every weight up as it loads it, so that no rank ever holds the whole model."""
    from transformers.integrations.deepspeed import set_hf_deepspeed_config, unset_hf_deepspeed_config

    told = _Stage3(deepspeed_config(settings, precision, None))  # held by a weak reference there: must live on here
    set_hf_deepspeed_config(told)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]


class _Stage3:
    """What transformers asks of a DeepSpeed configuration (its own class for this wants another package)."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def is_zero3(self) -> bool:
        return True


class ZeroScorer(Scorer):
    """A trained model cut up over the ranks of a gang (ZeRO-3 without an optimizer)."""

    def __init__(
        self, model: Classifier | Reader | NextWord | Writer, learner: Learner, ranks: Ranks, settings: Settings
    ) -> None:
        super().__init__(model, learner, ranks)
        prepare(ranks.device)
        if learner.model.form != "static":
            _check_cut(model)
        import deepspeed

        config = deepspeed_config(settings, learner.precision, None, parameters=_elements(model), train=False)
        self._engine: Any = deepspeed.initialize(model=model, config=config, dist_init_required=False)[0]

    def _scores(self, batch: Batch) -> Tensor:
        scores: Tensor = self._engine(batch.input_ids, batch.attention_mask)
        return scores


def _check_cut(model: Trainable | Reader | NextWord | Writer) -> None:
    """Under ZeRO-3 a pretrained body must have been cut up while it was loaded: otherwise every rank holds all of it.

    transformers says nothing when it did not. Raises BadEnvironment.
    """
    # adapters are made after the weights they sit on were cut up; they are small, and cut up with the head
    named = [(name, weight) for name, weight in model.body.named_parameters() if ".lora_" not in name]
    whole = [name for name, weight in named if not hasattr(weight, "ds_id")]
    if whole:
        what = f"{len(whole)} weights were loaded whole on every rank ({whole[0]}, ...)"
        raise BadEnvironment(
            "ZeRO-3", what, "do transformers and deepspeed have the tested versions (constraints.txt)?"
        )


def _elements(model: nn.Module) -> int:
    return sum(math.prod(optim.shape(weight)) for weight in model.parameters())


class Zero(Stepper):
    """A model on the ranks of a gang, sharded by ZeRO stage 0, 1, 2 or 3."""

    def __init__(
        self, model: Trainable, learner: Learner, loss: LossConfig | None, ranks: Ranks, settings: Settings
    ) -> None:
        super().__init__(model, learner, loss, ranks)
        prepare(ranks.device)
        check_offload(settings)
        import deepspeed

        self._stage = settings.stage
        if settings.stage == 3 and learner.model.form not in ("tiny", "static"):
            _check_cut(model)
        config = deepspeed_config(settings, learner.precision, learner.optim.clip, parameters=_elements(model))
        self._engine: Any = deepspeed.initialize(
            model=model, optimizer=optim.build(learner.optim, self.named), config=config, dist_init_required=False
        )[0]
        self._optimizer: torch.optim.Optimizer = self._engine.basic_optimizer
        self._flats = self._flat_parameters()
        self._create_slots()

    @property
    def layout(self) -> str:
        return f"{self.ranks.count} rank{'s' * (self.ranks.count > 1)} under ZeRO-{self._stage}"

    def _scores(self, batch: Batch) -> Tensor:
        scores: Tensor = self._engine(*asked(batch))
        return scores

    def _begin(self) -> None:
        """DeepSpeed clears gradients in its own step."""

    def _backward(self, share: Tensor, *, last: bool) -> None:
        self._engine.set_gradient_accumulation_boundary(last)
        # DeepSpeed takes the mean over ranks; shares are parts of a sum
        self._engine.backward(share * self.ranks.count, scale_wrt_gas=False)

    def _update(self, rate: float) -> float:
        set_rate(self._optimizer, rate)
        norm = self._clip_unsharded() if self._stage == 0 else None
        self._engine.step()
        return float(self._engine.get_global_grad_norm() if norm is None else norm)

    def _clip_unsharded(self) -> Tensor:
        scaler = self._scaler()
        if scaler is not None:
            scaler.unscale_(self._optimizer)
        limit = self.learner.optim.clip
        parameters = [weight.parameter for weight in self.named]
        return torch.nn.utils.clip_grad_norm_(parameters, float("inf") if limit is None else limit)

    def whole(self, weight: Tensor) -> Tensor:
        import deepspeed

        with deepspeed.zero.GatheredParameters([weight], enabled=hasattr(weight, "ds_id")):
            return weight.detach().clone()

    def weights(self) -> dict[str, Tensor]:
        self._settle()
        found = {}
        for index, (name, parameter, _) in enumerate(self.named):
            whole = self._whole(parameter, None)
            if self.owns(index):
                found[name] = whole.to("cpu", copy=True)
        return found

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        self._settle()
        for index, (name, parameter, _) in enumerate(self.named):
            self._set(parameter, None, self._shown(index, parameter, weights, name))

    def export(self) -> dict[str, Tensor] | None:
        import deepspeed

        self._settle()
        found: dict[str, Tensor] = {}
        tensors = [*self.model.named_parameters(), *self.model.named_buffers()]
        wanted = set(self.model.state_dict())
        for name, tensor in ((name, tensor) for name, tensor in tensors if name in wanted):
            with deepspeed.zero.GatheredParameters([tensor], enabled=hasattr(tensor, "ds_id")):
                if self.ranks.first:
                    found[name] = tensor.detach().to("cpu", copy=True)
        return found if self.ranks.first else None

    def _optimizer_state(self) -> dict[str, Tensor]:
        step = float(self._optimizer.state[self._flats[0]]["step"])
        found: dict[str, Tensor] = {}
        for index, (name, parameter, _) in enumerate(self.named):
            whole = {slot: self._whole(parameter, slot) for slot in SLOTS}
            if self.owns(index):
                found |= {f"optim/{name}/{slot}": tensor.to("cpu", copy=True) for slot, tensor in whole.items()}
                found[f"optim/{name}/step"] = torch.tensor(step)
        return found

    def _load_optimizer_state(self, tensors: Mapping[str, Tensor]) -> None:
        for index, (name, parameter, _) in enumerate(self.named):
            for slot in SLOTS:
                self._set(parameter, slot, self._shown(index, parameter, tensors, f"optim/{name}/{slot}"))
        # one count for all: they were stepped together
        step = max((float(tensors[name]) for name in tensors if re.fullmatch("optim/.+/step", name)), default=0.0)
        for flat in self._flats:
            self._optimizer.state[flat]["step"].fill_(step)

    def _settle(self) -> None:
        """Give back what ZeRO-3 gathered: small weights kept whole between steps, and those fetched ahead for a backward
        pass that did not come (after an evaluation). Shards alone are the truth; a weight on its way cannot be read.
        """
        if self._stage == 3:
            self._engine.empty_partition_cache()

    def _shown(self, index: int, parameter: nn.Parameter, tensors: Mapping[str, Tensor], name: str) -> Tensor:
        """A whole parameter, read by the rank that owns it and shown to all. One device has no optimizer state of a parameter
        that no gradient ever reached; here that is zeros."""
        shape = optim.shape(parameter)
        whole = torch.zeros(shape, dtype=torch.float32, device=self.device)
        if self.owns(index) and name in tensors:
            whole.copy_(tensors[name])
        return self.ranks.broadcast(whole, index % self.ranks.count)

    def _whole(self, parameter: nn.Parameter, slot: str | None) -> Tensor:
        """A learning parameter (or one of its optimizer slots), put together from all ranks, in fp32."""
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        whole: Tensor
        if self._stage == 0:
            whole = parameter.detach() if slot is None else self._optimizer.state[parameter][slot]
        elif slot is None:
            whole = safe_get_full_fp32_param(parameter)
        else:
            whole = safe_get_full_optimizer_state(parameter, slot)
        return whole

    @torch.no_grad()
    def _set(self, parameter: nn.Parameter, slot: str | None, whole: Tensor) -> None:
        """The inverse of `_whole`: each rank keeps its shard."""
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        if self._stage == 0:
            (parameter.data if slot is None else self._optimizer.state[parameter][slot]).copy_(whole)
        elif self._stage == 3:
            self._set_shard(parameter, slot, whole)
        elif slot is None:
            safe_set_full_fp32_param(parameter, whole)  # the master copy on its rank
            parameter.data.copy_(whole)  # and the one that computes, on every rank
        else:
            safe_set_full_optimizer_state(parameter, whole, slot)

    def _set_shard(self, parameter: Any, slot: str | None, whole: Tensor) -> None:
        from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

        size = parameter.ds_tensor.ds_numel  # S: D / ranks, rounded up
        padded = whole.new_zeros(size * self.ranks.count)
        padded[: whole.numel()] = whole.flatten()
        shard = padded[self.ranks.rank * size :][:size]
        if slot is None:
            safe_set_local_fp32_param(parameter, shard)
            parameter.ds_tensor.data.copy_(shard.view_as(parameter.ds_tensor))
        else:
            safe_set_local_optimizer_state(parameter, shard, slot)

    def _numbers(self) -> dict[str, Any]:
        scaler = self._scaler()
        return {} if scaler is None else {"scaler": scaler.state_dict()}

    def _load_numbers(self, numbers: Mapping[str, Any]) -> None:
        scaler = self._scaler()
        if scaler is not None and "scaler" in numbers:
            scaler.load_state_dict(dict(numbers["scaler"]))

    def _scaler(self) -> Any:
        """The loss scaler of fp16, where DeepSpeed keeps it; None for other precisions."""
        holder = self._engine if self._stage == 0 else self._engine.optimizer
        return getattr(
            holder, "torch_autocast_z0_gradscaler" if self._stage == 0 else "torch_autocast_gradscaler", None
        )

    def _flat_parameters(self) -> list[Tensor]:
        """What the inner optimizer really steps: this rank's shards in flat fp32 buffers (stage 0: the parameters)."""
        if self._stage == 0:
            return [weight.parameter for weight in self.named]
        wrapper = self._engine.optimizer
        found = wrapper.fp32_partitioned_groups_flat if self._stage == 3 else wrapper.single_partition_of_fp32_groups
        return list(found)

    def _create_slots(self) -> None:
        """Adam's moments, made before the first step rather than in it, so that a checkpoint can be read into them."""
        for group, flat in enumerate(self._flats):
            with self._off_the_disk(group):
                self._optimizer.state[flat] = {
                    "step": torch.zeros((), dtype=torch.float32, device=flat.device),
                    **{slot: torch.zeros_like(flat) for slot in SLOTS},
                }
        if self._stage in (1, 2):
            self._engine.optimizer._lazy_init_hp_params_optimizer_state()  # points each parameter at its pieces of them

    @contextmanager
    def _off_the_disk(self, group: int) -> Iterator[None]:
        """Inside, a group's flat buffer is in memory, also where `offload: nvme` keeps it on a disk between steps."""
        swapper = self._engine.optimizer
        swaps = self._stage == 3 and swapper._swappable_optimizer_subgroup(group)
        if swaps:
            swapper._optimizer_states_and_gradient_swap_in(group)
        yield
        if swaps:
            swapper._optimizer_states_and_gradient_swap_out(group)
