"""Hub data sets from local copies: which file is which split; and an offline hub told with its remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.errors import BadInput
from w2s.hub import rows
from w2s.tasks.boolq import Config

ROOT = Path(__file__).parents[2]

ROW = {"question": "q", "answer": True, "passage": "p"}


def write(path: Path, count: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({**ROW, "passage": f"{path.stem} {i}"}) + "\n" for i in range(count)))
    return str(path)


def passages(config: Config, split: str) -> list[str]:
    return [row.text("passage") for row in rows(config, split)]


def test_splits_are_told_by_names_of_files_or_folders(tmp_path: Path) -> None:
    write(tmp_path / "train" / "0000.jsonl", 2)
    write(tmp_path / "train" / "0001.jsonl", 1)
    write(tmp_path / "dev.jsonl", 1)
    write(tmp_path / "test.jsonl", 5)
    write(tmp_path / ".cache" / "train.jsonl", 9)
    config = Config(path=str(tmp_path))
    assert passages(config, "train") == ["0000 0", "0000 1", "0001 0"]
    assert passages(config, "test") == ["dev 0"]


def test_a_single_file_is_train_and_test_path_the_test(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a.jsonl", 2), write(tmp_path / "b.jsonl", 1)
    config = Config(path=one, test_path=other)
    assert (passages(config, "train"), passages(config, "test")) == (["a 0", "a 1"], ["b 0"])
    with pytest.raises(BadInput, match="set test_path"):
        passages(Config(path=one), "test")


def test_a_folder_without_the_split_says_what_it_found(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", 2)
    with pytest.raises(BadInput, match=r"found train\.jsonl; put a file with 'validation' in its name there"):
        passages(Config(path=str(tmp_path)), "test")
    with pytest.raises(BadInput, match="no such file"):
        passages(Config(path=str(tmp_path / "nowhere")), "train")


def test_an_optional_path_enters_the_key_by_content(tmp_path: Path) -> None:
    one, other = write(tmp_path / "x" / "train.jsonl", 2), write(tmp_path / "y" / "train.jsonl", 2)
    assert Config(path=one).identity() == Config(path=other).identity()
    assert Config(path=one).identity() != Config().identity()


def test_an_offline_hub_is_a_bad_environment_with_a_remedy(tmp_path: Path) -> None:
    code = (
        "from cluster.errors import BadEnvironment\n"
        "from w2s.task import load\n"
        "from w2s.tasks.boolq import Config\n"
        "try: load(Config(), 'test')\n"
        "except BadEnvironment as problem: print(problem)\n"
    )
    # a process of its own: the hub library reads its environment once
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "google/boolq@main, validation" in said.stdout, said.stderr
    assert "set task.path to a local copy" in said.stdout
