"""Receipts of a store, each read once: what a stage took, and all that it was made from."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.job import Receipt
from cluster.store import Store


class Ledger:
    """What a store says of its finished stages. Raises StageFailed for a damaged receipt."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._receipts: dict[str, Receipt | None] = {}
        self._below: dict[str, frozenset[str]] = {}

    def receipt(self, key: str) -> Receipt | None:
        """None where the store does not hold the stage."""
        if key not in self._receipts:
            self._receipts[key] = self._store.receipt(key) if self._store.has(key) else None
        return self._receipts[key]

    def seconds(self, key: str) -> float:
        receipt = self.receipt(key)
        return 0.0 if receipt is None else receipt.seconds

    def below(self, keys: Iterable[str]) -> frozenset[str]:
        """The finished stages among these, and all that they were made from."""
        found: set[str] = set()
        for key in keys:
            found |= self._closure(key)
        return frozenset(found)

    def _closure(self, key: str) -> frozenset[str]:
        if key not in self._below:
            receipt = self.receipt(key)
            own = frozenset() if receipt is None else frozenset({key}).union(*map(self._closure, receipt.inputs))
            self._below[key] = own
        return self._below[key]
