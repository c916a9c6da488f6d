"""Leases: two drivers that share a store never do the same stage twice, and a dead driver's stages are taken over.

A lease is a numbered file, `leases/<key>.<n>.json`; the highest number holds. A file is created only where none is, so
of several racers one wins; the lease of a dead holder is taken over by creating number n + 1. Whoever creates a file
looks again afterwards and gives way to anything it did not know of: of two who both write before they look, at least
one sees the other (the idea of Lamport's bakery, Communications of the ACM 17, 1974).

A holder is dead when its process is gone (same machine), or when its beat stood still for longer than its time to live.
Clocks of different machines are never compared more finely than by a day: we watch the beat with our own clock, from
the moment we first see it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType

from cluster.disk import told
from cluster.errors import TakenOver
from cluster.files import Files, LocalFiles, checked_key, open_files, shown
from cluster.lease_record import LeaseRecord, Owner, gone

__all__ = ["Lease", "LeaseRecord", "Leases", "Owner", "still_held"]

FOLDER = "leases"
TTL_S = 60.0
BEATS_PER_TTL = 4  # three may be lost to a slow disk before anyone may doubt us
DAY_S = 86400.0  # clocks of a cluster differ by seconds or minutes, never by a day


class Lease:
    """The right to work on one key. Thread-safe."""

    def __init__(self, leases: Leases, record: LeaseRecord) -> None:
        self._leases, self._record = leases, record
        self._lock = threading.Lock()
        self._ended = False

    @property
    def key(self) -> str:
        return self._record.key

    @property
    def number(self) -> int:
        return self._record.number

    @property
    def owner_id(self) -> str:
        return self._record.owner_id

    def heartbeat(self) -> None:
        """Show that we live. Raises TakenOver if another has taken the lease over, and then leaves it to them."""
        with self._lock:
            if self._ended:
                return
            try:
                self.check()
            except TakenOver:
                self._end()
                raise
            self._record = _beaten(self._record)
            self._leases.files.replace(_name(self.key, self.number), self._record.to_bytes())

    def check(self) -> None:
        """Raise TakenOver if another has taken the lease over."""
        _check(self._leases.files, self.key, self.number, self.owner_id)

    def release(self) -> None:
        """Give the key back. Never raises: a file that cannot be removed goes stale by itself."""
        with self._lock:
            if not self._ended:
                self._end()

    def _end(self) -> None:
        self._ended = True
        self._leases._forget(self)
        name = _name(self.key, self.number)
        with contextlib.suppress(Exception):
            record = LeaseRecord.from_bytes(self._leases.files.read(name))
            if record is not None and record.owner_id == self.owner_id:
                self._leases.files.remove(name)


class Leases:
    """All leases of one owner on one store. As a context manager it beats for them from a thread of its own.

    `ttl_s` is how long, in seconds, others wait after our last beat before they take over.
    """

    def __init__(self, files: Files, owner: Owner | None = None, ttl_s: float = TTL_S) -> None:
        self.files, self.owner, self.ttl_s = files, owner or Owner.here(), ttl_s
        self._held: dict[str, Lease] = {}
        self._taken = 0
        self._seen: dict[str, tuple[bytes, float]] = {}  # file name -> bytes, our clock when we first saw those
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, key: str) -> Lease | None:
        """Take a key. None: a live holder has it (this owner included), or won the race for it.

        Raises BadEnvironment when the store cannot be read or written.
        """
        checked_key(key)
        with self._lock, self._told(key):
            if key in self._held:
                return None
            known = self._standing(key)
            if known and not self._dead(max(known), known[max(known)], key):
                return None
            record = self._record(key, max(known, default=0) + 1)
            if not self.files.create(_name(key, record.number), record.to_bytes()):
                return None
            lease = Lease(self, record)
            others = {number: raw for number, raw in self._standing(key).items() if number != record.number}
            if any(known.get(number) != raw for number, raw in others.items()):
                lease.release()
                return None
            for number in sorted(others):  # oldest first: a crash in here must not leave an old one on top
                self.files.remove(_name(key, number))
            self._held[key] = lease
            return lease

    def holder(self, key: str) -> LeaseRecord | None:
        """Who holds a key, dead or alive; None if nobody does."""
        with self._told(key):
            standing = self._standing(checked_key(key))
        return LeaseRecord.from_bytes(standing[max(standing)]) if standing else None

    def held(self, key: str) -> bool:
        """Whether a live owner (or one that cannot yet be told to be dead) holds a key."""
        with self._lock, self._told(key):
            standing = self._standing(checked_key(key))
            return bool(standing) and not self._dead(max(standing), standing[max(standing)], key)

    def start(self) -> None:
        """Begin to beat for every lease held, now and later."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._beat, name="lease-heartbeat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop beating and release what is still held."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for lease in list(self._held.values()):
            lease.release()

    def __enter__(self) -> Leases:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _beat(self) -> None:
        while not self._stop.wait(self.ttl_s / BEATS_PER_TTL):
            for lease in list(self._held.values()):
                # Taken over: the lease has ended itself, and its worker learns it from check(). Anything else (a disk
                # that is away for a moment) is tried again at the next beat.
                with contextlib.suppress(Exception):
                    lease.heartbeat()

    def _forget(self, lease: Lease) -> None:
        if self._held.get(lease.key) is lease:
            self._held.pop(lease.key, None)

    def _record(self, key: str, number: int) -> LeaseRecord:
        self._taken += 1
        owner_id = f"{self.owner.id}-{self._taken}"
        return LeaseRecord(key, number, owner_id, self.owner, self.ttl_s, 0, time.monotonic(), time.time())

    def _standing(self, key: str) -> dict[int, bytes]:
        """The lease files of a key: number to bytes."""
        found = {}
        for number in _numbers(self.files, key):
            with contextlib.suppress(FileNotFoundError):  # released since the listing
                found[number] = self.files.read(_name(key, number))
        return found

    def _dead(self, number: int, raw: bytes, key: str) -> bool:
        record = LeaseRecord.from_bytes(raw)
        if record is not None:
            if self._is_neighbour(record.owner):
                if gone(record.owner):
                    return True
                age_s = time.monotonic() - record.monotonic_s
                if age_s >= 0:  # one clock for all processes of one boot
                    return age_s > record.ttl_s
            if time.time() - record.wall_s > max(DAY_S, record.ttl_s):
                return True
        return self._stood_still_s(_name(key, number), raw) > (record.ttl_s if record else self.ttl_s)

    def _is_neighbour(self, owner: Owner) -> bool:
        return bool(owner.boot) and (owner.host, owner.boot) == (self.owner.host, self.owner.boot)

    def _stood_still_s(self, name: str, raw: bytes) -> float:
        """For how long, by our clock, we have seen these very bytes."""
        now = time.monotonic()
        seen, since = self._seen.get(name, (b"", now))
        if seen != raw:
            self._seen[name] = (raw, now)
            return 0.0
        return now - since

    def _told(self, key: str) -> contextlib.AbstractContextManager[None]:
        return told(f"lease of {key[:12]}", shown(self.files.url), remote=not isinstance(self.files, LocalFiles))


def still_held(store_url: str, key: str, number: int, owner_id: str) -> None:
    """For workers, who do not hold the lease themselves: raise TakenOver if their driver has lost it.

    Raises BadEnvironment when the store cannot be read.
    """
    files = open_files(store_url)
    with told(f"lease of {key[:12]}", shown(store_url), remote=not isinstance(files, LocalFiles)):
        _check(files, checked_key(key), number, owner_id)


def _check(files: Files, key: str, number: int, owner_id: str) -> None:
    numbers = _numbers(files, key)
    ours = None
    with contextlib.suppress(FileNotFoundError):
        ours = LeaseRecord.from_bytes(files.read(_name(key, number)))
    if ours is None or ours.owner_id != owner_id or max(numbers, default=number) > number:
        what = "another driver has taken this stage over (we were silent for too long)"
        raise TakenOver(f"lease of {key[:12]}", what, "leave it to them; the same command waits for their result")


def _beaten(record: LeaseRecord) -> LeaseRecord:
    return replace(record, beat=record.beat + 1, monotonic_s=time.monotonic(), wall_s=time.time())


def _name(key: str, number: int) -> str:
    return f"{FOLDER}/{key}.{number}.json"


def _numbers(files: Files, key: str) -> list[int]:
    return [number for _, number in _parsed(name for name in files.names(FOLDER) if name.startswith(f"{key}."))]


def _parsed(names: Iterable[str]) -> list[tuple[str, int]]:
    parts = [name.split(".") for name in names]
    return [(p[0], int(p[1])) for p in parts if len(p) == 3 and p[2] == "json" and p[1].isdigit()]
