"""The content-addressed store: finished results by key, and every path that belongs to a run.

Under the root:

    store.json                  format version, when it was made
    <key[:2]>/<key>/            one finished result; its receipt.json was written last
    scratch/<key>/{out,work}    a result in the making; work outlives a crash (checkpoints)
    leases/  logs/<key>.log  tensorboard/  reports/  searches/  damaged/
    runs/<id>.json  jobs/<id>/  what drivers say of themselves; what was handed to batch systems

A remote store (s3://, memory://, ...) keeps results, leases, damaged results, runs and jobs there, and the rest in a folder of
this machine, with a cache of what was read.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from cluster.disk import remove_tree, told
from cluster.errors import BadEnvironment, BadInput, StageFailed
from cluster.files import KEY, Files, LocalFiles, checked_key, open_files, shown
from cluster.garbage import GcReport, Inventory, doomed, tree_age_s, tree_bytes
from cluster.job import Receipt
from cluster.lease import TTL_S, Leases, Owner
from cluster.publish import digested, download, publish_local, publish_remote
from cluster.seal import RECEIPT, unsealed
from cluster.verify import Damage, verify

FORMAT = 1
STAMP = "store.json"
LOCAL_FOLDERS = ("scratch", "logs", "tensorboard", "reports", "searches")
SHARED_FOLDERS = ("leases",)


@dataclass(frozen=True)
class Scratch:
    """Where a job writes: `out` becomes the result, `work` is for checkpoints."""

    out: Path
    work: Path


class Store:
    """Results by key on any fsspec filesystem. Make one with `Store.open`.

    Every method that takes a key raises BadInput for one that is not 64 hex digits, and BadEnvironment when the
    filesystem refuses; nothing else escapes but what a method names.
    """

    def __init__(self, files: Files, local_root: Path) -> None:
        self.files = files
        self.url = files.url
        self.is_local = isinstance(files, LocalFiles)
        self._shown = shown(files.url)
        self._local = local_root

    @classmethod
    def open(cls, url: str | os.PathLike[str], *, create: bool = True, local_root: str | Path | None = None) -> Store:
        """Open the store at a path or url.

        With `create=False` nothing is made or written, and a store that does not exist is an empty one. `local_root` is
        where a remote store keeps what must be local (default ~/.cache/w2s/<hash of url>). Raises BadInput when a newer
        format wrote it or its url cannot be used, BadEnvironment when it cannot be read, made or written to.
        """
        files = open_files(url)
        if isinstance(files, LocalFiles):
            root = files.root
        else:
            name = hashlib.sha256(files.url.encode()).hexdigest()[:16]
            root = Path(local_root or Path("~/.cache/w2s") / name).expanduser().absolute()
        store = cls(files, root)
        with store._told(f"store {store._shown}"):
            store._read_stamp()
            if create:
                store._create()
        return store

    # ---- finished results

    def has(self, key: str) -> bool:
        """Whether the key is finished."""
        folder = self._folder(key)
        with self._told(key):
            return self.files.exists(f"{folder}/{RECEIPT}")

    def receipt(self, key: str) -> Receipt:
        """The receipt of a finished key.

        Raises StageFailed if there is none or it is damaged, BadInput if a newer program wrote it.
        """
        return unsealed(self._receipt_bytes(key), key)

    def path(self, key: str) -> Path:
        """The local folder of a finished key, for reading only. A remote result is downloaded and its digests checked.

        Raises StageFailed if the key is not finished or what was downloaded is damaged.
        """
        raw = self._receipt_bytes(key)
        folder = self._folder(key)
        place = self._local / (folder if self.is_local else f"cache/{folder}")
        if not self.is_local and _bytes_at(place / RECEIPT) != raw:
            with self._told(key):
                download(self.files, folder, place, raw, key)
        return place

    def keys(self) -> Iterator[str]:
        """All finished keys."""
        return (key for key in self._folders() if self.has(key))

    # ---- a result in the making

    def scratch(self, key: str, owner: str = "") -> Scratch:
        """The job's folders. `out` is empty, and `owner`'s alone: one who was taken over and does not know it yet cannot
        write into his successor's result. `work` is as it was left."""
        folder, out = self._scratch_folder(key), self._out(key, owner)
        with self._told(key):
            for earlier in folder.glob("out*"):
                remove_tree(earlier)
            for place in (out, folder / "work"):
                place.mkdir(parents=True, exist_ok=True)
        return Scratch(out, folder / "work")

    def commit(self, key: str, receipt: Receipt, owner: str = "") -> Receipt:
        """Publish the owner's `out` with a digest of every file, all or nothing; then remove the scratch.

        Returns the stored receipt: that of the first committer if there were several. Raises BadEnvironment when the
        disk is full (scratch is kept), StageFailed when `out` holds links or the receipt is not plain JSON.
        """
        if receipt.key != checked_key(key):
            raise BadInput(f"receipt of {receipt.name}", f"is for {receipt.key[:12]}, not {key[:12]}")
        scratch = self._scratch_folder(key)
        with self._told(key):
            if not self.has(key):
                try:
                    self._publish(key, self._out(key, owner), receipt)
                except (FileNotFoundError, FileExistsError):
                    if not self.has(key):  # nobody was quicker: a real fault
                        raise
            remove_tree(scratch)
        return self.receipt(key)

    def _publish(self, key: str, out: Path, receipt: Receipt) -> None:
        if not out.is_dir():
            raise FileNotFoundError(2, "there is no result to publish", str(out))
        receipt = digested(out, receipt)
        folder = self._folder(key)
        if isinstance(self.files, LocalFiles):
            publish_local(out, self._local / folder, receipt, lambda: self._clear_way(key))
        else:
            publish_remote(self.files, out, folder, receipt)

    def _clear_way(self, key: str) -> None:
        """Set aside a folder without a receipt. One that a rival published since we looked goes back."""
        # a rival was quicker; if not, the rename that follows tells
        with contextlib.suppress(BadInput, BadEnvironment):
            aside = self.quarantine(key)
            if self.files.exists(f"{aside}/{RECEIPT}"):
                self.files.move(aside, self._folder(key))

    # ---- keeping house

    def verify(
        self, keys: Iterable[str] | None = None, on_progress: Callable[[int, int], None] | None = None
    ) -> list[Damage]:
        """Hash every file of the given results (default: all) again. Changes nothing; `on_progress(done, total)`."""
        chosen = self._settled() if keys is None else list(keys)
        with self._told(f"store {self._shown}"):
            return verify(self.files, [(key, self._folder(key)) for key in chosen], on_progress)

    def delete(self, key: str) -> None:
        """Remove a finished result; the receipt goes first, so that a half-removed one does not count."""
        folder = self._folder(key)
        with self._told(key):
            self.files.remove(f"{folder}/{RECEIPT}")
            self.files.remove_tree(folder)
            self._drop_cached(folder)

    def quarantine(self, key: str) -> str:
        """Move a damaged result aside, so that the key is built again. Returns where it is now, relative to the root.

        Raises BadInput when there is nothing under the key.
        """
        folder = self._folder(key)
        with self._told(key):
            # some filesystems keep the folders of what was deleted, so there only files count
            if not (self.files.exists(folder) if self.is_local else self.files.walk(folder)):
                raise BadInput(f"key {key[:12]}", f"is not in the store {self._shown}", "there is nothing to set aside")
            aside = self._free_name(f"damaged/{key}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
            if not self.is_local and self.has(key):  # there a move takes many steps; the first makes the key not count
                self.files.replace(f"{aside}/{RECEIPT}", self.files.read(f"{folder}/{RECEIPT}"))
                self.files.remove(f"{folder}/{RECEIPT}")
            self.files.move(folder, aside)
            self._drop_cached(folder)
        return aside

    def gc(self, keep: Collection[str], dry_run: bool = False, min_scratch_age_s: float = 86400) -> GcReport:
        """Remove results that are not in `keep`, old scratch that no run will continue, and the logs of what is gone.

        Unfinished keys in `keep` retain their scratch. Nothing under a live lease is touched. `keep` must cover what
        every running driver still needs. Bytes of a remote store's results are taken from their receipts.
        """
        with self._told(f"store {self._shown}"):
            have = Inventory(set(self.keys()), _listed(self._local / "scratch"), _listed(self._local / "logs", ".log"))
            held = self.leases().held
            going = doomed(have, keep, held, lambda key: tree_age_s(self._scratch_folder(key)), min_scratch_age_s)
            freed = 0
            for keys, size, remove in (
                (going.results, self._result_bytes, self.delete),
                (going.scratch, self._scratch_bytes, self._drop_scratch),
                (going.logs, self._log_bytes, self._drop_log),
            ):
                for key in keys:
                    if dry_run or not held(key):  # looked at again: time has passed, and a driver may have begun
                        freed += size(key)
                        if not dry_run:
                            remove(key)
            if not dry_run and self.is_local and self._local.is_dir():
                self._sweep(min_scratch_age_s)
        return GcReport(tuple(going.results), tuple(going.scratch), tuple(going.logs), freed)

    # ---- paths

    def leases(self, owner: Owner | None = None, ttl_s: float = TTL_S) -> Leases:
        """The leases of one owner (default: this process) on this store."""
        return Leases(self.files, owner, ttl_s)

    def log_path(self, key: str) -> Path:
        """Where the log of a key is, on this machine."""
        return self.logs / f"{checked_key(key)}.log"

    @property
    def logs(self) -> Path:
        return self._local / "logs"

    @property
    def tensorboard(self) -> Path:
        return self._local / "tensorboard"

    @property
    def reports(self) -> Path:
        return self._local / "reports"

    @property
    def searches(self) -> Path:
        return self._local / "searches"

    def _folder(self, key: str) -> str:
        return f"{checked_key(key)[:2]}/{key}"

    def _out(self, key: str, owner: str) -> Path:
        if not owner.replace("-", "x").isalnum() and owner:
            raise BadInput(f"owner '{owner}'", "is not a plain name")
        return self._scratch_folder(key) / (f"out-{owner}" if owner else "out")

    def _scratch_folder(self, key: str) -> Path:
        return self._local / "scratch" / checked_key(key)

    # ---- inside

    def _told(self, what: str) -> AbstractContextManager[None]:
        where = f"key {what[:12]}" if KEY.fullmatch(what) else what
        return told(where, self._shown, remote=not self.is_local)

    def _read_stamp(self) -> None:
        try:
            written = int(json.loads(self.files.read(STAMP))["format"])
        except FileNotFoundError:
            return
        except (ValueError, TypeError, KeyError):
            remedy = "is this the right folder? Restore the file, or choose another store"
            raise BadInput(f"{self._shown}/{STAMP}", "does not say which format the store has", remedy) from None
        if written > FORMAT:
            what = f"the store has format {written}; this program reads up to {FORMAT}"
            raise BadInput(f"{self._shown}/{STAMP}", what, "upgrade w2s, or choose another store")

    def _create(self) -> None:
        for name in (*LOCAL_FOLDERS, *(SHARED_FOLDERS if self.is_local else ())):
            (self._local / name).mkdir(parents=True, exist_ok=True)
        for place in (self._local, *(self._local / name for name in LOCAL_FOLDERS)):
            if not os.access(place, os.W_OK | os.X_OK):
                remedy = "choose a folder you may write to, or have its permissions changed"
                raise BadEnvironment(f"store {self._shown}", f"{place} cannot be written to", remedy)
        if not self.files.exists(STAMP):
            stamp = {"format": FORMAT, "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
            self.files.create(STAMP, (json.dumps(stamp) + "\n").encode())

    def _receipt_bytes(self, key: str) -> bytes:
        folder = self._folder(key)
        with self._told(key):
            try:
                return self.files.read(f"{folder}/{RECEIPT}")
            except FileNotFoundError:
                what = f"is not in the store {self._shown}"
                raise StageFailed(f"key {key[:12]}", what, "the command that makes it makes it again") from None

    def _folders(self) -> Iterator[str]:
        with self._told(f"store {self._shown}"):
            for prefix in self.files.names(""):
                if len(prefix) == 2:
                    yield from (key for key in self.files.names(prefix) if KEY.fullmatch(key) and key[:2] == prefix)

    def _settled(self) -> list[str]:
        """All keys with something in their folder, but for uploads that are under way."""
        held = self.leases().held

        def counts(key: str) -> bool:
            left_over = bool(
                self.files.walk(self._folder(key))
            )  # some filesystems keep the folders of what was deleted
            return left_over and (self.is_local or not held(key))

        return [key for key in self._folders() if self.has(key) or counts(key)]

    def _free_name(self, name: str) -> str:
        taken = (f"{name}.{count}" if count > 1 else name for count in itertools.count(1))
        return next(free for free in taken if not self.files.exists(free))

    def _result_bytes(self, key: str) -> int:
        if self.is_local:
            return tree_bytes(self._local / self._folder(key))
        try:
            return sum(facts["bytes"] for facts in self.receipt(key).files.values())
        except StageFailed:
            return 0

    def _drop_cached(self, folder: str) -> None:
        if not self.is_local:
            remove_tree(self._local / "cache" / folder)

    def _scratch_bytes(self, key: str) -> int:
        return tree_bytes(self._scratch_folder(key))

    def _log_bytes(self, key: str) -> int:
        return self.log_path(key).stat().st_size

    def _drop_scratch(self, key: str) -> None:
        remove_tree(self._scratch_folder(key))

    def _drop_log(self, key: str) -> None:
        self.log_path(key).unlink(missing_ok=True)

    def _sweep(self, min_age_s: float) -> None:
        """Finish removals that were interrupted: folders moved aside under a dotted name."""
        parents = [self._local / "scratch", *(path for path in self._local.iterdir() if len(path.name) == 2)]
        for place in (path for parent in parents for path in parent.glob(".*")):
            if KEY.fullmatch(place.name.split(".")[1]) and tree_age_s(place) >= min_age_s:
                shutil.rmtree(place, ignore_errors=True)


def _listed(folder: Path, suffix: str = "") -> list[str]:
    """Keys that name something in a local folder."""
    if not folder.is_dir():
        return []
    keys = (path.name.removesuffix(suffix) for path in folder.iterdir() if path.name.endswith(suffix))
    return sorted(key for key in keys if KEY.fullmatch(key))


def _bytes_at(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
