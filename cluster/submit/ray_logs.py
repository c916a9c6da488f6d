"""Copies of a node's Ray logs: they lie on the node, in a folder that goes when the job ends."""

from __future__ import annotations

from pathlib import Path

FILE_BYTES = 2 * 1024**2  # of a longer file, the end
NODE_BYTES = 64 * 1024**2


def copy_logs(home: Path, to: Path) -> None:
    """Copy the log files of every session below `home` into the folder `to`. What cannot be read or written is left."""
    left = NODE_BYTES
    for file in sorted(home.glob("*/session_*/logs/**/*")):
        if left <= 0:
            break
        if file.is_file() and not file.is_symlink() and "session_latest" not in file.parts:
            left -= _copy_end(file, to / Path(*file.parts[file.parts.index("logs") + 1 :]), min(FILE_BYTES, left))


def _copy_end(file: Path, to: Path, most: int) -> int:
    """Copy the last `most` bytes of a file, unless it is empty. Returns how many there were."""
    try:
        with file.open("rb") as source:
            source.seek(max(0, file.stat().st_size - most))
            end = source.read(most)
        if end:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(end)
        return len(end)
    except OSError:
        return 0
