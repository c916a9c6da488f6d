"""Digests are remembered while a file stays as it is, and never longer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.key import file_sha256, folder_sha256
from w2s import digests
from w2s.learner import ModelRef

BIG = digests.SMALLEST + 17
OLD_S = 1_000_000_000


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """Names of the files whose bytes were read, in order."""
    names: list[str] = []
    inner = digests._read
    monkeypatch.setattr(digests, "_read", lambda file, teller: names.append(file.name) or inner(file, teller))
    return names


@pytest.fixture
def settled(monkeypatch) -> None:
    """Files made just now count as old."""
    monkeypatch.setattr(digests, "SETTLED_S", -60.0)


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(os.urandom(BIG))
    (folder / "config.json").write_text("{}")
    (folder / ".hidden").write_text("no")
    return folder


@pytest.mark.usefixtures("settled")
def test_a_large_file_is_read_once(model, tmp_path, read):
    cache = tmp_path / "cache"
    assert digests.path_sha256(model, cache) == folder_sha256(model)
    assert sorted(read) == ["config.json", "weights"]
    assert digests.path_sha256(model, cache) == folder_sha256(model)
    assert read[2:] == ["config.json"], "small files are always read"
    assert digests.path_sha256(model / "weights", cache) == file_sha256(model / "weights")
    assert read[3:] == []


@pytest.mark.usefixtures("settled")
def test_a_changed_file_is_read_again_even_with_its_old_size_and_times(model, tmp_path):
    file, cache = model / "weights", tmp_path / "cache"
    first, facts = digests.path_sha256(file, cache), file.stat()
    with open(file, "r+b") as raw:
        raw.write(b"another beginning")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert file.stat().st_size == facts.st_size
    assert digests.path_sha256(file, cache) == file_sha256(file) != first


@pytest.mark.usefixtures("settled")
def test_a_file_renamed_into_the_place_is_read(model, tmp_path):
    file, cache = model / "weights", tmp_path / "cache"
    first = digests.path_sha256(file, cache)
    (model / "new").write_bytes(os.urandom(BIG))
    (model / "new").replace(file)
    assert digests.path_sha256(file, cache) == file_sha256(file) != first


def test_a_file_made_just_now_is_not_remembered(model, tmp_path, read):
    for _ in range(2):
        digests.path_sha256(model / "weights", tmp_path / "cache")
    assert read == ["weights", "weights"]
    assert not (tmp_path / "cache").exists()


def test_a_file_that_changes_while_it_is_read_is_read_again(model, tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "SETTLED_S", -60.0)
    inner = digests._read

    def slow(file, teller):
        digest = inner(file, teller)
        file.write_bytes(os.urandom(BIG))
        return digest

    monkeypatch.setattr(digests, "_read", slow)
    digests.path_sha256(model / "weights", tmp_path / "cache")
    monkeypatch.setattr(digests, "_read", inner)
    assert digests.path_sha256(model / "weights", tmp_path / "cache") == file_sha256(model / "weights")


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"sha256": 1}', "\x00\xff"])
def test_a_damaged_entry_means_reading_again(model, tmp_path, read, damage):
    cache = tmp_path / "cache"
    expected = digests.path_sha256(model / "weights", cache)
    [entry] = cache.iterdir()
    entry.write_text(damage)
    assert digests.path_sha256(model / "weights", cache) == expected
    assert read == ["weights", "weights"]
    digests.path_sha256(model / "weights", cache)
    assert len(read) == 2, "and it is mended"


@pytest.mark.usefixtures("settled")
def test_an_entry_that_others_may_write_is_not_believed(model, tmp_path, read):
    cache = tmp_path / "cache"
    digests.path_sha256(model / "weights", cache)
    [entry] = cache.iterdir()
    assert entry.stat().st_mode & 0o077 == 0
    entry.chmod(0o666)
    digests.path_sha256(model / "weights", cache)
    assert read == ["weights", "weights"]


@pytest.mark.usefixtures("settled")
def test_a_cache_that_cannot_be_written_is_done_without(model, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert digests.path_sha256(model, tmp_path / "cache") == folder_sha256(model)
    monkeypatch.delenv("W2S_CACHE", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert digests.path_sha256(model, digests.folder()) == folder_sha256(model)


@pytest.mark.usefixtures("settled")
def test_keys_of_local_models_use_it(model, tmp_path, monkeypatch, read):
    monkeypatch.setenv("W2S_CACHE", str(tmp_path / "assets"))
    ref = ModelRef(source=str(model))
    assert ref.identity() == ref.identity()
    assert ref.identity()["source"] == {"form": "local", "sha256": folder_sha256(model)}
    assert read.count("weights") == 1
    assert [place.name for place in (tmp_path / "assets").iterdir()] == ["digests"]


def test_long_reading_is_told_on_stderr_and_short_reading_is_not(model, tmp_path, monkeypatch, capsys):
    digests.path_sha256(model, tmp_path / "cache")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(digests, "PATIENCE_S", -1.0)
    digests.path_sha256(model, tmp_path / "cache")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"reading {model} to know its content" in err


def test_a_terminal_gets_a_bar(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(digests, "PATIENCE_S", -1.0)
    monkeypatch.setattr(digests, "CHUNK", 1 << 18)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    digests.path_sha256(model, tmp_path / "cache")
    assert "MB" in capsys.readouterr().err
