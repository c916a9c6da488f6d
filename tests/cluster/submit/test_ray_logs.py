"""What is kept of a node's logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.submit import ray_logs


def test_of_long_logs_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_logs, "FILE_BYTES", 4)
    monkeypatch.setattr(ray_logs, "NODE_BYTES", 9)
    logs = tmp_path / "home" / "0" / "session_1" / "logs"
    (logs / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c", "empty", "z"):
        (logs / name).write_text("" if name == "empty" else f"123{name[-1]}end")
    (logs / "link").symlink_to(logs / "a")
    ray_logs.copy_logs(tmp_path / "home", tmp_path / "to")
    kept = {
        str(file.relative_to(tmp_path / "to")): file.read_text()
        for file in (tmp_path / "to").rglob("*")
        if file.is_file()
    }
    assert kept == {"a": "aend", "b": "bend", "deep/c": "d"}
