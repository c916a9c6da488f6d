"""Facts about code, versions and machine are true, and cost no import."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cluster.provenance import PACKED, boot_id, git_state, hardware, process_start_time, versions

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> bytes:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("one\n")
    (tmp_path / ".gitignore").write_text("venv/\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_versions_are_those_installed_and_a_missing_one_is_left_out() -> None:
    found = versions("pytest")
    assert found["python"] == platform.python_version()
    assert found["numpy"] == version("numpy")
    assert found["pytest"] == version("pytest")
    assert "no-such-distribution" not in versions("no-such-distribution")


def test_nothing_heavy_is_imported_to_tell_versions_and_hardware() -> None:
    code = (
        "import sys, cluster.provenance as p, cluster.store; p.versions(); p.hardware();"
        "print([m for m in ('torch', 'ray', 'pandas', 'numpy', 'fsspec', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_packed_code_brings_its_state_along(tmp_path: Path) -> None:
    (tmp_path / PACKED).write_text('{"commit": "abc", "dirty": false}')
    (tmp_path / "w2s" / "work").mkdir(parents=True)
    for place in (tmp_path, tmp_path / "w2s", tmp_path / "w2s" / "work"):
        assert git_state(place) == {"commit": "abc", "dirty": False}
    (tmp_path / PACKED).write_text("torn")
    assert git_state(tmp_path) == {}


@needs_git
def test_a_clean_repository_has_its_commit_and_no_changes(repository: Path) -> None:
    state = git_state(repository)
    assert state["commit"] == git(repository, "rev-parse", "HEAD").decode().strip()
    assert state["dirty"] is False
    assert state["diff_sha256"] == hashlib.sha256(b"").hexdigest()


@needs_git
def test_a_change_makes_it_dirty_and_another_change_gives_another_digest(repository: Path) -> None:
    digests = set()
    for text in ("two\n", "three\n"):
        (repository / "a.txt").write_text(text)
        state = git_state(repository)
        assert state["dirty"] is True
        digests.add(state["diff_sha256"])
    assert len(digests) == 2


@needs_git
def test_settings_of_a_repository_run_no_program(repository: Path) -> None:
    marker = repository / "venv"
    for setting in ("diff.external", "core.fsmonitor"):
        git(repository, "config", setting, f"touch {marker} #")
    (repository / "a.txt").write_text("two\n")
    assert git_state(repository)["dirty"] is True
    assert not marker.exists()


@needs_git
def test_where_git_knows_nothing_of_the_code_there_is_no_state(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (repository / "venv").mkdir()
    assert git_state(repository / "venv") == {}  # ignored: a virtual environment in somebody's checkout
    assert git_state(repository / "nowhere") == {}
    outside = tmp_path_factory.mktemp("outside")
    assert git_state(outside) == {}
    git(outside, "init", "-q")
    assert git_state(outside) == {}  # no commit yet


def test_without_git_there_is_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == {}


def test_hardware_is_plain_json_without_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hunter2hunter2")
    facts = hardware()
    assert facts["hostname"] == platform.node()
    assert facts["cpus"] >= 1
    assert facts["memory_gib"] > 0
    assert "hunter2hunter2" not in json.dumps([facts, versions()])


def test_a_process_has_one_start_time_and_none_once_it_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        start = process_start_time(child.pid)
        assert start is not None
        assert start == process_start_time(child.pid)
        own = process_start_time(os.getpid())
        assert own is not None
        assert start >= own
    finally:
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet collected: a zombie
    assert process_start_time(child.pid) is None
    child.communicate()
    assert process_start_time(child.pid) is None


def test_the_boot_is_the_same_for_all_processes() -> None:
    code = "from cluster.provenance import boot_id; print(boot_id())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == boot_id()
