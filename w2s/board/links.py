"""A recipe's own root for TensorBoard: links by role to the curves of its stages, which lie by key and are shared.

Links, and no list of folders on TensorBoard's command line: keys are known before stages have begun, so what a run adds appears
by itself, under its name, and a board that is started again shows the same. A link to nothing yet is no run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cluster.disk import told


def link_runs(root: Path, runs: Mapping[str, Path]) -> None:
    """Make links below `root`, run's name -> its folder, and remove those of other runs. Nothing but links is touched.

    Links are relative: a store that is moved, or seen from elsewhere under another path, keeps them. Raises BadEnvironment.
    """
    with told("TensorBoard runs", root):
        root.mkdir(parents=True, exist_ok=True)
        for place, folders, files in os.walk(root, topdown=False):
            for name in (*folders, *files):
                path = Path(place) / name
                if path.is_symlink() and path.relative_to(root).as_posix() not in runs:
                    path.unlink()
            if Path(place) != root and not any(Path(place).iterdir()):
                Path(place).rmdir()
        for name, target in runs.items():
            _link(root / name, target)


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = os.path.relpath(target, path.parent)
    if path.is_symlink() and os.readlink(path) == wanted:  # noqa: PTH115 - the text of the link is meant
        return
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.symlink_to(wanted, target_is_directory=True)
    part.replace(path)
