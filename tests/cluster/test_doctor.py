"""doctor: what it says of sound and of damaged surroundings, with facts made up and with real files, programs and limits."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from pathlib import Path

import pytest

from cluster import doctor, surroundings
from cluster.doctor import GIB, Finding
from cluster.surroundings import Gpus, Lock, Memory, Room
from tests.w2s.command import w2s


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text)
    file.chmod(0o755)
    return file


def test_a_package_is_compared_with_the_tested_one() -> None:
    assert doctor.package("torch", "2.13.0+cpu", "2.13.0", needed=True).state == "ok"  # a build for this machine
    assert doctor.package("torch", "2.13.0", None, needed=True).state == "ok"
    other = doctor.package("ray", "2.61.0", "2.60.0", needed=True)
    assert (other.state, other.found) == ("warn", "2.61.0, tested with 2.60.0")
    assert "pip install ray==2.60.0" in other.remedy
    assert doctor.package("ray", None, "2.60.0", needed=True).state == "fail"
    assert doctor.package("deepspeed", None, None, needed=False).state == "warn"


def test_versions_come_from_metadata_and_constraints(tmp_path: Path) -> None:
    assert surroundings.installed("pytest") == pytest.__version__
    assert surroundings.installed("no-such-distribution") is None
    file = tmp_path / "constraints.txt"
    file.write_text("# pinned\nTorch==2.13.0  # the plain release\npytest>=8\n\nray==2.60.0\n")
    assert surroundings.pinned_versions(file) == {"torch": "2.13.0", "ray": "2.60.0"}
    assert surroundings.pinned_versions(tmp_path / "none.txt") == {}
    assert surroundings.pinned_versions(doctor.CONSTRAINTS)["ray"]


def test_an_old_python_fails() -> None:
    assert doctor.python((3, 10, 4)).state == "fail"
    assert doctor.python(sys.version_info[:3]).state == "ok"


def test_the_dashboard_needs_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "toy-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: toy\nVersion: 1\nProvides-Extra: default\nRequires-Dist: pytest\n"
        'Requires-Dist: no-such-plain\nRequires-Dist: pytest; extra == "default"\n'
        'Requires-Dist: no-such-extra>=1; extra == "default"\nRequires-Dist: no-such-other; extra == "other"\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    missing = surroundings.missing_of_extra("toy", "default")
    assert missing == ["no-such-extra"]
    assert surroundings.missing_of_extra("no-such-distribution", "default") == []
    assert surroundings.missing_of_extra("ray", "default") == []
    found = doctor.dashboard(missing)
    assert found.state == "warn"
    assert "no-such-extra" in found.found


@pytest.mark.parametrize(
    "torch, driver, state, words",
    [
        (Gpus((), ""), None, "ok", "none"),
        (Gpus(("H200",) * 2, "13.0"), ["GPU 0: H200", "GPU 1: H200"], "ok", "2 x H200"),
        (Gpus((), ""), ["GPU 0: H200"], "warn", "built for CPUs"),
        (Gpus((), "13.0", ""), ["GPU 0: H200"], "warn", "CUDA_VISIBLE_DEVICES is ''"),
        (Gpus((), "13.0"), ["GPU 0: H200"], "warn", "driver new enough"),
        (None, ["GPU 0: H200"], "warn", "cannot be loaded"),
    ],
)
def test_gpus_of_driver_and_torch_are_compared(
    torch: Gpus | None, driver: list[str] | None, state: str, words: str
) -> None:
    found = doctor.gpus(torch, driver)
    assert found.state == state
    assert words in f"{found.found}; {found.remedy}"


def test_nccl_is_for_gpus() -> None:
    assert doctor.nccl(None).state == doctor.nccl(Gpus((), "13.0")).state == "ok"
    assert doctor.nccl(Gpus(("H200",), "13.0")).state == "warn"
    told = doctor.nccl(Gpus(("H200",), "13.0", nccl="2.27.5"))
    assert (told.state, told.found) == ("ok", "2.27.5")


def test_tensorboard_must_be_importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.tensorboard("2.21.0", importable=True).state == "ok"
    assert "damaged" in doctor.tensorboard("2.21.0", importable=False).found
    assert doctor.tensorboard(None, importable=False).found == "not installed"
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "half_there").mkdir()
    assert surroundings.importable("half_there")
    assert not surroundings.importable("half_there.part")
    assert not surroundings.importable("no_such_module.part")


def test_ports_that_are_taken_are_named() -> None:
    with socket.socket() as mine:
        mine.bind(("", 0))
        mine.listen()
        port = mine.getsockname()[1]
        assert surroundings.taken([port]) == [port]
    assert surroundings.taken([port]) == []
    assert doctor.ports([]).state == "ok"
    told = doctor.ports([8265, 52365])
    assert (told.state, told.found) == ("warn", "8265, 52365 are taken")
    assert "--dashboard-port --dashboard-agent-listen-port" in told.remedy


def test_nvidia_smi_is_asked(tmp_path: Path) -> None:
    assert surroundings.nvidia_smi(str(tmp_path)) is None
    program(tmp_path / "one", "nvidia-smi", "#!/bin/sh\necho 'GPU 0: H200 (UUID: x)'\necho '  MIG 1g'\n")
    assert surroundings.nvidia_smi(str(tmp_path / "one")) == ["GPU 0: H200 (UUID: x)"]
    program(tmp_path / "two", "nvidia-smi", "#!/bin/sh\necho 'no driver'\nexit 9\n")
    assert surroundings.nvidia_smi(str(tmp_path / "two")) is None


def test_torch_tells_what_it_sees() -> None:
    import torch

    seen = surroundings.torch_gpus()
    assert seen is not None
    assert len(seen.names) == torch.cuda.device_count()


def test_memory_cores_and_limits() -> None:
    real = surroundings.memory()
    assert 0 < real.available <= real.total <= real.machine
    assert doctor.memory(Memory(GIB, 16 * GIB, 16 * GIB)).state == "warn"
    contained = doctor.memory(Memory(8 * GIB, 16 * GIB, 64 * GIB))
    assert contained.state == "ok"
    assert "container" in contained.found
    usable, total = surroundings.cores()
    assert 1 <= usable <= total
    assert doctor.cores(1, 8).found == "1 of 8 are this process's"
    assert surroundings.open_files() == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert doctor.open_files((1024, 4096)).state == "warn"
    assert doctor.open_files((1024, 65536)).state == "ok"
    assert doctor.open_files((-1, -1)).state == "ok"
    assert doctor.shared_memory(64 * 2**20).state == "warn"
    assert doctor.shared_memory(None).state == doctor.shared_memory(2 * GIB).state == "ok"


def test_a_containers_memory_is_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the container already uses is not free, whatever the machine has."""
    limit, use = tmp_path / "memory.max", tmp_path / "memory.current"
    monkeypatch.setattr(surroundings, "CGROUPS", ((limit, use),))
    limit.write_text("104857600\n")
    use.write_text("62914560\n")
    found = surroundings.memory()
    assert (found.available, found.total) == (41943040, 104857600)
    limit.write_text("max\n")
    assert surroundings.memory().total == found.machine


def test_disks(tmp_path: Path) -> None:
    there = surroundings.room(tmp_path / "not" / "yet")
    assert there.writable
    assert there.free is not None
    assert there.free > 0
    assert not (tmp_path / "not").exists()
    file = tmp_path / "file"
    file.write_text("")
    assert not surroundings.room(file / "below").writable
    assert doctor.disk("store", Room(tmp_path, 50 * GIB, True), needed=True).state == "ok"
    assert doctor.disk("store", Room(tmp_path, GIB, True), needed=True).state == "warn"
    assert doctor.disk("store", Room(tmp_path, 1000, True), needed=True).state == "fail"
    assert doctor.disk("store", Room(tmp_path, 50 * GIB, False), needed=True).state == "fail"
    assert doctor.disk("cache", Room(tmp_path, 50 * GIB, False), needed=False).state == "warn"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_of_others_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    assert not surroundings.room(tmp_path / "store").writable


def test_extensions_should_not_be_on_a_network(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/sda1 / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\nserver:/x {tmp_path}x lustre rw 0 0\n"
    )
    assert surroundings.filesystem(tmp_path / "a" / "b", mounts) == "nfs4"
    assert surroundings.filesystem(tmp_path.parent, mounts) == "ext4"
    assert surroundings.filesystem(tmp_path, tmp_path / "none") == ""
    assert doctor.extension_builds(Room(tmp_path, 50 * GIB, True, "nfs4")).state == "warn"
    assert doctor.extension_builds(Room(tmp_path, 50 * GIB, True, "ext4")).state == "ok"
    assert surroundings.extensions_folder({"TORCH_EXTENSIONS_DIR": "/fast/x"}) == Path("/fast/x")
    assert surroundings.extensions_folder({"XDG_CACHE_HOME": "/home/c"}) == Path("/home/c/torch_extensions")


def test_a_lock_left_behind_is_found(tmp_path: Path) -> None:
    assert surroundings.locks(tmp_path / "none") == []
    old, new = tmp_path / "py311_cpu" / "cpu_adam" / "lock", tmp_path / "async_io" / "lock"
    for lock in (old, new):
        lock.parent.mkdir(parents=True)
        lock.write_text("")
    an_hour_ago = time.time() - 3600
    os.utime(old, (an_hour_ago, an_hour_ago))
    found = surroundings.locks(tmp_path)
    assert {lock.path for lock in found} == {old, new}
    told = doctor.build_locks(found, time.time())
    assert told.state == "warn"
    assert f"{old} (60 minutes old)" in told.found
    assert str(new) not in told.found
    assert doctor.build_locks([Lock(new, 1000.0)], 1000.0 + doctor.STALE_S).state == "ok"


def test_a_path_without_a_compiler(tmp_path: Path) -> None:
    assert surroundings.compiler({"PATH": str(tmp_path)}) is None
    compiler = program(tmp_path, "g++")
    assert surroundings.compiler({"PATH": str(tmp_path)}) == str(compiler)
    assert surroundings.compiler({"PATH": str(tmp_path), "CXX": "clang++"}) is None
    told = doctor.compiler(None, None)
    assert (told.state, told.found) == ("warn", "no C++ compiler and no ninja")
    assert doctor.compiler(str(compiler), None).state == "warn"
    assert doctor.compiler(str(compiler), "/usr/bin/ninja").state == "ok"
    assert doctor.libaio(None).state == "warn"


def test_a_stray_token_of_ray(tmp_path: Path) -> None:
    assert surroundings.auth_token(tmp_path) is None
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    assert surroundings.auth_token(tmp_path) == token
    told = doctor.ray_auth({}, token)
    assert told.state == "warn"
    assert "secret" not in f"{told.found}{told.remedy}"
    assert doctor.ray_auth({"RAY_AUTH_MODE": "token"}, token).state == "ok"
    assert doctor.ray_auth({}, None).state == "ok"


def test_only_what_a_plain_run_needs_makes_it_fail() -> None:
    assert doctor.is_well([Finding("a", "ok", ""), Finding("b", "warn", "")])
    assert not doctor.is_well([Finding("a", "ok", ""), Finding("b", "fail", "")])


def test_the_command_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_CACHE", str(tmp_path / "cache"))
    told = w2s("doctor", "--json", "--store", tmp_path / "store")
    assert told.code == 0, told.out
    assert told.json["ok"]
    checks = {check["name"]: check for check in told.json["checks"]}
    assert {"torch", "ray", "GPU", "memory", "store", "cache", "C++ compiler", "Ray auth"} <= set(checks)
    assert {"TensorBoard", "NCCL", "ports"} <= set(checks)
    assert str(tmp_path / "store") in checks["store"]["found"]
    assert list(tmp_path.iterdir()) == []  # it looks, and leaves nothing


def test_the_command_in_a_damaged_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    lock = tmp_path / "extensions" / "async_io" / "lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("")
    os.utime(lock, (0, 0))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    told = w2s("doctor", "--store", blocked / "store")
    assert told.code == 3
    lines = told.out.splitlines()
    assert any(line.startswith("fail  store ") for line in lines)
    for name in ("extension builds", "C++ compiler", "Ray auth"):
        assert any(line.startswith(f"warn  {name} ") for line in lines), told.out
    assert f"remove {tmp_path / '.ray' / 'auth_token'}" in told.out
    assert lines[-1].startswith("1 to mend before a run; ")


def test_looking_for_versions_loads_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys, itertools\n"
        "from pathlib import Path\n"
        "from cluster.doctor import examine\n"
        "names = [finding.name for finding in itertools.islice(examine('store', Path('cache')), 10)]\n"
        "assert names[-1] == 'ports', names\n"
        "heavy = {'torch', 'ray', 'deepspeed', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
