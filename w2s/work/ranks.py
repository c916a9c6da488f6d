"""The processes that train one model together: what they agree on, add up, and show one another."""

# R ranks, G_r rows on rank r

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from cluster.errors import from_record
from cluster.job import Context
from cluster.worker import as_problem

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """One of `count` processes, in a process group that exists already. Alone, everything here is the identity."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @classmethod
    def of(cls, context: Context) -> Ranks:
        return cls(context.rank, context.ranks, context.device)

    @property
    def first(self) -> bool:
        return self.rank == 0

    def add(self, numbers: Sequence[float]) -> list[float]:
        """Element by element the sum over ranks, in float64; the same bits on every rank."""
        if self.count == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(number) for number in total.tolist()]

    def least(self, number: float) -> float:
        """The smallest of the ranks' numbers."""
        if self.count == 1:
            return number
        found = torch.tensor(number, dtype=torch.float64, device=self.device)
        dist.all_reduce(found, op=dist.ReduceOp.MIN)
        return float(found)

    def gather(self, rows: Tensor) -> list[Tensor]:
        """Every rank's rows [G_r, ...], rank by rank; the counts may differ, the rest of the shape may not."""
        if self.count == 1:
            return [rows]
        counts = [torch.empty(1, dtype=torch.int64, device=rows.device) for _ in range(self.count)]
        dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
        most = max(int(count) for count in counts)
        padded = rows.new_zeros((most, *rows.shape[1:]))
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in range(self.count)]
        dist.all_gather(found, padded)
        return [part[: int(count)] for part, count in zip(found, counts, strict=True)]

    def show(self, value: Any) -> list[Any]:
        """Every rank's plain JSON, rank by rank."""
        if self.count == 1:
            return [value]
        text = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8).to(self.device)
        return [json.loads(bytes(part.cpu().numpy())) for part in self.gather(text)]

    def broadcast(self, tensor: Tensor, source: int) -> Tensor:
        """`tensor` as rank `source` has it, on every rank (written in place elsewhere)."""
        if self.count > 1:
            dist.broadcast(tensor, source)
        return tensor

    def barrier(self) -> None:
        if self.count > 1:
            self.add([0.0])  # works on every back end, and needs no device of its own

    def together(self, work: Callable[[], Value], name: str) -> Value:
        """Do something on every rank that may fail on one: it fails on all or on none, so that nobody waits for ever.

        A rank that failed raises its own error, the others the first of those.
        """
        error: Exception | None = None
        try:
            done = work()
        except Exception as raised:
            error = raised
        records: list[Mapping[str, str] | None] = self.show(as_problem(error, name).record() if error else None)
        if error is not None:
            raise error
        failed = next((record for record in records if record is not None), None)
        if failed is not None:
            raise from_record(dict(failed))
        return done
