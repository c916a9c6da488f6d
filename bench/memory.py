"""Measured peak memory beside the planner's estimate: ZeRO 0 to 3 at some ranks over gloo, on this machine's CPUs.

    python -m bench.memory --ranks 2 --family gpt2 --width 512 --depth 8 --vocabulary 30000 --rows 8 --tokens 128

Every rank is a process of its own that trains three steps; its peak resident memory is counted from what it held once everything
was imported and the process group stood. The model has random weights: memory does not depend on them.

glibc keeps much of what is freed for itself, and the process stays larger than what it holds. `--malloc exact` has it give every
block over 64 KiB back at once, which checks the arithmetic; `--malloc default` shows what a worker really grows to.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from cluster.memory import Load, estimate
from cluster.sizes import Sizes
from cluster.zero import Zero

STEPS = 3
SAMPLE_S = 0.005
EXACT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--stages", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--family", default="gpt2", choices=["bert", "gpt2", "llama"])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=30_000)
    parser.add_argument("--trainable-layers", default="all")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rows", type=int, default=8, help="of a rank's micro-batch")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--micros", type=int, default=1, help="micro-batches a step")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--offload", default="none", choices=["none", "cpu"])
    parser.add_argument("--malloc", default="exact", choices=["exact", "default"])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rank-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank_of is not None:
        _rank(arguments, arguments.rank_of)
        return
    sizes = _sizes(arguments)
    table = [_measure(arguments, stage, sizes) for stage in arguments.stages]
    if arguments.json:
        print(json.dumps(table, indent=2))
        return
    print(f"{'ZeRO':>4} {'moment':>9} {'estimated':>10} {'measured':>10} {'measured/estimated':>19} {'baseline':>9}")
    for row in table:
        print(
            f"{row['zero']:>4} {row['moment']:>9} {row['estimated'] / 1e6:>7.0f} MB {row['measured'] / 1e6:>7.0f} MB "
            f"{row['measured'] / row['estimated']:>19.2f} {row['baseline'] / 1e6:>6.0f} MB"
        )


def _measure(arguments: argparse.Namespace, stage: int, sizes: Sizes) -> dict[str, Any]:
    """Run the ranks of one stage; the largest peak of theirs beside the estimate."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        argv = [sys.executable, "-m", "bench.memory", *sys.argv[1:], "--stages", str(stage), "--rank-of"]
        env = {
            **os.environ,
            "WORLD_SIZE": str(arguments.ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "DS_ACCELERATOR": "cpu",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": folder,
            "PYTHONWARNINGS": "ignore",
            **(EXACT if arguments.malloc == "exact" else {}),
        }
        ranks = [
            subprocess.Popen(
                [*argv, str(rank)],
                env={**env, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if rank else None,
                text=True,
            )
            for rank in range(arguments.ranks)
        ]
        try:
            answers = [json.loads(process.communicate(timeout=600)[0].strip().splitlines()[-1]) for process in ranks]
        finally:
            for process in ranks:
                process.kill()
    worst = max(answers, key=lambda answer: answer["peak"] - answer["baseline"])
    memory = estimate(sizes, _load(arguments, stage))
    measured = worst["peak"] - worst["baseline"]
    return {
        "zero": stage,
        "moment": memory.moment,
        "estimated": memory.counted,
        "measured": measured,
        "baseline": worst["baseline"],
        "parts": memory.to_json(),
    }


def _load(arguments: argparse.Namespace, stage: int) -> Load:
    return Load(
        _zero(arguments, stage),
        arguments.ranks,
        arguments.rows,
        arguments.tokens,
        arguments.precision,
        gpu=False,
        checkpointing=arguments.checkpointing,
        accumulates=arguments.micros > 1,
    )


def _zero(arguments: argparse.Namespace, stage: int) -> Zero:
    return Zero(stage, arguments.offload if stage else "none")  # type: ignore[arg-type]


def _rank(arguments: argparse.Namespace, rank: int) -> None:
    """One rank: build, train STEPS steps, print its memory as JSON."""
    import deepspeed
    import deepspeed.ops
    import torch

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # it would have to be compiled first
    deepspeed.init_distributed("gloo", verbose=False)
    torch.set_num_threads(1)
    _warm_up(arguments)
    stage = arguments.stages[0]
    torch.distributed.barrier()
    baseline = _resident()
    watcher = Watcher()
    model = _model(arguments)
    step = _stepper(model, arguments, stage)
    generator = torch.Generator().manual_seed(rank)
    for _ in range(STEPS):
        ids = [
            torch.randint(3, arguments.vocabulary, (arguments.rows, arguments.tokens), generator=generator)
            for _ in range(arguments.micros)
        ]
        step(ids)
    peak = watcher.stop()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    print(json.dumps({"baseline": baseline, "peak": peak}))


def _stepper(model: Any, arguments: argparse.Namespace, stage: int) -> Any:
    """What takes a step on some micro-batches: the stepper that trains."""
    import torch

    from w2s.learner import Learner
    from w2s.losses.xent import Config
    from w2s.work.dataset import Batch
    from w2s.work.ranks import Ranks
    from w2s.work.zero import Zero as ZeroStepper

    learner = Learner.model_validate({"model": "tiny:gpt2", "precision": arguments.precision})
    ranks = Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size())
    stepper = ZeroStepper(model, learner, Config(), ranks, _zero(arguments, stage))

    def step(ids: list[Any]) -> None:
        rows = arguments.rows * arguments.micros * ranks.count
        target_BC = torch.nn.functional.one_hot(torch.arange(arguments.rows) % 2, 2).float()
        micros = [Batch(ids_BT, torch.ones_like(ids_BT), target_BC, torch.ones(arguments.rows), 1) for ids_BT in ids]
        stepper.step(micros, rows, 0.0, 1.0)

    return step


def _sizes(arguments: argparse.Namespace) -> Sizes:
    from w2s.work.sizes import of_architecture

    return of_architecture(lambda: _body(arguments), _trainable(arguments), arguments.precision)


def _model(arguments: argparse.Namespace) -> Any:
    from w2s.work.model import Classifier

    model = Classifier(_body(arguments), 2, "mean", _trainable(arguments)).eval()
    if arguments.checkpointing:
        model.enable_gradient_checkpointing()
    return model


def _body(arguments: argparse.Namespace) -> Any:
    import transformers

    from w2s.work.tiny import _config

    config = _config(arguments.family, arguments.width, arguments.depth, arguments.vocabulary)
    pooler = {"add_pooling_layer": False} if arguments.family == "bert" else {}
    return transformers.AutoModel.from_config(config, **pooler)


def _trainable(arguments: argparse.Namespace) -> Any:
    return "all" if arguments.trainable_layers == "all" else int(arguments.trainable_layers)


def _warm_up(arguments: argparse.Namespace) -> None:
    """Modules, kernels and thread pools that the first pass of any model brings in."""
    import torch

    small = argparse.Namespace(
        **{**vars(arguments), "width": 32, "depth": 2, "vocabulary": 100, "trainable_layers": "all"}
    )
    model = _model(small)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    ids_BT = torch.zeros(2, 8, dtype=torch.long)
    model(ids_BT, torch.ones_like(ids_BT)).sum().backward()
    optimizer.step()


def _resident() -> int:
    """Bytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class Watcher:
    """The peak of resident memory from now on, sampled: the kernel's own high-water mark would know the imports too."""

    def __init__(self) -> None:
        self._peak, self._stopped = _resident(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self._peak = max(self._peak, _resident())
            time.sleep(SAMPLE_S)

    def stop(self) -> int:
        self._stopped.set()
        self._thread.join()
        return self._peak


if __name__ == "__main__":
    main()
