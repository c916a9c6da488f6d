"""Orders as Slurm jobs: handed over, looked at, cancelled. The script is `slurm_text.py`'s; what runs in it is `chief.py`'s."""

from __future__ import annotations

import getpass
import re
import socket
import sys
import time
from pathlib import Path

from cluster.disk import told
from cluster.errors import BadEnvironment, BadInput
from cluster.submit.last_words import last_words
from cluster.submit.live import Live
from cluster.submit.order import Order, Placed
from cluster.submit.site import Site
from cluster.submit.slurm_ask import Said, ask
from cluster.submit.slurm_tables import BOOK_FORMAT, QUEUE_FORMAT, from_book, from_queue
from cluster.submit.slurm_text import OUT, checkout, sbatch_text

SCRIPT = "run.sbatch"
PRIVATE = 0o600
HANDLE = re.compile(r"\d{1,18}")
SACCT_TIMEOUT_S = 20.0  # a busy database must not hold up a look at the queue
REMEDIES = {
    "partition": "set partition in the site file; `sinfo -s` lists them",
    "account": "set account in the site file; `sacctmgr show assoc user=$USER` lists yours",
    "qos": "set qos in the site file; `sacctmgr show qos` lists them",
    "reservation": "set reservation in the site file; `scontrol show reservation` lists them",
    "feature": "set constraint in the site file; `sinfo -o '%N %f'` lists what nodes have",
    "dependency": "--dependency is written like afterok:1234",
    "time limit": "a shorter --time; `sinfo -o '%P %l'` lists what partitions allow",
    "array": "too many elements for this cluster (`scontrol show config | grep MaxArraySize`): use --pack",
    "memory": "no node has that much; `sinfo -o '%N %m'` lists what they have, in MiB",
    "gres": "no node has these GPUs; `sinfo -o '%N %G'` lists what they have; see gpu_flag and gpu_type in the site file",
    "node count": "fewer --nodes, or another partition; `sinfo -s` tells how many there are",
    "node configuration": "no node has all that is asked for; `sinfo -N -o '%N %c %m %G %f'` lists what they have",
    "limit": "you or your account may not have more of this now; fewer nodes, less time, or another account",
}


def script(order: Order, site: Site) -> str:
    """The batch script as `submit` hands it over.

    Where the site file names no `python` the job runs this interpreter, and this checkout if it is one.
    """
    return sbatch_text(order, site, site.python or sys.executable, pythonpath="" if site.python else checkout())


def submit(order: Order, site: Site) -> Placed:
    """Hand an order over. Its folder is there, and gets `run.sbatch` and `out/`.

    Raises BadInput where Slurm refuses it, BadEnvironment where there is no Slurm or it does not answer.
    """
    file = Path(order.folder) / SCRIPT
    text = script(order, site)
    with told("order", order.folder):
        # without `out` Slurm fails the job, and has nowhere to say so
        (file.parent / OUT).mkdir(parents=True, exist_ok=True)
        file.touch(mode=PRIVATE)
        file.write_text(text, encoding="utf-8")
    handle, where = _sbatch(order.id, file)
    return Placed(order.id, handle, where, getpass.getuser(), socket.gethostname(), time.time())


def test_only(text: str) -> str:
    """What Slurm says of a script it is not to take: when it would start, and where. Raises as `submit` does."""
    said = ask(["sbatch", "--test-only"], stdin=text, epochs=False)
    if said.code:
        raise _refusal(said)
    match = re.search(r"Job \d+ (to start at .*)", said.err + said.out)
    return f"Slurm would take it{f', {match[1]}' if match else ''}"


def look(order: Order, placed: Placed) -> list[Live]:
    """Where an order's elements are: by `squeue`, by `sacct` for what Slurm's controller has forgotten, and else by what the
    elements wrote themselves. Slurm that is not here or does not answer makes them "unknown", and `why` says so."""
    _handle(placed)
    trouble = ""
    found: dict[int, Live] = {}
    for asked in (_queue, _book):
        if len(found) < len(order.elements):
            try:
                found = asked(order, placed) | found
            except BadEnvironment as problem:
                trouble = trouble or str(problem)
    why = trouble or "Slurm does not know this job any more, and it did not write how it ended"
    return [found.get(index) or last_words(order, index, why) for index in range(len(order.elements))]


def cancel(order: Order, placed: Placed) -> None:
    """End all elements, waiting or running. One that is over is left as it is. Raises BadEnvironment, or BadInput for another's job."""
    handle = _handle(placed)
    # none are there when Slurm has forgotten it, or gave its number to another's job
    if all(live.over for live in _queue(order, placed).values()):
        return
    # by number alone: with --name scancel ends an array's waiting elements in a way that makes Slurm forget which they were
    said = ask(["scancel", *_cluster(placed), handle])
    if said.code and not re.search(r"invalid job id|already complet", said.err, re.IGNORECASE):
        raise BadInput(f"job {placed.handle}", f"Slurm does not cancel it: {said.last}", f"it is {placed.user}'s")


# ---- handing over


def _sbatch(identity: str, file: Path) -> tuple[str, str]:
    """A job's number, and the cluster it is on where Slurm names one."""
    try:
        said = ask(["sbatch", "--parsable", str(file)], patient=False)  # a second try might place it twice
    except BadEnvironment as problem:
        return _taken(identity, problem), ""
    if said.code:
        raise _refusal(said)
    handle, _, where = said.out.strip().splitlines()[-1].partition(";") if said.out.strip() else ("", "", "")
    if not HANDLE.fullmatch(handle):
        raise BadEnvironment("sbatch", f"answered {said.out[:80]!r}, and no job's number", "is it another program's?")
    return handle, where


def _taken(identity: str, problem: BadEnvironment) -> str:
    """Slurm may have taken the job though it did not answer in time: its number then. Raises the problem where it did not."""
    try:
        said = ask(["squeue", "--noheader", f"--name={identity}", "--states=all", "--format=%A"])
    except BadEnvironment:
        raise problem from None
    numbers = set(said.out.split())
    if said.code or len(numbers) != 1:
        raise problem
    return numbers.pop()


def _refusal(said: Said) -> BadInput:
    words = said.err.lower()
    remedy = next(
        (remedy for word, remedy in REMEDIES.items() if word in words), "`w2s submit --dry-run` shows the script"
    )
    what = said.last.removeprefix("Batch job submission failed: ").removeprefix("allocation failure: ")
    return BadInput("sbatch", f"Slurm refuses the job: {what}", remedy)


# ---- looking


def _queue(order: Order, placed: Placed) -> dict[int, Live]:
    argv = ["squeue", *_cluster(placed), "--noheader", "--array", "--states=all", f"--jobs={placed.handle}"]
    said = ask([*argv, f"--Format={QUEUE_FORMAT}"])
    if said.code and "invalid job id" not in said.err.lower():  # so it says of a number it has forgotten
        raise BadEnvironment("squeue", said.last, "`scontrol show job` may know more")
    return from_queue(said.out, order.id, len(order.elements))


def _book(order: Order, placed: Placed) -> dict[int, Live]:
    """What the accounting database says; nothing where there is none."""
    argv = ["sacct", *_cluster(placed), "-X", "-P", "-n", f"--jobs={placed.handle}", f"--format={BOOK_FORMAT}"]
    return from_book(ask(argv, timeout_s=SACCT_TIMEOUT_S, patient=False).out, order.id, len(order.elements))


def _cluster(placed: Placed) -> list[str]:
    return [f"--clusters={placed.where}"] if placed.where else []


def _handle(placed: Placed) -> str:
    if not HANDLE.fullmatch(placed.handle):
        raise BadInput(
            f"order {placed.id}", f"'{placed.handle[:40]}' is no Slurm job's number", "is placed.json damaged?"
        )
    return placed.handle
