"""Vectors and soft labels computed elsewhere (ImageNet/DINO, AlexNet, any embeddings): npz, safetensors or parquet columns."""

# N rows, D width, C classes

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field

from cluster.errors import BadInput
from w2s.config import LocalPath
from w2s.domains import DomainConfig, named
from w2s.examples import Example, hash_unit
from w2s.registry import unknown
from w2s.task import Split

SUFFIXES = (".npz", ".safetensors", ".parquet")
Column = NDArray[Any]


class Config(DomainConfig):
    """One file of columns of equal length, read without unpickling anything.

    A 2-D column is a set of vectors [N, D], which `model: features:NAME` with `probe` learns on; or class probabilities [N, C],
    which `weak: {model: given:NAME}` takes for supervisor. A 1-D column of numbers is the truth, a group, a domain, or
    P(class 1). With `domain`, `source` and `shift` the distribution shifts; rows of domains that are not named are left out.
    """

    SOURCE: ClassVar[str] = "a local file of arrays"

    kind: Literal["features"] = "features"
    path: LocalPath = Field(description="npz, safetensors or parquet, told by suffix")
    test_path: LocalPath | None = Field(
        None, description="the test split; without it test_share of path is the test split"
    )
    test_share: float = Field(0.25, gt=0, lt=1, description="share of the groups, by hash; unused with test_path")
    label: str = Field("label", description="column of the true class, 0, 1, ...")
    group: str | None = Field(
        None, description="column; rows of one group never straddle two parts (default: each its own)"
    )
    classes: int = Field(2, ge=2, le=100_000, validation_alias=AliasChoices("n_classes", "classes"))

    @property
    def n_classes(self) -> int:
        return self.classes

    @property
    def chance(self) -> float:
        """1 / classes: what the commonest class's share is, only the file knows."""
        return 1 / self.classes


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One example a row; its text is a digest of the row's numbers, so that a row is itself wherever it stands."""
    for example, in_test, _ in _all(config):
        if in_test == (split == "test"):
            yield example


def columns(config: Config) -> dict[str, dict[str, Column]]:
    """Every column of vectors and probabilities by example id: what goes beside the rows table."""
    found: dict[str, dict[str, Column]] = {}
    for example, _, row in _all(config):
        for name, value in row.items():
            found.setdefault(name, {})[example.id] = value
    return found


def _all(config: Config) -> Iterator[tuple[Example, bool, dict[str, Column]]]:
    """(example, whether it is of the test split, the row's own columns of numbers)."""
    for place, in_test in ((config.path, None), (config.test_path, True)):
        if place is None:
            continue
        arrays = _read(Path(place))
        labels_N = _labels(config, place, arrays)
        groups_N = None if config.group is None else _one(place, arrays, config.group)
        domains_N = None if config.domain is None else _one(place, arrays, config.domain)
        kept = {
            name: values
            for name, values in arrays.items()
            if name not in (config.label, config.group, config.domain) and _numeric(values)
        }
        for i, label in enumerate(labels_N):
            row = {name: values[i] for name, values in kept.items()}
            digest = hashlib.sha256(b"".join(np.ascontiguousarray(row[name]).tobytes() for name in sorted(row)))
            text = digest.hexdigest()[:32]
            group = text if groups_N is None else str(groups_N[i])
            drawn = hash_unit("test", group) < config.test_share
            if domains_N is not None:
                found = config.placed(named(domains_N[i].item()), drawn=drawn, test_file=bool(in_test))
                if found is not None:
                    yield Example((text,), int(label), group, side=found[0]), found[1], row
                continue
            test = in_test if in_test is not None else config.test_path is None and drawn
            yield Example((text,), int(label), group), bool(test), row


def _numeric(values: Column) -> bool:
    return values.ndim in (1, 2) and values.dtype.kind == "f"


def _labels(config: Config, place: str, arrays: dict[str, Column]) -> Column:
    labels_N = _one(place, arrays, config.label)
    if labels_N.ndim != 1 or not np.equal(np.mod(labels_N, 1), 0).all():
        raise BadInput(place, f"column '{config.label}' holds no whole numbers", "give classes as 0, 1, ...")
    if labels_N.min() < 0 or labels_N.max() >= config.classes:
        found = f"classes {int(labels_N.min())} to {int(labels_N.max())}"
        raise BadInput(place, f"column '{config.label}' holds {found}", f"n_classes is {config.classes}; set it right")
    return labels_N


def _one(place: str, arrays: dict[str, Column], name: str) -> Column:
    if name not in arrays:
        raise BadInput(place, unknown("column", name, sorted(arrays)), "correct the column's name")
    return arrays[name]


@lru_cache(maxsize=2)
def _loaded(place: Path, changed: float) -> dict[str, Column]:
    return _open(place)


def _read(place: Path) -> dict[str, Column]:
    """All columns of a file. Raises BadInput: no such file, not readable, columns of different lengths, none of numbers."""
    if not place.is_file():
        raise BadInput(str(place), "no such file", "correct task.path")
    arrays = _loaded(place, place.stat().st_mtime)
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) != 1 or not any(_numeric(values) for values in arrays.values()):
        told = ", ".join(f"{name} {list(arrays[name].shape)}" for name in arrays) or "nothing"
        raise BadInput(str(place), f"holds {told}", "give columns of equal length, at least one of them floats")
    broken = [name for name, values in arrays.items() if _numeric(values) and not np.isfinite(values).all()]
    if broken:
        raise BadInput(
            str(place), f"column '{broken[0]}' holds numbers that are not finite", "mend them or leave the rows out"
        )
    return arrays


def _open(place: Path) -> dict[str, Column]:
    try:
        if place.name.endswith(".npz"):
            with np.load(place, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        if place.name.endswith(".safetensors"):
            from safetensors.numpy import load_file

            return dict(load_file(place))
        if place.name.endswith(".parquet"):
            return _parquet(place)
    except Exception as error:  # each reader has its own exceptions for a file that is not what its name says
        raise BadInput(str(place), f"cannot be read: {error}", "write it anew") from None
    raise BadInput(str(place), f"its name ends in none of {', '.join(SUFFIXES)}", "convert it, or rename it")


def _parquet(place: Path) -> dict[str, Column]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(place)
    found: dict[str, Column] = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        lists = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
        found[name] = np.stack(column.to_pylist()) if lists else column.to_numpy(zero_copy_only=False)
    return found
