"""One GPU: tokens/s, MFU and peak memory of the Zero stepper on a randomly initialised decoder, beside the planner's estimate.

    python -m bench.gpu                                  about 1 B parameters, bf16, 512 and 2048 tokens, ZeRO 0-3 and offload
    python -m bench.gpu --width 64 --depth 2 --steps 2   a rehearsal that runs anywhere (on a CPU: no claims)

Every variant runs in a process of its own, at world size 1. MFU is the model's FLOPs (cluster/sizes.py: 6 a weight and token,
and attention) against a matmul's measured just before, in the same precision; both are printed.
"""

# B rows, T tokens

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.tables import plain_table
from cluster.memory import Load, estimate
from cluster.zero import Zero

VARIANTS = {
    "plain": None,
    "zero0": Zero(0),
    "zero1": Zero(1),
    "zero2": Zero(2),
    "zero3": Zero(3),
    "zero3-cpu": Zero(3, "cpu"),
}
ROOT = Path(__file__).parent.parent
WARM_UP = 2  # steps left out
PEAK_SIZE = {"cuda": 8192, "cpu": 1024}


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    if options.child:
        print("RESULT " + json.dumps(_measure(options, options.child, options.tokens[0])))
        return 0
    found = []
    for tokens in options.tokens:
        for variant in options.variants:
            print(f"{variant}, {tokens} tokens ...", file=sys.stderr)
            found.append(_in_own_process(options, variant, tokens))
    head = ["variant", "tokens", "tokens/s", "MFU", "peak TFLOP/s", "peak memory", "estimated", "estimated/measured"]
    print(plain_table(head, [_row(result) for result in found]))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--depth", type=int, default=18)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--rows", type=int, default=8, help="of a step, in one micro-batch")
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=list(VARIANTS), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _in_own_process(options: argparse.Namespace, variant: str, tokens: int) -> dict[str, Any]:
    numbers = ("width", "depth", "vocabulary", "rows", "steps", "precision")
    argv = [sys.executable, "-m", "bench.gpu", "--child", variant, "--tokens", str(tokens)]
    argv += [part for name in numbers for part in (f"--{name}", str(getattr(options, name)))]
    done = subprocess.run(
        [*argv, *(["--checkpointing"] if options.checkpointing else [])], capture_output=True, text=True, cwd=ROOT
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        print(done.stderr[-2000:], file=sys.stderr)
        return {"variant": variant, "tokens": tokens, "failed": (done.stderr.strip().splitlines() or ["?"])[-1]}
    result: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return result


def _row(result: dict[str, Any]) -> list[str]:
    if "failed" in result:
        return [result["variant"], str(result["tokens"]), result["failed"][:60], "", "", "", "", ""]
    peak, wanted = result["peak_bytes"], result["estimated_bytes"]
    return [
        result["variant"],
        str(result["tokens"]),
        f"{result['tokens_per_s']:,.0f}",
        f"{result['mfu']:.1%}",
        f"{result['peak_flops'] / 1e12:.1f}",
        f"{peak / 1e9:.2f} GB" if peak else "-",
        f"{wanted / 1e9:.2f} GB",
        f"{wanted / peak:.2f}" if peak else "-",
    ]


def _measure(options: argparse.Namespace, variant: str, tokens: int) -> dict[str, Any]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    peak_flops = _matmul_flops(device, options.precision)
    sizes = _sizes(options)
    step = _stepper(options, variant, device)
    target_BC = torch.nn.functional.one_hot(torch.arange(options.rows) % 2, 2).float()
    for _ in range(WARM_UP):
        step(target_BC, tokens)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    for _ in range(options.steps):
        step(target_BC, tokens)
    seconds = (time.perf_counter() - started) / options.steps
    load = Load(
        VARIANTS[variant], 1, options.rows, tokens, options.precision, gpu=device == "cuda",
        checkpointing=options.checkpointing, accumulates=False,
    )  # fmt: skip
    memory = estimate(sizes, load)
    rate = options.rows * tokens / seconds
    return {
        "variant": variant, "tokens": tokens, "device": device, "parameters": sizes.parameters, "tokens_per_s": rate,
        "peak_flops": peak_flops, "mfu": rate * sizes.train_flops(tokens) / peak_flops,
        # what torch reserves; the estimate's fixed part (context, libraries) and slack are outside of that
        "peak_bytes": torch.cuda.max_memory_reserved() if device == "cuda" else 0,
        "estimated_bytes": memory.counted,
    }  # fmt: skip


def _stepper(options: argparse.Namespace, variant: str, device: str) -> Callable[[Any, int], None]:
    import torch
    import torch.distributed as dist

    from w2s.learner import Learner
    from w2s.losses.xent import Config
    from w2s.work.dataset import Batch
    from w2s.work.model import Classifier
    from w2s.work.ranks import Ranks
    from w2s.work.stepper import Plain, Stepper

    learner = Learner.model_validate({"model": "tiny:llama", "precision": options.precision})
    torch.manual_seed(0)
    model = Classifier(_body(options), 2, "last").eval()
    if options.checkpointing:
        model.enable_gradient_checkpointing()
    ranks, settings = Ranks(device=device), VARIANTS[variant]
    stepper: Stepper
    if settings is None:
        stepper = Plain(model, learner, Config(), ranks)
    else:
        from w2s.work.zero import Zero as ZeroStepper

        os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
        meeting = Path(tempfile.mkdtemp()) / "rendezvous"
        dist.init_process_group(
            "nccl" if device == "cuda" else "gloo", init_method=f"file://{meeting}", rank=0, world_size=1
        )
        stepper = ZeroStepper(model, learner, Config(), ranks, settings)
    generator = torch.Generator().manual_seed(0)

    def step(target_BC: Any, tokens: int) -> None:
        ids_BT = torch.randint(3, options.vocabulary, (options.rows, tokens), generator=generator)
        batch = Batch(ids_BT, torch.ones_like(ids_BT), target_BC, torch.ones(options.rows), 1)
        stepper.step([batch], options.rows, 0.0, 1.0)

    return step


def _body(options: argparse.Namespace) -> Any:
    import transformers

    heads = max(1, options.width // 128)
    config = transformers.LlamaConfig(
        vocab_size=options.vocabulary, hidden_size=options.width, num_hidden_layers=options.depth,
        num_attention_heads=heads, intermediate_size=4 * options.width, max_position_embeddings=4096,
    )  # fmt: skip
    return transformers.AutoModel.from_config(config)


def _sizes(options: argparse.Namespace) -> Any:
    from w2s.work.sizes import of_architecture

    return of_architecture(lambda: _body(options), "all", options.precision, pooling="last")


def _matmul_flops(device: str, precision: str) -> float:
    """FLOP/s of the best of some square matrix products."""
    import torch

    size = PEAK_SIZE[device]
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        product = left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    del product
    return 2.0 * size**3 / best


if __name__ == "__main__":
    sys.exit(main())
