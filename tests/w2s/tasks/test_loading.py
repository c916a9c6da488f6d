"""Every hub task loads from a local mirror and, with the network off, from the `datasets` cache: the same rows as ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.w2s.tasks.samples import CASES, Case
from w2s import hub, registry
from w2s.tasks.cola import Config as Cola

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ONLINE = tuple(case for case in CASES if ("source", "file") not in case.changes)

# what `load_dataset` leaves behind after a download, made by the library's own builder from local files
PREPARE = """
import json, sys
from datasets.data_files import DataFilesDict
from datasets.packaged_modules.parquet.parquet import Parquet
for place in json.loads(sys.argv[1]):
    builder = Parquet(cache_dir=sys.argv[2], dataset_name=place["id"].split("/")[-1], repo_id=place["id"], hash=sys.argv[3],
                      config_name=place["subset"] or "default")
    builder.config.data_files = DataFilesDict.from_patterns({split: [file] for split, file in place["files"].items()})
    builder.download_and_prepare()
"""

READ = """
import json, sys
from w2s import registry
from cluster.errors import Problem
found = {}
for name, kind, fields in json.loads(sys.argv[1]):
    module = registry.module("tasks", kind)
    try:
        config = module.Config.model_validate(fields)
        found[name] = {split: [[e.texts, e.label] for e in module.examples(config, split)] for split in ("train", "test")}
    except Problem as problem:
        found[name] = str(problem)
print(json.dumps(found))
"""


def mirror(case: Case, root: Path) -> dict[str, str]:
    """A clone of the data set's repository: three rows for training and one for the test, where the hub has them."""
    place = case.config(path="x").place
    folder = root / (place.folder or place.subset or "data")
    folder.mkdir(parents=True)
    files = {}
    for split, rows in {place.train: case.rows[:3], place.test: case.rows[3:]}.items():
        files[split] = str(folder / f"{split}-00000-of-00001.parquet")
        pq.write_table(pa.Table.from_pylist(list(rows)), files[split])
    return files


def plain(case: Case, **paths: str) -> dict[str, list[Any]]:
    config, module = case.config(**paths), registry.module("tasks", case.kind)
    found = {split: [[e.texts, e.label] for e in module.examples(config, split)] for split in ("train", "test")}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def from_mirror(case: Case, tmp_path: Path) -> dict[str, list[Any]]:
    mirror(case, tmp_path / "mirror")
    return plain(case, path=str(tmp_path / "mirror"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_local_mirror_is_read_by_the_hubs_own_split_names(case: Case, tmp_path: Path) -> None:
    found = from_mirror(case, tmp_path)
    # `all` gives two items a question, or none for one that is refused
    assert 2 <= len(found["train"]) <= 6
    assert 1 <= len(found["test"]) <= 2
    assert not {str(row[0]) for row in found["train"]} & {str(row[0]) for row in found["test"]}


def test_other_subsets_of_a_mirror_are_left_alone(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.kind == "cola")
    alone = from_mirror(case, tmp_path)
    (tmp_path / "mirror" / "rte").mkdir()
    pq.write_table(pa.table({"other": [1]}), tmp_path / "mirror" / "rte" / "train-00000-of-00001.parquet")
    assert plain(case, path=str(tmp_path / "mirror")) == alone
    assert plain(case, path=str(tmp_path / "mirror" / "cola")) == alone


def test_splits_with_numbers_are_told_apart(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.kind == "anli_r2")
    alone = from_mirror(case, tmp_path)
    for other in ("train_r1", "train_r3", "test_r1"):
        pq.write_table(pa.table({"other": [1]}), tmp_path / "mirror" / "data" / f"{other}-00000-of-00001.parquet")
    assert plain(case, path=str(tmp_path / "mirror")) == alone


def run(code: str, *args: str, home: Path) -> str:
    # a process of its own: the hub library reads its environment once
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-W", "ignore", "-c", code, *args]
    done = subprocess.run(argv, env=env, cwd=home, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of the hub library whose caches hold every hub task's data, and nothing else."""
    home = tmp_path_factory.mktemp("home")
    places: dict[tuple[str, str | None], dict[str, Any]] = {}
    for case in ONLINE:
        place = case.config().place
        repository = home / "hub" / f"datasets--{place.id.replace('/', '--')}"
        if place.folder is not None:  # the layout of the hub's own cache: a commit's files, and what names the commit
            if not (repository / "snapshots" / COMMIT / place.folder).is_dir():
                mirror(case, repository / "snapshots" / COMMIT)
            (repository / "refs" / place.revision).parent.mkdir(parents=True, exist_ok=True)
            (repository / "refs" / place.revision).write_text(COMMIT)
        elif (place.id, place.subset) not in places:
            files = mirror(case, home / "from" / str(len(places)))
            if case.kind == "chess":  # the hub has one split
                pq.write_table(pa.Table.from_pylist(list(case.rows)), files["train"])
            places[place.id, place.subset] = {"id": place.id, "subset": place.subset, "files": files}
    run(PREPARE, json.dumps(list(places.values())), str(home / "datasets"), COMMIT, home=home)
    return home


def test_the_network_is_off_and_every_task_loads_from_the_cache(cache: Path, tmp_path: Path) -> None:
    asked = [(case.name, case.kind, dict(case.changes)) for case in ONLINE]
    found = json.loads(run(READ, json.dumps(asked), home=cache))
    for case in ONLINE:
        expected = from_mirror(case, tmp_path / case.name.replace(" ", "_"))
        if case.kind == "chess":
            everything = [row for split in found[case.name].values() for row in split]
            assert sorted(map(str, everything)) == sorted(str(row) for rows in expected.values() for row in rows)
        else:
            assert found[case.name] == expected, case.name


def test_the_cache_holds_the_commit_that_was_asked_for_or_is_not_used(cache: Path) -> None:
    other = "f" * 40
    asked = [("pinned", "sst2", {"revision": COMMIT}), ("other", "sst2", {"revision": other})]
    asked += [("pinned folder", "wic", {"revision": COMMIT}), ("other folder", "wic", {"revision": other})]
    found = json.loads(run(READ, json.dumps(asked), home=cache))
    assert len(found["pinned"]["train"]) == len(found["pinned folder"]["train"]) == 3
    assert f"the cache holds {COMMIT}" in found["other"]
    assert "fetch this revision" in found["other"]
    assert f"aps/super_glue/wic@{other}, train: could not be loaded" in found["other folder"]


def test_a_folder_that_was_never_fetched_is_told_with_a_remedy(cache: Path) -> None:
    asked = [("other copy", "pairs", {"source": "hh-helpful", "hub_id": "aps/super_glue", "revision": COMMIT})]
    found = json.loads(run(READ, json.dumps(asked), home=cache))
    assert "could not be loaded" in found["other copy"]
    assert "set task.path to a local copy" in found["other copy"]


def test_fetch_says_where_a_local_copy_lies(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.kind == "cola")
    files = mirror(case, tmp_path)
    assert hub.fetch(Cola(path=str(tmp_path))) == str(Path(files["train"]).parent)
