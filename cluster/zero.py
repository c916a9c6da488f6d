"""ZeRO settings and batch arithmetic as plain numbers: what a gang is told, decided without importing DeepSpeed.

deepspeed_config(Zero(stage=3), ...) -> dict       pure; golden files hold every preset
cut(batch, ranks, micro) -> Cut                    global batch = micro x accumulation x ranks, or the nearest that is
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cluster.errors import BadInput

BUCKET = 200_000_000  # elements reduced or gathered at once, at most: 0.8 GB a buffer, and there are up to four
LIVE = 1_000_000_000  # elements of whole weights that ZeRO-3 may keep at once, at most (likewise)
LIVE_SHARE = 4  # and at most one in so many of the model's, or a small model would be whole on every rank
NEAREST = 3  # legal values offered in place of an illegal one


@dataclass(frozen=True)
class Zero:
    """How a gang shards a model: nothing (0), the optimizer (1), gradients as well (2), weights as well (3).

    `offload` is where the optimizer's state lives: none (on the device), cpu (in the host's memory), or nvme (on the disk at
    `nvme_path`). At stage 3 cpu and nvme keep the weights in the host's memory as well.
    """

    stage: Literal[0, 1, 2, 3]
    offload: Literal["none", "cpu", "nvme"] = "none"
    nvme_path: str | None = None


def deepspeed_config(
    zero: Zero, precision: str, clip: float | None, *, parameters: int = LIVE_SHARE * LIVE, train: bool = True
) -> dict[str, Any]:
    """What DeepSpeed is told about a model of so many parameters: buckets need not be larger than it.

    Batches are cut by us, so DeepSpeed counts one micro-batch a step and never accumulates by itself.

    `precision`: fp32, bf16 or fp16, as torch's autocast over float32 weights: the same arithmetic as on one device.
    `train` False leaves out the optimizer (sharded prediction).
    """
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        # unsharded gradients are clipped by us, as on one device: DeepSpeed would not tell us their norm
        "gradient_clipping": clip if clip and zero.stage else 0.0,
        "zero_allow_untested_optimizer": True,
        # torch's own fused AdamW serves on the host too; DeepSpeed's would have to be compiled first
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
        "zero_optimization": _zero_section(zero, parameters, train=train),
    }
    if precision != "fp32":
        config["torch_autocast"] = {"enabled": True, "dtype": {"bf16": "bfloat16", "fp16": "float16"}[precision]}
    return config


def _zero_section(zero: Zero, parameters: int, *, train: bool) -> dict[str, Any]:
    section: dict[str, Any] = {"stage": zero.stage}
    if zero.stage == 0:
        return section
    bucket, live = min(BUCKET, parameters), min(LIVE, -(-parameters // LIVE_SHARE))
    section |= {"reduce_bucket_size": bucket, "allgather_bucket_size": bucket, "contiguous_gradients": True}
    # overlapping needs streams; where there are none DeepSpeed ignores it
    section["overlap_comm"] = zero.stage >= 2
    if zero.stage == 3:
        section |= {
            "stage3_param_persistence_threshold": 100_000,
            "stage3_prefetch_bucket_size": bucket // 4,
            "stage3_max_live_parameters": live,
            "stage3_max_reuse_distance": live,
            "stage3_gather_16bit_weights_on_model_save": False,  # we gather and write models ourselves
        }
    if zero.offload != "none":
        host = {"device": "cpu", "pin_memory": True}
        if train:
            disk = {"device": "nvme", "pin_memory": True, "nvme_path": zero.nvme_path}
            section["offload_optimizer"] = disk if zero.offload == "nvme" else dict(host)
        if zero.stage == 3:
            section["offload_param"] = dict(host)  # a third of what the optimizer keeps: the disk need not have it too
    return section


@dataclass(frozen=True)
class Cut:
    """A global batch as micro x accumulation x ranks rows."""

    micro: int
    accumulation: int
    ranks: int

    @property
    def batch(self) -> int:
        return self.micro * self.accumulation * self.ranks


def cut(batch: int, ranks: int, micro: int | None, where: str = "batch") -> Cut:
    """How a global batch falls on ranks. `micro` None: all of a rank's rows at once.

    Raises BadInput with the nearest legal values where it does not divide.
    """
    if batch % ranks:
        near = _nearest(batch, [n * ranks for n in range(1, batch // ranks + 2)])
        raise BadInput(
            where, f"a batch of {batch} rows does not divide over {ranks} devices", f"nearest that do: {near}"
        )
    share = batch // ranks
    if micro is None:
        return Cut(share, 1, ranks)
    if share % micro:
        near = _nearest(micro, [n for n in range(1, share + 1) if share % n == 0])
        rows = f"batch {batch}" if ranks == 1 else f"the {share} rows each of {ranks} devices has of batch {batch}"
        raise BadInput(where, f"micro_batch {micro} does not divide {rows}", f"nearest that do: {near}")
    return Cut(micro, share // micro, ranks)


def _nearest(value: int, legal: list[int]) -> str:
    closest = sorted(legal, key=lambda other: abs(other - value))[:NEAREST]
    return ", ".join(map(str, sorted(closest)))
