"""What a report's stages took, by kind, and what sharing them between methods and seeds saved; from receipts alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.job import Receipt
from w2s.report.page.chapter import Chapter
from w2s.shown.ledger import Ledger


@dataclass(frozen=True)
class Kind:
    """The stages of one kind: how many the recipes need, how many are there, and what these took."""

    kind: str
    needed: int
    there: int
    seconds: float
    device_hours: float


@dataclass(frozen=True)
class Cost:
    """`apart_s`: had every method and seed run all it needs by itself. `uses` counts a stage once for each that needs it."""

    kinds: tuple[Kind, ...]
    owners: int
    uses: int
    apart_s: float

    @property
    def needed(self) -> int:
        return sum(kind.needed for kind in self.kinds)

    @property
    def there(self) -> int:
        return sum(kind.there for kind in self.kinds)

    @property
    def seconds(self) -> float:
        return sum(kind.seconds for kind in self.kinds)

    @property
    def device_hours(self) -> float:
        return sum(kind.device_hours for kind in self.kinds)

    @property
    def saved_s(self) -> float:
        return self.apart_s - self.seconds

    @property
    def shared(self) -> float:
        """The share of all uses that another method or seed had paid for."""
        return 1 - self.there / self.uses if self.uses else 0.0


def cost_of(chapters: Sequence[Chapter], ledger: Ledger) -> Cost:
    """Reads receipts only."""
    graph = {key: stage for chapter in chapters for key, stage in chapter.graph.items()}
    kinds = []
    for kind in dict.fromkeys(stage.kind for stage in graph.values()):
        keys = [key for key, stage in graph.items() if stage.kind == kind]
        receipts = [receipt for key in keys if (receipt := ledger.receipt(key)) is not None]
        seconds = sum(receipt.seconds for receipt in receipts)
        hours = sum(receipt.seconds * devices(receipt) for receipt in receipts) / 3600
        kinds.append(Kind(kind, len(keys), len(receipts), seconds, hours))
    goals = [
        [stage.key for stage in outcome.stages()]
        for chapter in chapters for line in chapter.lines for outcome in line.outcomes.values()
    ]  # fmt: skip
    owners = [ledger.below(keys) for keys in goals]
    apart_s = sum(ledger.seconds(key) for owner in owners for key in owner)
    return Cost(tuple(sorted(kinds, key=lambda kind: -kind.seconds)), len(owners), sum(map(len, owners)), apart_s)


def devices(receipt: Receipt) -> float:
    """How many devices a stage held: the ranks of a gang, the share of a GPU it reserved, or one."""
    count = float(receipt.machines.get("devices") or 1)
    share = receipt.machines.get("gpus")
    on_gpu = str(receipt.hardware.get("device", "")).startswith("cuda")
    return count * float(share) if on_gpu and share else count
