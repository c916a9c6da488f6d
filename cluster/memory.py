"""Memory of one rank under ZeRO, in plain numbers: what a stage will need, and which stage and micro-batch fit.

    estimate(sizes, Load(...)) -> Memory            bytes on the device and on the host, by name
    choose(task, device, ranks, wanted) -> Choice   the lowest ZeRO stage that fits, and the largest micro-batch it takes
    proposal(task, device, ranks, wanted) -> str    what to change where it does not fit

Weights and optimizer are float32 whatever the precision of the passes (torch's autocast), so a parameter costs 4 bytes, its
gradient 4, AdamW's two moments 8 (Rajbhandari et al. 2020, ZeRO, section 3.1, without the half precision copies). What DeepSpeed
adds is read from its source, version 0.19.8; buckets are read from the settings we give it.
"""

# P parameters, L learning parameters, N ranks

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from cluster.errors import BadEnvironment
from cluster.sizes import PRECISION_BYTES, Sizes
from cluster.zero import Zero, deepspeed_config

FULL = 4  # bytes of a float32
MOMENTS = 8  # AdamW's two averages
GPU_FIXED = 1_500_000_000  # CUDA context, libraries' workspaces, NCCL's buffers
CPU_FIXED = 650_000_000  # interpreter, torch, transformers, DeepSpeed (bench/memory.py prints it)
GPU_SLACK = 0.10  # fragmentation, and what is not counted
CPU_SLACK = (
    0.60  # glibc keeps what is freed: 1.36 to 1.57 of what is held was measured (bench/memory.py --malloc default)
)
TOKEN_CAP = 16_384  # padded tokens in memory at once: more makes a pass no faster
REUSE = 1_000_000_000  # DeepSpeed's stage3_max_reuse_distance, in elements, where the settings name none
NVME_OPTIMIZER_BUFFERS = 4  # offload_optimizer.buffer_count, each of a sub-group's size
SUB_GROUP = 1_000_000_000  # elements: sub_group_size

Stage = Literal[0, 1, 2, 3]
STAGES: tuple[Stage, ...] = (0, 1, 2, 3)


@dataclass(frozen=True)
class Device:
    """Where a rank computes: so many bytes, of a GPU or of a host's memory (one rank's share of it)."""

    bytes: int
    gpu: bool


@dataclass(frozen=True)
class Load:
    """How a rank trains: `zero` None is one device without DeepSpeed. `rows` x `tokens` is one padded micro-batch.

    `accumulates`: more than one micro-batch a step, so gradients are there while activations are.
    """

    zero: Zero | None
    ranks: int
    rows: int
    tokens: int
    precision: str
    gpu: bool
    checkpointing: bool = False
    accumulates: bool = False


@dataclass(frozen=True)
class Memory:
    """Bytes a rank holds at its worst moment, by name. `host` is what offloading keeps beside the device.

    `gathered` are whole weights ZeRO-3 brings together; `working` what one layer's recomputation and gradients take.
    Where the device is the host's own memory, `host` is zero and what is offloaded is among the parts.
    """

    moment: Literal["start", "forward", "backward", "step"]
    weights: int
    master: int
    optimizer: int
    gradients: int
    gathered: int
    activations: int
    working: int
    logits: int
    buffers: int
    fixed: int
    gpu: bool
    host: int = 0

    @property
    def counted(self) -> int:
        """Everything but the fixed part and the slack: what a process grows by over what it took to start."""
        parts = (self.weights, self.master, self.optimizer, self.gradients, self.gathered)
        return sum(parts) + self.activations + self.working + self.logits + self.buffers

    @property
    def slack(self) -> int:
        return round((GPU_SLACK if self.gpu else CPU_SLACK) * self.counted)

    @property
    def total(self) -> int:
        """Bytes on the device."""
        return self.counted + self.slack + self.fixed

    def to_json(self) -> dict[str, int | str]:
        return {**dataclasses.asdict(self), "slack": self.slack, "total": self.total}


@dataclass(frozen=True)
class _States:
    """What lives from step to step."""

    weights: int
    master: int
    optimizer: int
    gradients: int  # between micro-batches, and at the end of the backward pass
    host: int


def estimate(sizes: Sizes, load: Load) -> Memory:
    """Memory of one rank at its worst moment: when training starts, at the end of forward, of backward, or in the step.

    Gradients come as activations go, so only accumulation holds both in full.
    """
    stage = load.zero.stage if load.zero else 0
    share = math.ceil(sizes.learning / load.ranks)
    states = _states(sizes, load, stage, share)
    curve = sizes.activations(checkpointing=load.checkpointing)
    activations = curve.bytes(load.rows, load.tokens)
    layer = sizes.layer.bytes(load.rows, load.tokens)
    if stage == 3 and load.ranks > 1 and load.precision != "fp32" and sizes.computing:
        # weights of linear modules are gathered in half precision already (get_allgather_dtype): autocast copies the others only
        copied = 1 - min(1.0, sizes.linear / sizes.computing)
        activations -= round(curve.constant * (1 - copied))
        layer -= round(sizes.layer.constant * (1 - copied))
    carried = states.gradients if load.accumulates or stage == 3 else 0
    reserved, touched = _buckets(sizes, load, stage)
    base = Memory(
        moment="forward",
        weights=states.weights,
        master=states.master,
        optimizer=states.optimizer,
        gradients=carried,
        gathered=_gathered(sizes, load) if stage == 3 else 0,
        activations=activations,
        working=layer,
        logits=4 * FULL * load.rows * sizes.outputs,  # scores, log-probabilities, and their gradients
        buffers=reserved,
        fixed=GPU_FIXED if load.gpu else CPU_FIXED,
        gpu=load.gpu,
        host=states.host if load.gpu else 0,
    )
    if not load.gpu:  # offloaded or not, it is the same memory
        base = dataclasses.replace(base, optimizer=base.optimizer + states.host)
    backward = dataclasses.replace(
        base, moment="backward", gradients=states.gradients, activations=0, logits=0, buffers=touched
    )
    moments = [base, backward, _step(base, share, stage, load), _start(base, sizes, load, stage)]
    return max(moments, key=lambda memory: memory.total)


def _states(sizes: Sizes, load: Load, stage: int, share: int) -> _States:
    """Weights, optimizer, master copy and gradients between passes.

    Stages 1 and 2 keep all weights in one flat buffer and clone the rank's share of it for the optimizer even in float32
    (stage_1_and_2.py, `single_partition_of_fp32_groups`); stage 3 does so only when offloading (stage3.py,
    `_create_fp32_partitions`) and keeps its share of gradients in one flat buffer throughout (`grad_partitions_flat_buffer`).
    """
    offload = load.zero.offload if load.zero else "none"
    everything, own = FULL * sizes.parameters, FULL * share
    if stage == 0:
        return _States(everything, 0, MOMENTS * sizes.learning, FULL * sizes.learning, 0)
    if stage < 3:
        gradients = FULL * sizes.learning if stage == 1 else own
        if offload == "none":
            return _States(everything, own, MOMENTS * share, gradients, 0)
        # on the host: master, moments, its gradient, the buffer updated weights go back through, accumulated gradients
        host = own + MOMENTS * share + own + own + (own if load.accumulates else 0) + FULL * sizes.largest_parameter
        return _States(everything, 0, 0, 0 if stage == 2 else gradients, host)
    partition = FULL * math.ceil(sizes.parameters / load.ranks)
    if offload == "none":
        return _States(partition, 0, MOMENTS * share, own, 0)
    if offload == "cpu":
        return _States(0, 0, 0, 0, partition + own + MOMENTS * share + 2 * own)
    sub_group = NVME_OPTIMIZER_BUFFERS * FULL * min(SUB_GROUP, share)
    return _States(0, 0, 0, 0, partition + sub_group + own)


def _buckets(sizes: Sizes, load: Load, stage: int) -> tuple[int, int]:
    """(bytes reserved while activations are at their peak, bytes at the end of the backward pass).

    A bucket is a whole allocation on a GPU, one for each type gradients travel in (two under autocast), twice if communication
    overlaps (stage_1_and_2.py `setup_buckets`; stage3.py `_setup_for_real_optimizer`). The host's memory counts what is written
    to. Reducing flattens a bucket once more (`allreduce_bucket`; `reduce_scatter_coalesced`).
    """
    if load.zero is None or (stage == 0 and load.ranks == 1):
        return 0, 0
    section = deepspeed_config(load.zero, load.precision, 1.0, parameters=sizes.parameters)["zero_optimization"]
    bucket = int(section.get("reduce_bucket_size", 500_000_000))
    flattened = FULL * min(bucket, sizes.learning)
    if stage == 0:
        return 0, flattened
    copies = 2 if section.get("overlap_comm") and stage == 2 else 1
    if not load.gpu:
        # stage 1 holds each gradient either where autograd left it or in the bucket; stage 3's bucket is never let go
        written = 0 if stage == 1 else FULL * min(copies * bucket, sizes.learning)
        return written if stage == 3 else 0, written + flattened
    types = [FULL] if load.precision == "fp32" else [FULL, PRECISION_BYTES[load.precision] if stage == 3 else FULL]
    reserved = copies * bucket * sum(types)
    return reserved, reserved + (0 if stage == 1 else flattened)


def _gathered(sizes: Sizes, load: Load) -> int:
    """Whole weights present at once under ZeRO-3.

    Parameters under the persistence threshold always; a layer's weights stay when they are used again within the reuse
    distance (partitioned_param_coordinator.py, `__params_to_release`), which counts the way up and down: the last half of that
    distance is still there when the backward pass begins. Beside them: what is prefetched, and the joined module at work.
    """
    assert load.zero is not None
    if load.ranks == 1 and load.zero.offload == "none":
        return 0  # the partition is the whole
    section = deepspeed_config(load.zero, load.precision, 1.0, parameters=sizes.parameters)["zero_optimization"]
    reuse = int(section.get("stage3_max_reuse_distance", REUSE)) // 2
    prefetch = int(section.get("stage3_prefetch_bucket_size", 0))
    rest = sizes.parameters - sizes.small
    live = min(rest, reuse + prefetch + sizes.largest_module)
    joined = min(rest, max(prefetch, sizes.largest_module))
    half = 0.0 if load.precision == "fp32" else sizes.linear / sizes.parameters
    size = FULL + half * (PRECISION_BYTES[load.precision] - FULL)
    return FULL * sizes.small + round(size * (live + joined))


def _step(base: Memory, share: int, stage: int, load: Load) -> Memory:
    """In the optimizer's step: no activations; the rank's gradients once more as one flat tensor (fused AdamW adds nothing).

    Stage 2 has let its buckets go by then; stage 1's gradients are still views of them.
    """
    offloaded = load.zero is not None and load.zero.offload != "none"
    gradients = base.gradients if stage == 0 or offloaded else 2 * FULL * share
    empty = dataclasses.replace(base, moment="step", gradients=gradients, buffers=0 if stage == 2 else base.buffers)
    return dataclasses.replace(empty, gathered=0, activations=0, working=0, logits=0)


def _start(base: Memory, sizes: Sizes, load: Load, stage: int) -> Memory:
    """While a model is flattened: its learning weights twice. A GPU without room for that lets the host do it."""
    twice = FULL * sizes.learning if stage in (1, 2) and not load.gpu else 0
    empty = dataclasses.replace(base, moment="start", weights=base.weights + twice, optimizer=0, gradients=0)
    return dataclasses.replace(empty, gathered=0, activations=0, working=0, logits=0, buffers=0)


@dataclass(frozen=True)
class Wanted:
    """What a user asked for. `zero` "plain": one device without DeepSpeed. `micro` None: as many rows as fit."""

    zero: Literal["auto", "plain", 0, 1, 2, 3] = "auto"
    micro: int | None = None
    offload: Literal["none", "cpu", "nvme"] = "none"
    nvme_path: str | None = None
    gradient_checkpointing: bool = False
    compile: bool = False  # does not go with stage 3, whose weights come and go

    def stages(self) -> tuple[Stage | None, ...]:
        """The ZeRO stages to try, lowest first; None stands for no DeepSpeed."""
        if self.zero == "plain":
            return (None,)
        if self.zero != "auto":
            return (self.zero,)
        found = {"none": STAGES, "cpu": STAGES[1:], "nvme": STAGES[3:]}[self.offload]
        return tuple(stage for stage in found if stage != 3 or not self.compile)

    def at(self, stage: Stage | None) -> Zero | None:
        return None if stage is None else Zero(stage, self.offload, self.nvme_path)


@dataclass(frozen=True)
class Choice:
    """How a learner is trained: ZeRO stage (None: without DeepSpeed), rows of a micro-batch, the memory that takes.

    `misses` is by how many bytes a forced choice does not fit; 0 where it does.
    """

    zero: Stage | None
    micro: int
    gradient_checkpointing: bool
    memory: Memory
    misses: int = 0


@dataclass(frozen=True)
class Task:
    """What is to be trained: a model, a global batch of `batch` rows padded to `tokens` tokens (all candidates of a row together)."""

    sizes: Sizes
    batch: int
    tokens: int
    precision: str


def choose(task: Task, device: Device, ranks: int, wanted: Wanted, where: str = "") -> Choice:
    """The lowest ZeRO stage that fits, with the largest micro-batch it fits with; what is forced stays as it is.

    A micro-batch is the rank's whole share or a power of two that divides it, of at most TOKEN_CAP tokens (one row always may).
    Raises BadEnvironment, saying by how much it misses and what would fit, unless both stage and micro-batch were forced:
    such a choice comes back with `misses`. Deterministic: every rank decides alike.
    """
    best = _least(task, device, ranks, wanted)
    forced = len(wanted.stages()) == 1 and wanted.micro is not None
    if not best.misses or forced:
        return best
    raise BadEnvironment(
        where or "memory",
        f"{_named(best)} needs {text(best.memory.total)} a device at the least, there are {text(device.bytes)}: "
        f"{text(best.misses)} too much",
        proposal(task, device, ranks, wanted),
    )


def proposal(task: Task, device: Device, ranks: int, wanted: Wanted) -> str:
    """What to change when memory is not enough, cheapest first: micro-batch, ZeRO stage, checkpointing, offload, devices.

    Each change is kept for those after it, and the first sum of them that fits is named; else all of them.
    """
    changes: list[tuple[str, Wanted]] = []
    now = wanted
    if wanted.micro is not None and wanted.micro > 1:
        now = dataclasses.replace(now, micro=None)
        changes.append(("micro_batch: auto", now))
    if isinstance(wanted.zero, int) and wanted.zero < 3 and ranks > 1:
        now = dataclasses.replace(now, zero="auto")
        changes.append(("zero: auto", now))
    if not wanted.gradient_checkpointing:
        now = dataclasses.replace(now, gradient_checkpointing=True)
        changes.append(("gradient_checkpointing: true", now))
    if wanted.offload == "none" and device.gpu:
        now = dataclasses.replace(now, offload="cpu", zero="auto")
        changes.append(("offload: cpu", now))
    for count, (_, change) in enumerate(changes, start=1):
        found = _least(task, device, ranks, change)
        if not found.misses:
            named = ", ".join(name for name, _ in changes[:count])
            return f"set {named} ({_named(found)}, {text(found.memory.total)})"
    sharded = dataclasses.replace(now, zero="auto" if now.zero in ("plain", 0) else now.zero)
    more = _enough_devices(task, device, ranks, sharded)
    named = ", ".join(["devices: " + str(more) if more else "a smaller model or max_tokens", *(n for n, _ in changes)])
    return f"set {named}" if more else f"take {named}"


def smaller(micro: int, zero: Stage | None, ranks: int, *, checkpointing: bool = False) -> str:
    """What to try after a rank ran out of memory at run time, where no estimate is at hand: the next step down."""
    if micro > 1:
        return f"set micro_batch: {micro // 2} (it was {micro})"
    if zero is not None and zero < 3 and ranks > 1:
        return f"set zero: {zero + 1} (it was {zero})"
    if not checkpointing:
        return "set gradient_checkpointing: true"
    return "set devices to more, zero: 3, or offload: cpu"


def text(count: float) -> str:
    """Bytes for people: `1.5 GB`, `320 MB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _least(task: Task, device: Device, ranks: int, wanted: Wanted) -> Choice:
    """The first choice that fits, or the one that misses by least."""
    share = max(1, task.batch // ranks)
    micros = [wanted.micro] if wanted.micro is not None else _micros(share, task.tokens)
    tried: list[Choice] = []
    for stage in wanted.stages():
        for micro in micros:
            load = Load(
                wanted.at(stage), ranks, micro, task.tokens, task.precision, device.gpu,
                wanted.gradient_checkpointing, accumulates=micro < share,
            )  # fmt: skip
            memory = estimate(task.sizes, load)
            misses = max(0, memory.total - device.bytes)
            tried.append(Choice(stage, micro, wanted.gradient_checkpointing, memory, misses))
            if not misses:
                return tried[-1]
    return min(tried, key=lambda choice: choice.misses)


def _micros(share: int, tokens: int) -> list[int]:
    """Micro-batches to try, largest first: the whole share, and powers of two that divide it."""
    cap = max(1, TOKEN_CAP // max(1, tokens))
    legal = {share} | {2**n for n in range(share.bit_length()) if share % 2**n == 0}
    return sorted((micro for micro in legal if micro <= cap), reverse=True)


def _enough_devices(task: Task, device: Device, ranks: int, wanted: Wanted) -> int | None:
    """The next doubling of devices that is enough, as long as each has a row of the batch."""
    more = 2 * ranks
    while more <= task.batch:
        if task.batch % more == 0 and not _least(task, device, more, wanted).misses:
            return more
        more *= 2
    return None


def _named(choice: Choice) -> str:
    zero = "one device" if choice.zero is None else f"ZeRO-{choice.zero}"
    return f"{zero} with micro_batch {choice.micro}"
