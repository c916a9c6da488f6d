"""Checkpoints: whole or not at all, the last two kept, the damaged passed over, the foreign refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from w2s.work.checkpoint import Below, Checkpoint, latest, save
from w2s.work.ranks import Ranks

ALONE = Ranks()


def ours() -> None:
    return None


def at(step: int) -> Checkpoint:
    return Checkpoint(step, {"a": torch.arange(5.0) * step, "rng/cpu": torch.get_rng_state()}, {"step": step})


def test_round_trip_and_the_last_two(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, "k", at(step), ours, ALONE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000002", "step-000000003"]
    found = latest(tmp_path, "k", print, ALONE)
    assert found is not None
    assert found.step == 3
    assert torch.equal(found.tensors["a"], torch.arange(5.0) * 3)
    assert found.state == {"step": 3}


@pytest.mark.parametrize("file", ["tensors-00000.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_any_damage_falls_back_to_the_one_before(tmp_path: Path, file: str, damage: str) -> None:
    for step in (1, 2):
        save(tmp_path, "k", at(step), ours, ALONE)
    target = tmp_path / "step-000000002" / file
    raw = bytearray(target.read_bytes())
    if damage == "flip":
        raw[len(raw) // 2] ^= 0x40
        target.write_bytes(raw)
    elif damage == "truncate":
        target.write_bytes(raw[: len(raw) // 2])
    else:
        target.unlink()
    said: list[str] = []
    found = latest(tmp_path, "k", said.append, ALONE)
    assert found is not None
    assert found.step == 1
    assert "step-000000002 passed over" in said[0]


def test_saves_after_a_fall_back_are_the_ones_that_are_kept(tmp_path: Path) -> None:
    """Damaged checkpoints of later steps do not push out the good ones of the run that passed over them."""
    for step in (8, 9):
        save(tmp_path, "k", at(step), ours, ALONE)
        (tmp_path / f"step-00000000{step}" / "state.json").unlink()
    for step in (2, 4, 6):
        save(tmp_path, "k", at(step), ours, ALONE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000004", "step-000000006"]
    found = latest(tmp_path, "k", print, ALONE)
    assert found is not None
    assert found.step == 6


def test_a_manifest_of_another_step_is_not_believed(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, "k", at(step), ours, ALONE)
    manifest = tmp_path / "step-000000002" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"step": 2', '"step": 3'))
    said: list[str] = []
    found = latest(tmp_path, "k", said.append, ALONE)
    assert found is not None
    assert found.step == 1
    assert "step 3" in said[0]


def test_a_prefix_names_a_part(tmp_path: Path) -> None:
    save(tmp_path, "k", at(1), ours, ALONE)
    found = latest(tmp_path, "k", print, ALONE)
    assert found is not None
    assert list(Below(found.tensors, "rng/")) == ["cpu"]


def test_another_stages_checkpoint_is_not_ours(tmp_path: Path) -> None:
    save(tmp_path, "k", at(1), ours, ALONE)
    said: list[str] = []
    assert latest(tmp_path, "other", said.append, ALONE) is None
    assert "belongs to another stage" in said[0]


def test_half_written_ones_are_never_read_and_swept(tmp_path: Path) -> None:
    (tmp_path / "part-000000009").mkdir()
    assert latest(tmp_path, "k", print, ALONE) is None
    save(tmp_path, "k", at(1), ours, ALONE)
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000001"]


def test_a_driver_that_lost_its_lease_writes_nothing(tmp_path: Path) -> None:
    def lost() -> None:
        raise RuntimeError("taken over")

    with pytest.raises(RuntimeError, match="taken over"):
        save(tmp_path, "k", at(1), lost, ALONE)
    assert not list(tmp_path.iterdir())


def test_nothing_is_pickled(tmp_path: Path) -> None:
    save(tmp_path, "k", at(1), ours, ALONE)
    for file in (tmp_path / "step-000000001").iterdir():
        raw = file.read_bytes()
        assert b"\x80\x04" not in raw[:2]
        assert not raw.startswith(b"PK")
    assert json.loads((tmp_path / "step-000000001" / "manifest.json").read_text())["format"] == 2
