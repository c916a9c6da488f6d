"""Where `offload: nvme` keeps a rank's optimizer state: a folder of its own on the node's disk, gone when the stage ends."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import BadEnvironment
from cluster.job import Context


@contextmanager
def swap_space(context: Context) -> Iterator[Context]:
    """The context with `nvme_path` set to this rank's own folder; as it was where nothing is offloaded to a disk.

    What an attempt that was killed left on this node is removed first. Raises BadEnvironment where no folder can be made.
    """
    if context.machines.get("offload") != "nvme":
        yield context
        return
    folder = Path(context.machines["nvme_path"]) / f"w2s-{context.key}-{context.rank}"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        what = f"no folder can be made there ({error.strerror})"
        raise BadEnvironment(
            f"nvme_path {folder.parent}", what, "give a folder on a local disk of every node that you may write to"
        ) from error
    try:
        yield dataclasses.replace(context, machines={**context.machines, "nvme_path": str(folder)})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
